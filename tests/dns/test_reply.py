"""What an upstream's answer says, and what of it is let go, is refused or is kept for how long."""

import random
from itertools import pairwise

import dns.exception
import dns.message
import dns.name
import pytest

from blockerd.dns import reply
from blockerd.dns.engine import Forward
from blockerd.dns.gate import Question
from blockerd.dns.reply import Malformed, Scan, matches, scan
from tests.fakes import packets
from tests.fakes.packets import AAAA, CNAME, HTTPS, a, cname, https, query, record, response, soa, wire
from tests.fakes.policies import policy
from tests.fakes.resolvers import CLIENT, engine_of, read_question

ASKED = query("site.test")
ME = b"\xc0\x0c"


def _question(qtype: int = packets.A) -> Question:
    return read_question(query("site.test", qtype))


def _scan(answers: list[bytes], authority: list[bytes] | None = None, *, rcode: int = 0, qtype: int = 1) -> Scan:
    asked = query("site.test", qtype)
    return scan(response(asked, answers, authority or [], rcode=rcode), read_question(asked))


def _chain(links: int) -> list[bytes]:
    names = ["site.test", *(f"n{number}.test" for number in range(1, links + 1))]
    return [cname(owner, target) for owner, target in pairwise(names)] + [a(names[-1])]


@pytest.mark.parametrize("links", [1, 8, 16])
def test_a_chain_of_up_to_16_links_is_followed_in_order(links: int):
    got = _scan(_chain(links))
    assert got.targets == tuple(wire(f"n{number}.test") for number in range(1, links + 1))
    assert not got.foreign
    assert got.ttl == 300


def test_a_chain_of_17_links_is_refused():
    with pytest.raises(Malformed, match="16 links"):
        _scan(_chain(17))


@pytest.mark.parametrize(
    "answers",
    [
        [cname("site.test", "site.test")],
        [cname("site.test", "a.test"), cname("a.test", "site.test")],
        [cname("site.test", "a.test"), cname("a.test", "b.test"), cname("b.test", "a.test")],
    ],
)
def test_a_chain_that_loops_is_refused(answers: list[bytes]):
    with pytest.raises(Malformed):
        _scan(answers)


def test_a_chain_out_of_order_is_followed_all_the_same():
    assert _scan(list(reversed(_chain(3)))).targets == (wire("n1.test"), wire("n2.test"), wire("n3.test"))


def test_case_of_owner_and_target_is_no_matter():
    assert _scan([cname("SITE.test", "N1.Test"), a("n1.TEST")]).targets == (wire("n1.test"),)


def test_a_name_with_two_different_cnames_is_refused():
    with pytest.raises(Malformed, match="two CNAMEs"):
        _scan([cname("site.test", "a.test"), cname("site.test", "b.test"), a("a.test")])


@pytest.mark.parametrize("length", [0, 1, 5, 9])
def test_a_cname_whose_target_does_not_fill_its_record_is_refused(length: int):
    target = wire("b.test")
    rdata = target[:length] if length < len(target) else target + b"\x00"
    with pytest.raises(Malformed):
        _scan([record("site.test", CNAME, rdata), a("b.test")])


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        (b"\x40" + b"a" * 64 + b"\x00", "label type"),
        (b"\x80\x00", "label type"),
        (b"\xff\xff", "pointer past the end"),
        (b"\x3f" + b"a" * 20, "label past the end"),
    ],
)
def test_a_broken_owner_name_is_refused(owner: bytes, why: str):
    packet = response(ASKED, [record(owner, packets.A, b"\xc0\x00\x02\x01")])
    with pytest.raises(Malformed):
        scan(packet, _question())
    assert why


def test_an_owner_that_begins_within_the_question_is_another_name():
    assert scan(response(ASKED, [record(b"\xc0\x11", packets.A, bytes(4))]), _question()).foreign


def test_pointers_forwards_and_to_themselves_are_refused():
    start = len(response(ASKED))
    for target in (start, start + 2, start + 40):
        pointer = (0xC000 | target).to_bytes(2, "big")
        packet = response(ASKED, [record(pointer, packets.A, bytes(4)), record(ME, packets.A, bytes(4))])
        with pytest.raises(Malformed):
            scan(packet, _question())


def test_many_pointers_to_pointers_end():
    """Each must point before the last one, so the steps are bounded by the message (RFC 9267 section 2)."""
    base = len(response(ASKED))
    steps = b"".join((0xC000 | base + 11 + 2 * n).to_bytes(2, "big") for n in range(500))
    blob = record(b"\x00", 10, b"\xc0\x0c" + steps)
    last = base + 11 + 2 * 500
    packet = response(ASKED, [blob, record((0xC000 | last).to_bytes(2, "big"), packets.A, bytes(4))])
    assert scan(packet, _question()).answers == 2


