"""T04: the same questions to blockerd, Unbound and Knot Resolver over the same upstream are answered alike.

Compared are rcode, answer set (over TCP where UDP was cut), RA, AD and TC. What differs must stand in REASONS, which
docs/resolver-trials.md tells in full.
"""

import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.trials.alike import Asked, cut, questions, script
from tests.trials.asking import ask_all
from tests.trials.figures import DOCUMENT, note
from tests.trials.peers import knot, unbound
from tests.trials.reading import name_at, records
from tests.trials.seed import Kind, load
from tests.trials.server import Server, framed
from tests.trials.stub import upstream
from tests.trials.test_queries import outcome


@dataclass(frozen=True, slots=True)
class Answer:
    """What is compared of one answer."""

    rcode: int | None
    records: frozenset[tuple[bytes, int, bytes]]
    ra: bool
    ad: bool
    tc: bool


FIELDS = ("rcode", "records", "ra", "ad", "tc")
Explains = Callable[[str, Asked, str, Answer, Answer], bool]
"""(peer, question, field, ours, theirs)."""

REASONS: dict[str, Explains] = {
    "rd-zero": lambda peer, one, field, our, their: one.shape == "no RD" and their.rcode == 5,
    "any": lambda peer, one, field, our, their: one.kind == "any" and field in ("rcode", "records"),
    "ad": lambda peer, one, field, our, their: field == "ad" and our.ad and one.kind == "signed",
    "signatures": lambda peer, one, field, our, their: (
        peer == "knot" and field == "records" and {rtype for _, rtype, _ in our.records - their.records} == {46}
    ),
    "long-chain": lambda peer, one, field, our, their: peer == "unbound" and one.kind == "chain16" and their.rcode == 2,
    "refused": lambda peer, one, field, our, their: (
        peer == "knot" and field == "rcode" and one.kind == "refused" and (our.rcode, their.rcode) == (2, 5)
    ),
    "udp-size": lambda peer, one, field, our, their: (
        peer == "unbound" and field == "tc" and one.shape == "big" and our.tc
    ),
    "special": lambda peer, one, field, our, their: one.kind == "special" and one.shape != "a.example",
}
"""What may differ, told in full in the document. The first that holds counts."""


@pytest.mark.needs_tool("unbound")
@pytest.mark.needs_tool("kresd", "knot-resolver")
def test_1000_questions_are_answered_alike_or_the_reason_is_written_down(tmp_path: Path):
    _compare(tmp_path, 1000)


@pytest.mark.soak
@pytest.mark.needs_tool("unbound")
@pytest.mark.needs_tool("kresd", "knot-resolver")
def test_10000_questions_are_answered_alike_or_the_reason_is_written_down(tmp_path: Path):
    found = _compare(tmp_path, 10_000)
    told = ", ".join(f"{reason} {count:,}" for reason, count in sorted(found.items()))
    note("T04", f"20,000 pairs of answers, all alike in rcode, answer set, RA, AD, TC but for: {told}")


@pytest.mark.soak
@pytest.mark.needs_tool("unbound")
def test_refusals_beside_unbound(tmp_path: Path):
    """T01: how many of the seeds that the RFCs have refused are refused the same way by Unbound."""
    refused = [seed for seed in load(Kind.QUERY) if seed.outcome.isdecimal()]
    with (
        upstream(script) as stub, unbound(tmp_path / "unbound", stub.port) as port,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):  # fmt: skip
        sock.connect(("127.0.0.1", port))
        asked = ask_all(sock, [seed.packet for seed in refused], window=8, patience=2)
    same = sum(outcome(one.reply) == seed.outcome for seed, one in zip(refused, asked, strict=True))
    silent = sum(one.reply is None for one in asked)
    note("T01", f"held in every run (test_queries.py); of the {len(refused):,} to be refused Unbound refuses "
         f"{same:,} by the same rcode and is silent to {silent}")  # fmt: skip
    assert same > len(refused) * 0.6


def test_each_reason_is_told_in_the_document():
    text = DOCUMENT.read_text("utf-8")
    assert [reason for reason in REASONS if f"`{reason}`" not in text] == []


def _compare(tmp_path: Path, count: int) -> Counter[str]:
    """How many answers differed, by reason; fails for one without."""
    asked = list(questions(count))
    with (
        upstream(script) as stub, Server(tmp_path / "ours", stub.port) as server,
        unbound(tmp_path / "unbound", stub.port) as first, knot(tmp_path / "knot", stub.port) as second,
    ):  # fmt: skip
        ours, *others = [_all(port, asked) for port in (server.port, first, second)]
    found: Counter[str] = Counter()
    unexplained = []
    for peer, theirs in zip(("unbound", "knot"), others, strict=True):
        for one, our, their in zip(asked, ours, theirs, strict=True):
            for field in FIELDS:
                if getattr(our, field) != getattr(their, field):
                    reason = _reason(peer, one, field, our, their)
                    found[reason] += 1
                    if not reason:
                        values = getattr(our, field), getattr(their, field)
                        unexplained.append(f"{peer} {one.kind} type {one.qtype} {one.shape} {field}: {values}"[:300])
    assert unexplained == [], Counter(" ".join(text.split()[:6]) for text in unexplained).most_common(60)
    return found


def _reason(peer: str, one: Asked, field: str, our: Answer, their: Answer) -> str:
    return next((name for name, holds in REASONS.items() if holds(peer, one, field, our, their)), "")


def _all(port: int, asked: list[Asked]) -> list[Answer]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.connect(("127.0.0.1", port))
        replies = [one.reply for one in ask_all(sock, [one.packet for one in asked], window=16, patience=15)]
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda pair: _answer(port, *pair), zip(asked, replies, strict=True)))


def _answer(port: int, asked: Asked, reply: bytes | None) -> Answer:
    if reply is None:
        return Answer(None, frozenset(), False, False, False)
    was_cut = cut(reply)
    if was_cut:
        with socket.create_connection(("127.0.0.1", port), 10) as sock, sock.makefile("rb") as stream:
            sock.sendall(framed(asked.packet))
            reply = stream.read(int.from_bytes(stream.read(2), "big"))
    found = [record for record in records(reply) if record.section == 0]
    answers = frozenset((one.owner, one.type, _rdata(reply, one.at, one.type, one.rdata)) for one in found)
    return Answer(reply[3] & 15, answers, bool(reply[3] & 0x80), bool(reply[3] & 0x20), was_cut)


_NAMES = {2: 0, 5: 0, 12: 0, 39: 0, 15: 2, 18: 2, 36: 2, 33: 6}
"""Types whose RDATA ends in a name that may be compressed, and how many octets stand before it."""


def _rdata(packet: bytes, at: int, rtype: int, rdata: bytes) -> bytes:
    """RDATA with names unfolded."""
    if rtype == 6:
        first, after = name_at(packet, at)
        second, after = name_at(packet, after)
        return first + second + packet[after : at + len(rdata)]
    before = _NAMES.get(rtype)
    return rdata if before is None else rdata[:before] + name_at(packet, at + before)[0]
