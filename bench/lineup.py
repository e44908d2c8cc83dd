"""The table of all servers: each alone on its core with the same list, every sample paired with one of the floor.

A server that loses queries or answers wrongly keeps its row, with a note. Called by run; writes the section `table`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from bench import gopeers, peers
from bench.load import RoundTrip, Sample, one_at_a_time, sample
from bench.process import BenchError, memory_kb, say
from bench.ratios import Workload, warm
from bench.results import median, table, write
from bench.server import Server, Setting
from bench.servers import Blockerd, Floor

OURS: tuple[type[Server], ...] = (Floor, Blockerd)
PEERS: tuple[type[Server], ...] = (*peers.PLAIN, *gopeers.PLAIN, *peers.LOGGED, *gopeers.LOGGED)
ONE_AT_A_TIME = 10_000  # look-ups for p50 and p99
HEAD = (
    *("server", "logged", "blocked, all different", "blocked, 100,000", "cached", "mixed", "queries/s blocked"),
    *("p50 / p99 blocked", "p50 / p99 cached", "RSS MB (own)", "start s"),
)
EXPLAINED = """\
Columns 3–6: µs of server CPU per query and, after the ×, the median ratio to the floor measured right before it.
p50 / p99: µs of one look-up at a time. RSS: resident after these loads, in brackets without mapped files. Start: from
exec to the first blocked answer, or, for a server that then still lets listed names through, until a sample of 200 is
blocked."""


@dataclass(slots=True)
class Row:
    """One server's figures, a list entry a load; µs are medians, the ratios medians of pairs."""

    server: Server
    version: str = ""
    micros: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    qps: list[float] = field(default_factory=list)
    trips: list[RoundTrip] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)
    notes: set[str] = field(default_factory=set)


def run(setting: Setting, kinds: Sequence[type[Server]], turns: int, seconds: int) -> None:
    """Measure the servers one after the other; those that cannot run are named below the table.

    The whole line-up becomes the section of RESULTS.md; a part of it is only printed, lest it replace the whole.
    """
    rows: list[Row] = []
    absent: list[str] = []
    for kind in kinds:
        server = kind(replace(setting, port=setting.port + 1))
        reason = server.missing()
        if not reason:
            try:
                rows.append(_measure(server, setting, turns, seconds))
                continue
            except BenchError as error:
                reason = str(error)
        say(f"{kind.name} left out: {reason}")
        absent.append(f"- {kind.name} left out: {reason}.")
    body = [EXPLAINED, "", *table(HEAD, map(_cells, rows)), "", *map(_note, rows), *absent]
    if set(kinds) == {*OURS, *PEERS}:
        write("table", "Side by side", body)
    else:
        print("\n".join(body))


def _measure(server: Server, setting: Setting, turns: int, seconds: int) -> Row:
    say(f"{server.name}: preparing")
    row = Row(server)
    with Floor(setting) as floor, server:
        row.version = server.version()
        warm(server)
        for work in _workloads(server):
            pairs = [
                (_sample(work, floor, turn, seconds), _sample(work, server, turn, seconds)) for turn in range(turns)
            ]
            row.micros.append(median([mine.cpu_us for _, mine in pairs]))
            row.ratios.append(median([mine.cpu_us / base.cpu_us for base, mine in pairs]))
            row.qps.append(median([mine.load.qps for _, mine in pairs]))
            row.notes |= {f"{work.title}: {text}" for _, mine in pairs if (text := work.wrong(mine.load))}
        for file in (setting.names.rotation, setting.names.cached):
            row.trips.append(one_at_a_time(server.port, file, ONE_AT_A_TIME))
        row.memory = memory_kb(server.pid)
        if server.logs != "no" and not server.log_bytes():
            row.notes.add("its log is empty")
    micros = ", ".join(f"{value:.1f}" for value in row.micros)
    say(f"{server.name}: different, rotation, cached, mixed: {micros} µs; start {server.start_seconds:.2f} s")
    return row


def _sample(work: Workload, server: Server, turn: int, seconds: int) -> Sample:
    return sample(server.pid, lambda: work.drive(server, turn, seconds))


def _workloads(server: Server) -> Iterator[Workload]:
    """The loads of the table; what counts as a right answer is the server's own way to block."""
    names, blocked = server.setting.names, server.blocked_rcode
    listed = {} if server.echoes else {blocked: 1.0}
    mixed = {} if server.echoes or blocked == "NOERROR" else {blocked: 0.2, "NOERROR": 0.8}
    yield Workload("all different", names.slices, listed, once=True)
    yield Workload("rotation", (names.rotation,), listed)
    yield Workload("cached", (names.cached,), {"NOERROR": 1.0})
    yield Workload("mixed", (names.mixed,), mixed)


def _cells(row: Row) -> list[str]:
    costs = [f"{micros:.1f} ×{ratio:.2f}" for micros, ratio in zip(row.micros, row.ratios, strict=True)]
    trips = [f"{trip.p50:.0f} / {trip.p99:.0f}" for trip in row.trips]
    resident = f"{row.memory['VmRSS'] / 1024:.0f} ({row.memory['RssAnon'] / 1024:.0f})"
    start = f"{row.server.start_seconds:.2f}"
    return [row.server.name, row.server.logs, *costs, f"{row.qps[1]:,.0f}", *trips, resident, start]


def _note(row: Row) -> str:
    what = f"- {row.server.name}: {row.version + '; ' if row.version else ''}{row.server.how}."
    return " ".join([what, *(f"**{note}.**" for note in sorted(row.notes))])