def test_a_name_over_255_octets_through_pointers_is_refused():
    base = len(response(ASKED))
    first = record(b"\x3f" + b"a" * 63 + b"\x3f" + b"b" * 63 + b"\x3f" + b"c" * 63 + b"\x00", packets.A, bytes(4))
    second = b"\x3f" + b"d" * 63 + (0xC000 | base).to_bytes(2, "big")
    with pytest.raises(Malformed, match="255"):
        scan(response(ASKED, [first, record(second, packets.A, bytes(4))]), _question())


def test_more_than_256_records_are_refused():
    assert _scan([a(ME)] * 256).answers == 256
    with pytest.raises(Malformed, match="too many"):
        _scan([a(ME)] * 257)


def test_a_message_cut_anywhere_is_refused():
    whole = response(ASKED, [cname(ME, "a.test"), a("a.test")], [soa("test")])
    for end in range(len(response(ASKED)), len(whole)):
        with pytest.raises(Malformed):
            scan(whole[:end], _question())


@pytest.mark.parametrize("section", ["answer", "authority", "additional"])
def test_records_of_other_names_in_the_answer_are_foreign(section: str):
    strange = a("bank.test", "203.0.113.9")
    parts = {"answer": [a(ME)], "authority": [], "additional": []}
    parts[section] = [*parts[section], strange]
    got = scan(response(ASKED, *parts.values()), _question())
    assert got.foreign == (section == "answer")


@pytest.mark.parametrize(
    ("target", "found"), [(".", ()), ("alias.test", (wire("alias.test"),)), ("SITE.test", (wire("site.test"),))]
)
def test_the_target_of_a_service_record_is_a_target(target: str, found: tuple[bytes, ...]):
    assert _scan([https(ME, target)], qtype=HTTPS).targets == found


@pytest.mark.parametrize("rdata", [b"", b"\x00", b"\x00\x01", b"\x00\x01\x05alias", b"\x00\x01\xff\xff"])
def test_a_service_record_without_a_whole_target_is_refused(rdata: bytes):
    with pytest.raises(Malformed):
        _scan([record(ME, HTTPS, rdata), a(ME)], qtype=HTTPS)


def test_broken_service_parameters_are_no_matter():
    assert _scan([https(ME, "alias.test", params=b"\x00\x01\xff\xff\x00")], qtype=HTTPS).targets == (
        wire("alias.test"),
    )


@pytest.mark.parametrize(
    ("ttl", "kept"), [(0, 0), (1, 1), (86400, 86400), (86401, 86400), (2**31 - 1, 86400), (2**31, 0), (2**32 - 1, 0)]
)
def test_ttls_are_capped_at_a_day_and_huge_ones_count_as_none(ttl: int, kept: int):
    got = _scan([a(ME, ttl=ttl)])
    assert (got.ttl, got.ttls[0][1]) == (kept, kept)


def test_the_shortest_ttl_of_an_answer_counts():
    assert _scan([cname(ME, "a.test", ttl=40), a("a.test", ttl=900)]).ttl == 40


@pytest.mark.parametrize("rcode", [0, 3])
@pytest.mark.parametrize(
    ("ttl", "minimum", "kept"), [(900, 300, 300), (60, 300, 60), (86400, 86400, 10800), (900, 0, 0), (0, 300, 0)]
)
def test_a_negative_answer_is_kept_as_rfc_2308_says(rcode: int, ttl: int, minimum: int, kept: int):
    assert _scan([], [soa("test", ttl, minimum)], rcode=rcode).ttl == kept


def test_the_soa_of_a_negative_answer_shows_no_longer_ttl_than_it_is_kept():
    (entry,) = _scan([], [soa("test", 86400, 300)], rcode=3).ttls
    assert entry[1] == 300


def test_an_alias_to_nothing_is_kept_for_the_shorter_of_both():
    assert _scan([cname(ME, "a.test", ttl=20)], [soa("test", 900, 300)]).ttl == 20


@pytest.mark.parametrize("rcode", [0, 3])
def test_a_negative_answer_without_soa_is_not_kept(rcode: int):
    assert _scan([], [record("test", packets.NS, wire("ns.test"))], rcode=rcode).ttl == 0


def test_an_soa_too_short_for_its_fields_is_not_believed():
    assert _scan([], [record("test", packets.SOA, bytes(21))], rcode=3).ttl == 0


@pytest.mark.parametrize("rcode", [1, 2, 4, 5, 9])
def test_errors_are_not_kept(rcode: int):
    assert _scan([a(ME)], rcode=rcode).ttl == 0


def test_a_truncated_answer_is_not_kept():
    packet = response(ASKED, [a(ME)], flags=packets.QR | packets.TC)
    assert scan(packet, _question()).ttl == 0


def test_an_answer_to_a_question_for_the_alias_itself_is_kept():
    assert _scan([cname(ME, "a.test", ttl=77)], qtype=CNAME).ttl == 77


def test_an_answer_of_another_type_is_not_kept_as_the_answer():
    assert _scan([record(ME, AAAA, bytes(16))]).ttl == 0


