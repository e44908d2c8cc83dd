"""Response seeds and their mutations from an upstream with the right ID, port and question (T03).

Each is sent for a name of its own, the true answer right behind it: the client gets the one or the other or SERVFAIL,
and no record about another name is ever served, then or afterwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes.packets import a, opt, query, question_end, response
from tests.trials.asking import Asked, ask_all
from tests.trials.figures import note
from tests.trials.mutate import mutate
from tests.trials.reading import Record, Unreadable, chain, name_at, records
from tests.trials.saying import FOREIGN
from tests.trials.seed import LIE, PLACE, Chance, Kind, for_name, load
from tests.trials.server import Server
from tests.trials.stub import Call, upstream

TRUE = "192.0.2.9"
QUESTION = 12 + len(PLACE) + 4
OVER_UDP = 1400
ALIASES = (
    "b.trial.test",
    "c1.trial.test",
    "c2.trial.test",
    "c16.trial.test",
    "evil.test",
    "ns.victim.test",
    "v1.victim.test",
)
_SEEDS = load(Kind.RESPONSE)


@dataclass(slots=True)
class Liar:
    """The upstream: answers `s…` by the seed of that number, `m…` by a mutation, everything else by the truth."""

    seed: int
    pool: list[bytes] = field(default_factory=lambda: [seed.packet for seed in _SEEDS])

    def __call__(self, call: Call) -> None:
        true = response(call.packet, [a(b"\xc0\x0c", TRUE)])
        label = call.packet[13:21].lower()
        packet = self.packet(label)
        if packet is not None:
            packet = for_name(packet, label)
            head, rest = packet[2:12], packet[QUESTION:]
            asked = call.packet[12 : question_end(call.packet)]
            full = (call.packet[:2] + head + asked + rest)[: max(len(packet), 0)]
            if len(full) > OVER_UDP and not call.stream:
                call.send(full[:2] + b"\x83\x80\x00\x01" + bytes(6) + asked)
                return
            call.send(full[:65535])
            if call.stream:
                return
        call.send(true)

    def packet(self, label: bytes) -> bytes | None:
        """What is sent first for a name; None where the truth is."""
        if not label[1:].isdigit():
            return None
        number = int(label[1:])
        if label[:1] == b"s":
            return self.pool[number]
        chance = Chance(self.seed << 32 | number)
        return mutate(chance.one(self.pool)[:4000], chance, QUESTION, ()) if label[:1] == b"m" else None


def test_each_response_seed_gives_its_records_or_the_truth_or_servfail(tmp_path: Path):
    with upstream(Liar(0)) as stub, Server(tmp_path, stub.port) as server, server.socket() as sock:
        asked = ask_all(sock, [_query(b"s%07d" % n, _SEEDS[n].packet) for n in range(len(_SEEDS))], window=16)
        wrong = []
        for seed, one in zip(_SEEDS, asked, strict=True):
            whole = _whole(server, one) if seed.outcome == "good" else one
            fault = _fault(whole) or (seed.outcome == "good" and _differs(seed.packet, whole))
            if fault:
                wrong.append(f"{seed.title}: {fault}")
        assert wrong == [], len(wrong)
        _nothing_foreign_is_kept(server)
        assert max(one.seconds for one in asked) < 5


def test_mutated_responses_give_the_truth_or_servfail(tmp_path: Path):
    with upstream(Liar(1)) as stub, Server(tmp_path, stub.port) as server:
        _mutations(server, range(4000))


@pytest.mark.soak
def test_200000_mutated_responses_give_the_truth_or_servfail(tmp_path: Path):
    with upstream(Liar(2)) as stub, Server(tmp_path, stub.port, dns="cache_entries = 20000") as server:
        _mutations(server, range(10_000))
        before = server.rss_mb()
        counts = [0] * 16
        for start in range(10_000, 200_000, 10_000):
            stub.calls.clear()
            for rcode in _mutations(server, range(start, start + 10_000)):
                counts[rcode] += 1
        kept = ", ".join(f"rcode {rcode}: {count:,}" for rcode, count in enumerate(counts) if count)
        growth = server.rss_mb() - before
        note("T03", f"2,500 seeds and 200,000 mutations: no crash, 0 records of other names served; of the last "
             f"190,000 {kept}; RSS {growth:+.1f} MB, the cache of 20,000 entries included")  # fmt: skip


def _mutations(server: Server, numbers: range) -> list[int]:
    with server.socket() as sock:
        asked = ask_all(sock, (_query(b"m%07d" % n, b"") for n in numbers), window=32)
    assert [f"{n}: {fault}" for n, one in zip(numbers, asked, strict=True) if (fault := _fault(one))] == []
    assert max(one.seconds for one in asked) < 5
    _nothing_foreign_is_kept(server)
    return [one.rcode or 0 for one in asked]


def _query(label: bytes, packet: bytes) -> bytes:
    """The question that a seed answers, about its own name."""
    qtype = int.from_bytes(packet[QUESTION - 4 : QUESTION - 2], "big") if len(packet) >= QUESTION else 1
    return query([label, b"trial", b"test"], qtype, edns=opt())


def _whole(server: Server, one: Asked) -> Asked:
    """Over TCP where UDP was too small."""
    if one.reply and one.reply[2] & 2:
        return Asked(one.packet, next(iter(server.tcp(one.packet)), None), one.seconds)
    return one


def _fault(one: Asked) -> str:
    """What is wrong with an answer, whatever the upstream said: empty for nothing."""
    reply = one.reply
    if reply is None:
        return "no answer"
    end = question_end(one.packet)
    if reply[:2] != one.packet[:2] or reply[12:end] != one.packet[12:end] or not reply[2] & 0x80:
        return f"not an answer to the question: {reply.hex()}"
    try:
        names, found = chain(reply), records(reply)
    except Unreadable as error:
        return f"{error}: {reply.hex()}"
    strange = [record for record in found if _strange(record, names)]
    return f"other names: {strange} in {reply.hex()}" if strange else ""


def _strange(record: Record, names: set[bytes]) -> bool:
    if record.section == 2:
        return record.type != 41
    if record.section == 1:  # nobody looks there for addresses, and it is never kept for another question
        return False
    return record.owner not in names and record.type not in (39, 46)


def _differs(packet: bytes, one: Asked) -> str:
    """Where the records of a good answer did not all arrive."""
    if one.reply is None:
        return "no answer"
    packet = for_name(packet, one.packet[13:21])
    if packet[3] & 15 != one.rcode:
        return f"rcode {one.rcode} in place of {packet[3] & 15}"
    want, got = _answers(packet), _answers(one.reply)
    return "" if want == got else f"{got} in place of {want}"


def _answers(packet: bytes) -> set[tuple[bytes, int, bytes]]:
    found = [record for record in records(packet) if not record.section]
    return {(one.owner, one.type, name_at(packet, one.at)[0] if one.type == 5 else one.rdata) for one in found}


def _nothing_foreign_is_kept(server: Server) -> None:
    """Names that no client asked for are asked now: the truth comes, from the upstream."""
    for name in _others():
        reply = server.udp(query(name))
        assert reply is not None
        assert LIE not in reply
        if not name.endswith("example"):
            assert [record.rdata for record in records(reply) if not record.section] == [bytes((192, 0, 2, 9))], name


def _others() -> Iterator[str]:
    yield from (name for name in FOREIGN if "seedname" not in name)
    yield from ALIASES
