"""Answers that are ours, as dnspython reads them: what is withheld says so, names no person and fits its packet."""

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from blockerd.dns import message
from blockerd.dns.gate import BADVERS, FORMERR, NOTIMP
from blockerd.model import Action, Decision
from tests.fakes.packets import AD, CD, RD, opt, query
from tests.fakes.resolvers import read_question

TYPES = [1, 2, 5, 6, 12, 15, 16, 28, 33, 43, 64, 65, 255, 257, 65280]
NX, NODATA = Decision(Action.NXDOMAIN, "listed"), Decision(Action.NODATA, "listed")


def _blocked(
    qtype: int = 1, decision: Decision = NX, *, zero: bool = False, edns: bytes = b"", flags: int = RD, ttl: int = 60
) -> dns.message.Message:
    packet = query("WwW.Site.test", qtype, edns=edns, flags=flags)
    answer = message.blocked(read_question(packet), decision, zero=zero, ttl=ttl)
    assert len(answer) <= 512
    return dns.message.from_wire(answer)


def _ede(read: dns.message.Message) -> list[int]:
    return [int(option.code) for option in read.options if isinstance(option, dns.edns.EDEOption)]


@pytest.mark.parametrize("qtype", TYPES)
@pytest.mark.parametrize("decision", [NX, NODATA], ids=["nxdomain", "nodata"])
def test_every_type_is_withheld_with_an_soa(qtype: int, decision: Decision):
    read = _blocked(qtype, decision)
    assert read.rcode() == (dns.rcode.NXDOMAIN if decision is NX else dns.rcode.NOERROR)
    assert not read.answer
    (soa,) = read.authority
    assert (soa.rdtype, soa.ttl, soa[0].minimum) == (dns.rdatatype.SOA, 60, 60)


@pytest.mark.parametrize("ttl", [1, 60, 86400])
def test_the_ttl_is_the_one_of_the_settings(ttl: int):
    (soa,) = _blocked(ttl=ttl).authority
    assert (soa.ttl, soa[0].minimum) == (ttl, ttl)


@pytest.mark.parametrize(("qtype", "address"), [(1, "0.0.0.0"), (28, "::")])
def test_zero_makes_up_an_address_and_says_forged(qtype: int, address: str):
    read = _blocked(qtype, NODATA, zero=True, edns=opt())
    assert [rdata.to_text() for rdata in read.answer[0]] == [address]
    assert read.answer[0].ttl == 60
    assert not read.authority
    assert _ede(read) == [4]


@pytest.mark.parametrize("qtype", [qtype for qtype in TYPES if qtype not in (1, 28)])
def test_zero_has_no_data_of_any_other_type(qtype: int):
    read = _blocked(qtype, NODATA, zero=True, edns=opt())
    assert (read.rcode(), read.answer, len(read.authority)) == (0, [], 1)
    assert _ede(read) == [17]


@pytest.mark.parametrize("do", [False, True])
def test_with_edns_the_answer_says_filtered_and_copies_do(do: bool):
    read = _blocked(edns=opt(do=do, size=4096))
    assert _ede(read) == [17]
    assert (read.edns, read.payload) == (0, message.UDP_SIZE)
    assert bool(read.ednsflags & dns.flags.DO) is do
    assert [option.text for option in read.options] == [None]


def test_without_edns_there_is_none():
    assert _blocked().edns == -1


@pytest.mark.parametrize("flags", [0, RD, RD | AD, RD | CD, CD])
def test_rd_and_cd_are_copied_and_ad_is_never_claimed(flags: int):
    got = _blocked(flags=flags).flags
    assert got & (dns.flags.RD | dns.flags.CD) == flags & (dns.flags.RD | dns.flags.CD)
    assert got & dns.flags.RA
    assert got & dns.flags.QR
    assert not got & (dns.flags.AD | dns.flags.AA | dns.flags.TC)


def test_id_and_case_of_the_question_come_back():
    read = _blocked()
    assert read.id == 0x1234
    assert read.question[0].name.to_text() == "WwW.Site.test."


@pytest.mark.parametrize("name", ["localhost", "a.nobody.invalid", "x.invalid", "nobody.invalid"])
def test_names_that_the_soa_shares_are_answered_too(name: str):
    question = read_question(query(name, edns=opt()))
    read = dns.message.from_wire(message.blocked(question, NX, zero=False, ttl=60))
    assert read.authority[0][0].to_text() == "localhost. nobody.invalid. 1 3600 1200 604800 60"


@pytest.mark.parametrize("labels", [[b"\xff\x00\\.", b"test"], [b"a" * 63] * 3 + [b"b" * 61], [b"w.w", b"test"]])
def test_labels_of_any_octets_come_back_whole(labels: list[bytes]):
    packet = query(labels)
    answer = message.blocked(read_question(packet), NX, zero=False, ttl=60)
    assert answer[12 : len(packet)] == packet[12:]
    assert dns.message.from_wire(answer).authority[0].name.to_wire() == packet[12:-4]


def test_a_rewrite_answers_its_own_types_and_has_no_data_of_others():
    data = (("A", "192.0.2.5"), ("A", "192.0.2.6"), ("AAAA", "2001:db8::5"))
    got = {}
    for qtype in (1, 28, 16):
        read = dns.message.from_wire(message.local(read_question(query("site.test", qtype, edns=opt())), data, ttl=9))
        got[qtype] = sorted(rdata.to_text() for rrset in read.answer for rdata in rrset)
        assert _ede(read) == [4]
        assert read.rcode() == 0
    assert got == {1: ["192.0.2.5", "192.0.2.6"], 28: ["2001:db8::5"], 16: []}


def test_a_rewrite_to_another_name_is_told_where_it_is_asked_for():
    read = dns.message.from_wire(message.local(read_question(query("a.test", 5)), (("CNAME", "b.test"),), ttl=9))
    assert [rrset.to_text() for rrset in read.answer] == ["a.test. 9 IN CNAME b.test."]


@pytest.mark.parametrize(("text", "told"), [("20 mail.test", "20 mail.test."), ("mail.test", "10 mail.test.")])
def test_a_rewritten_mail_exchange_keeps_its_preference(text: str, told: str):
    read = dns.message.from_wire(message.local(read_question(query("a.test", 15)), (("MX", text),), ttl=9))
    assert read.answer[0][0].to_text() == told


def test_servfail_says_that_the_network_was_at_fault():
    read = dns.message.from_wire(message.failure(read_question(query("a.test", edns=opt())), 2))
    assert (read.rcode(), _ede(read)) == (dns.rcode.SERVFAIL, [23])


@pytest.mark.parametrize("rcode", [FORMERR, NOTIMP, BADVERS])
def test_a_refusal_is_a_header_and_at_most_an_opt(rcode: int):
    answer = message.refusal(query("a.test", edns=opt(version=1)), rcode, edns=False)
    read = dns.message.from_wire(answer)
    assert (read.rcode(), read.question) == (rcode, [])
    assert len(answer) == (23 if rcode == BADVERS else 12)


def test_a_cut_answer_keeps_question_and_opt_and_says_so():
    question = read_question(query("SITE.test", edns=opt(do=True)))
    whole = message.blocked(question, NX, zero=False, ttl=60)
    read = dns.message.from_wire(message.truncated(whole, question))
    assert read.flags & dns.flags.TC
    assert read.question[0].name.to_text() == "SITE.test."
    assert (read.answer, read.authority, read.edns, read.ednsflags & dns.flags.DO) == ([], [], 0, dns.flags.DO)