def test_only_the_answer_to_the_very_question_matches():
    sent = query("site.test", edns=packets.opt())
    good = response(sent, [a(ME)])
    assert matches(good, sent)
    wrong = {
        "id": b"\xff\xff" + good[2:],
        "qr": good[:2] + b"\x01" + good[3:],
        "opcode": good[:2] + b"\xa9" + good[3:],
        "name": response(query("site.tesT"), [a(ME)]),
        "type": response(query("site.test", 28), [a(ME)]),
        "class": response(query("site.test", qclass=3), [a(ME)]),
        "no question": good[:4] + b"\x00\x00" + good[6:],
        "two questions": good[:4] + b"\x00\x02" + good[6:],
        "cut": good[: len(response(sent)) - 1],
        "empty": b"",
    }
    assert [why for why, packet in wrong.items() if matches(packet, sent)] == []


def _owners(packet: bytes) -> set[dns.name.Name]:
    return {rrset.name for rrset in dns.message.from_wire(packet).answer}


def test_foreign_records_reach_neither_client_nor_cache():
    engine, _ = engine_of(policy(), 0.0)
    forward = engine.handle(ASKED, CLIENT, 0.0)
    assert isinstance(forward, Forward)
    reply_ = response(forward.query, [a(ME), a("bank.test", "203.0.113.9")], [a("bank.test")], [a("bank.test")])
    answer = engine.finish(forward, reply_, 0.0)
    again = engine.handle(ASKED, CLIENT, 1.0)
    assert isinstance(again, bytes)
    for packet in (answer, again):
        assert _owners(packet) == {dns.name.from_text("site.test")}
        assert not dns.message.from_wire(packet).additional
    assert len(engine.cache) == 1
    assert isinstance(engine.handle(query("bank.test"), CLIENT, 1.0), Forward)


def _seeds() -> list[bytes]:
    asked = query("site.test", edns=packets.opt())
    return [
        response(asked, [a(ME)], [soa("test")], [packets.opt()]),
        response(asked, [cname(ME, "b.test"), a("b.test"), a("b.test", "192.0.2.9")]),
        response(asked, [https(ME, "b.test", params=b"\x00\x01\x00\x03\x02h2")]),
        response(asked, [a(ME), a("bank.test")], [record("test", 2, wire("ns.test"))], [a("ns.test")]),
        response(asked, [], [soa("test")], rcode=3),
        response(asked, [record(ME, 15, b"\x00\x0a" + wire("mail.test")), record(ME, 33, bytes(6) + wire("b.test"))]),
        response(asked, [record(ME, 46, bytes(18) + wire("test") + bytes(64)), record("test", 39, wire("b.test"))]),
    ]


def _mutated(seed: bytes, chance: random.Random) -> bytes:
    data = bytearray(seed)
    start = len(response(query("site.test")))  # ID and question stay: `matches` has seen to them
    for _ in range(chance.randint(1, 4)):
        at = chance.choice([2, 3, 6, 7, 8, 9, 10, 11, *range(start, len(data))]) if len(data) > start else 3
        match chance.randint(0, 4):
            case 0 | 1:
                data[at] = chance.choice([0, 1, 0x0C, 0x3F, 0x40, 0x80, 0xC0, 0xFF, chance.randrange(256)])
            case 2:
                del data[max(at, start) : max(at, start) + chance.randint(1, 12)]
            case 3:
                data[max(at, start) : max(at, start)] = chance.randbytes(chance.randint(1, 12))
            case _:
                data[max(at, start) :] = data[start : max(at, start)]
    return bytes(data[:2] + bytes((data[2] | 0x80,)) + data[3:])


def test_mutated_answers_end_in_an_answer_or_servfail_and_never_in_another_name():
    """Any octets from an upstream: no exception, an answer a client can use, only names of the question's chain."""
    chance, seeds = random.Random(1035), _seeds()
    engine, _ = engine_of(policy(), 0.0)
    kept = refused = 0
    for number in range(4000):
        packet = _mutated(chance.choice(seeds), chance)
        forward = engine.handle(query("site.test"), CLIENT, 0.0)
        if isinstance(forward, bytes):  # what the last one left in the cache, or its failure
            engine.cache.clear()
            engine.failed.clear()
            forward = engine.handle(query("site.test"), CLIENT, 0.0)
        assert isinstance(forward, Forward)
        answer = engine.finish(forward, packet, 0.0)
        assert answer[2] & 0x80, number
        assert answer[12:27] == query("site.test")[12:27]
        if answer[3] & 15 == 2 and answer[6:8] == b"\x00\x00":
            refused += 1
            continue
        kept += 1
        _only_the_chain(answer)
    assert min(kept, refused) > 200, "the mutations reach both ends"


def _only_the_chain(answer: bytes) -> None:
    got = reply.scan(answer, _question())
    assert not got.foreign
    try:
        read = dns.message.from_wire(answer)
    except dns.exception.DNSException:
        return  # rdata of a kind that only its reader can judge
    chain = [dns.name.from_text("site.test"), *(dns.name.from_wire(target, 0)[0] for target in got.targets)]
    strays = [r.name for r in read.answer if r.name not in chain and r.rdtype not in (39, 46)]
    assert strays == []
