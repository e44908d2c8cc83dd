"""blockerd's CPU per query as a ratio to the floor's, in pairs measured one right after the other.

Floor and subject take turns on the same core under the same load, so a machine that slows down slows both. Reports the
least, the median and the largest ratio, never the best alone. Called by run; writes the section `ratios`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.load import Load, Sample, dnsperf, flood, sample, wrong
from bench.names import Names
from bench.process import say
from bench.results import median, spread, table, write
from bench.server import Server, Setting
from bench.servers import Blockerd, Floor, Single

NAME_BYTES = 8  # a spooled attempt takes more than this, whatever its name
HEAD = ("load", "ratio: median (least–largest)", "goal", "floor µs", "blockerd µs", "queries/s", "queries a sleep")
FLOORS = (("100 outstanding", 100, 0), ("20 outstanding", 20, 0), ("20,000 queries/s", 100, 20_000))


@dataclass(frozen=True, slots=True)
class Workload:
    """What is asked, in what manner, and what the right answers are."""

    title: str
    files: tuple[Path, ...]  # taken in turn
    expected: dict[str, float]
    goal: float | None = None
    once: bool = False
    qps: int = 0
    flooded: bool = False

    def drive(self, server: Server, turn: int, seconds: int) -> Load:
        """One run of this load against the server."""
        file = self.files[turn % len(self.files)]
        if self.flooded:
            return flood(server.port, file, seconds)
        return dnsperf(server.port, file, seconds=seconds, once=self.once, qps=self.qps)

    def wrong(self, load: Load) -> str:
        """Empty when all was answered, and rightly."""
        return wrong(load, self.expected)


@dataclass(frozen=True, slots=True)
class Pair:
    """One sample of each, taken in immediate succession."""

    floor: Sample
    subject: Sample

    @property
    def ratio(self) -> float:
        return self.subject.cpu_us / self.floor.cpu_us


@dataclass(frozen=True, slots=True)
class Measured:
    """All pairs of a load, and what was wrong with their answers."""

    work: Workload
    pairs: list[Pair] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)


def run(setting: Setting, pairs: int, seconds: int) -> None:
    """Measure all workloads and write the section."""
    with Floor(setting) as floor, Blockerd(replace(setting, port=setting.port + 1)) as subject:
        warm(floor)
        warm(subject)
        unspooled = subject.log_bytes()
        measured = [_measure(work, floor, subject, pairs, seconds) for work in workloads(setting.names)]
        version, spooled = subject.version(), subject.log_bytes() - unspooled
    alone = floor_alone(setting, 3, 1)
    write(
        "ratios", "blockerd against the floor", [*_rows(measured), "", *_checks(measured, version, spooled), "", *alone]
    )


def workloads(names: Names) -> Iterator[Workload]:
    """The three that have a goal, then one at a rate that lets both servers idle, and two that never let them."""
    blocked, answered = {"NXDOMAIN": 1.0}, {"NOERROR": 1.0}
    yield Workload("every query a different listed name", names.slices, blocked, 1.45, once=True)
    yield Workload("100,000 listed names in rotation", (names.rotation,), blocked, 1.40)
    yield Workload("10,000 cached names in rotation", (names.cached,), answered, 1.30)
    yield Workload("listed, 20,000 queries/s", (names.rotation,), blocked, qps=20_000)
    yield Workload("listed, full batches", (names.rotation,), blocked, flooded=True)
    yield Workload("cached, full batches", (names.cached,), answered, flooded=True)


def warm(server: Server) -> None:
    """Fill the cache (the second pass asks again what a full socket may have lost) and touch the list."""
    names = server.setting.names
    for file in (names.cached, names.cached, names.rotation):
        dnsperf(server.port, file, once=True)


def _measure(work: Workload, floor: Server, subject: Server, count: int, seconds: int) -> Measured:
    measured = Measured(work)
    for turn in range(count):
        pair = Pair(_sample(work, floor, turn, seconds), _sample(work, subject, turn, seconds))
        measured.pairs.append(pair)
        measured.wrongs.extend(filter(None, [work.wrong(pair.subject.load), wrong(pair.floor.load, {})]))
        say(f"{work.title}: {pair.subject.cpu_us:.2f} µs, floor {pair.floor.cpu_us:.2f} µs, ratio {pair.ratio:.2f}")
    return measured


def _sample(work: Workload, server: Server, turn: int, seconds: int) -> Sample:
    return sample(server.pid, lambda: work.drive(server, turn, seconds))


def _rows(measured: list[Measured]) -> list[str]:
    rows = []
    for it in measured:
        sides = [pair.floor for pair in it.pairs], [pair.subject for pair in it.pairs]
        rates = " / ".join(f"{median([one.load.qps for one in side]):,.0f}" for side in sides)
        sleeps = " / ".join(f"{median([one.per_wait for one in side]):.1f}" for side in sides)
        goal = f"≤ {it.work.goal:.2f}" if it.work.goal else "–"
        micros = [spread([one.cpu_us for one in side]) for side in sides]
        rows.append([it.work.title, spread([pair.ratio for pair in it.pairs]), goal, *micros, rates, sleeps])
    return table(HEAD, rows)


def _checks(measured: list[Measured], version: str, spooled: int) -> Iterator[str]:
    wrongs = [f"{it.work.title}: {text}" for it in measured for text in it.wrongs]
    yield f"- {version}; {len(measured[0].pairs)} pairs for each load; the last two columns are floor / blockerd."
    yield f"- **Answers not all right**: {'; '.join(wrongs)}." if wrongs else "- Answers: all there and all right."
    blocked = sum(pair.subject.load.rcodes.get("NXDOMAIN", 0) for it in measured for pair in it.pairs)
    each = spooled / max(1, blocked)
    short = "" if each > NAME_BYTES else " **Not every attempt was spooled.**"
    yield f"- Spooled meanwhile: {spooled:,} bytes, {each:.1f} for each of the {blocked:,} blocked answers.{short}"


def floor_alone(setting: Setting, runs: int, seconds: int) -> Iterator[str]:
    """How far the floor itself moves with what is asked of it: no ratio is finer than this."""
    rows = []
    for kind in (Floor, Single):
        for title, outstanding, qps in FLOORS:
            with kind(setting) as floor:
                taken = [_floor_sample(floor, seconds, outstanding, qps) for _ in range(runs)]
                batch = floor.mean_batch()
            say(f"{floor.name}, {title}: {median([it.cpu_us for it in taken]):.2f} µs")
            rate = f"{median([it.load.qps for it in taken]):,.0f}"
            rows.append([f"{floor.how}; {title}", spread([it.cpu_us for it in taken]), rate, f"{batch:.1f}"])
    yield "The floor under other loads (it counts its mean batch itself):"
    yield ""
    yield from table(("floor", "µs CPU/query", "queries/s", "mean batch"), rows)


def _floor_sample(floor: Floor, seconds: int, outstanding: int, qps: int) -> Sample:
    file = floor.setting.names.rotation
    return sample(floor.pid, lambda: dnsperf(floor.port, file, seconds=seconds, outstanding=outstanding, qps=qps))
