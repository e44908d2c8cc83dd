"""The gate against a corpus written from the RFCs, one case at a time, and against dnspython where that can judge."""

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.dns import gate
from blockerd.dns.engine import Forward
from tests.dns.corpus import ID, Case, cases
from tests.fakes.packets import opt, query
from tests.fakes.policies import policy
from tests.fakes.resolvers import CLIENT, Pair

CASES = cases()


def _outcome(packet: bytes) -> str | int:
    try:
        gate.read(packet)
    except gate.Dropped:
        return "drop"
    except gate.Refused as refused:
        return refused.rcode
    return "answer"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_gate_does_what_the_rfc_asks_for(case: Case):
    assert _outcome(case.packet) == case.outcome, case.section


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hot_path_and_engine_treat_a_case_as_the_gate_does(case: Case):
    pair = Pair(policy(), 0.0)
    pair.engine.handle(query("blocked.example", edns=opt()), CLIENT, 0.0)  # the hot path knows an OPT form
    answer = pair.ask(case.packet, 0.0)
    assert answer == pair.plain.handle(case.packet, CLIENT, 0.0)
    if case.outcome == "drop":
        assert answer is None
    elif case.outcome == "answer":
        assert isinstance(answer, Forward) or case.packet[-3:-2] == b"\xff", "only ANY is answered here"
    else:
        assert isinstance(answer, bytes)
        _refused(case, answer)
    assert isinstance(pair.ask(query("blocked.example"), 0.0), bytes), "a plain query right after is answered"


def _refused(case: Case, answer: bytes) -> None:
    """The rcode and nothing else: the ID, QR, the opcode and RD of the query, and OPT where an OPT could be read."""
    read = dns.message.from_wire(answer)
    assert read.rcode() == case.outcome
    assert answer[:2] == ID
    assert read.flags & dns.flags.QR
    assert dns.opcode.to_flags(read.opcode()) >> 8 == case.packet[2] & 0x78
    assert bool(read.flags & dns.flags.RD) == bool(case.packet[2] & 1)
    assert read.answer == read.authority == []
    assert len(answer) <= len(case.packet) + 11
    if case.outcome == gate.BADVERS:
        assert read.edns == 0, "says the highest version it knows (RFC 6891 section 6.1.3)"


@pytest.mark.parametrize("case", [c for c in CASES if c.outcome == "answer"], ids=lambda case: case.name)
def test_what_passes_is_read_as_dnspython_reads_it(case: Case):
    question = gate.read(case.packet)
    expected = dns.message.from_wire(case.packet)
    assert question.raw[:-4] == expected.question[0].name.to_wire()
    assert (question.id, question.qtype) == (expected.id, expected.question[0].rdtype)
    assert question.edns == (expected.edns == 0)
    assert question.do == bool(expected.ednsflags & dns.flags.DO)
    assert question.size == (max(512, expected.payload) if question.edns else 512)
    flags = (dns.flags.RD, dns.flags.AD, dns.flags.CD)
    assert (question.rd, question.ad, question.cd) == tuple(bool(expected.flags & flag) for flag in flags)


def test_the_corpus_holds_each_outcome_and_each_name_once():
    assert {case.outcome for case in CASES} == {"answer", "drop", 1, 4, 5, 16}
    assert len({case.name for case in CASES}) == len(CASES) >= 100


_label = st.binary(min_size=1, max_size=63)
_edns = st.one_of(
    st.just(b""), st.builds(opt, size=st.integers(0, 65535), do=st.booleans(), options=st.just(b"\xfd\xe9\x00\x01x"))
)


@given(labels=st.lists(_label, max_size=8), qtype=st.integers(1, 65535), edns=_edns, cut=st.integers(0, 40))
def test_a_well_formed_query_passes_and_a_cut_one_does_not(labels: list[bytes], qtype: int, edns: bytes, cut: int):
    packet = query(labels, qtype, edns=edns)
    if sum(1 + len(label) for label in labels) + 1 > 255:
        assert _outcome(packet) == gate.FORMERR
        return
    if qtype in (41, 128, 249, 250, 251, 252):
        assert _outcome(packet) in (gate.REFUSED, gate.FORMERR)
        return
    question = gate.read(packet)
    assert question.name == question.raw[:-4].lower()
    assert dns.message.from_wire(packet, ignore_trailing=False).question[0].name.to_wire() == question.raw[:-4]
    if 0 < cut < len(packet) - 12:
        assert _outcome(packet[:-cut]) == gate.FORMERR


@given(packet=st.binary(max_size=80))
def test_whatever_passes_dnspython_takes_too_and_nothing_else_is_raised(packet: bytes):
    head = b"\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00"
    for octets in (packet, head + b"\x00" + packet, head + b"\x01" + packet):
        if _outcome(octets) == "answer":
            read = dns.message.from_wire(octets, continue_on_error=True)
            assert len(read.question) == 1
