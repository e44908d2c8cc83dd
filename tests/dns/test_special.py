"""Names that no upstream is asked about, and search engines that another host answers for."""

import dns.message
import dns.rcode
import pytest

from blockerd.dns import safesearch, special
from blockerd.dns.engine import Forward
from blockerd.policy.name import from_text
from tests.fakes.packets import query, record, response, wire
from tests.fakes.policies import Listing, policy
from tests.fakes.resolvers import Pair

A, AAAA, TXT, HTTPS = 1, 28, 16, 65


def _pair(private_relay: str = "block", youtube: str = "moderate", *, engines: bool = True) -> Pair:
    pair = Pair(policy(Listing("x.test")), 0.0)
    pair.engine.special = special.table(private_relay=private_relay)
    pair.engine.safe = safesearch.table(engines=engines, youtube=youtube)
    return pair


def _ask(pair: Pair, name: str, qtype: int = A) -> bytes | Forward | None:
    return pair.engine.handle(query(name, qtype), "127.0.0.1", 0.0)


@pytest.mark.parametrize(
    ("name", "qtype", "rcode", "answer"),
    [
        ("localhost", A, "NOERROR", "127.0.0.1"),
        ("deep.localhost", AAAA, "NOERROR", "::1"),
        ("localhost", TXT, "NOERROR", ""),
        ("a.invalid", A, "NXDOMAIN", ""),
        ("hidden.onion", A, "NXDOMAIN", ""),
        ("printer.local", A, "NXDOMAIN", ""),
        ("x.home.arpa", A, "NXDOMAIN", ""),
        ("resolver.arpa", 64, "NOERROR", ""),
        ("_dns.resolver.arpa", 64, "NOERROR", ""),
        ("1.0.168.192.in-addr.arpa", 12, "NXDOMAIN", ""),
        ("168.192.in-addr.arpa", 2, "NOERROR", ""),
        ("use-application-dns.net", TXT, "NXDOMAIN", ""),
        ("mask.icloud.com", HTTPS, "NXDOMAIN", ""),
    ],
)
def test_a_special_name_is_answered_here(name: str, qtype: int, rcode: str, answer: str):
    got = _ask(_pair(), name, qtype)
    assert isinstance(got, bytes)
    read = dns.message.from_wire(got)
    assert dns.rcode.to_text(read.rcode()) == rcode
    assert [str(rr) for rrset in read.answer for rr in rrset] == ([answer] if answer else [])
    assert bool(read.authority) is not bool(answer)


@pytest.mark.parametrize("name", ["site.test", "notlocalhost", "onion.site.test", "1.1.1.1.in-addr.arpa", "icloud.com"])
def test_an_ordinary_name_is_asked_upstream(name: str):
    assert isinstance(_ask(_pair(), name), Forward)


def test_private_relay_is_a_switch():
    assert isinstance(_ask(_pair(private_relay="allow"), "mask.icloud.com"), Forward)


@pytest.mark.parametrize("qtype", [A, AAAA, HTTPS])
def test_a_search_engine_is_asked_for_by_its_safe_host_and_answered_by_alias(qtype: int):
    pair = _pair()
    forward = _ask(pair, "WWW.Google.de", qtype)
    assert isinstance(forward, Forward)
    safe = from_text("forcesafesearch.google.com")
    assert safe in forward.query
    data = {A: b"\xc0\x00\x02\x01", AAAA: b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01", HTTPS: b"\x00\x01\x00"}[qtype]
    reply = response(forward.query, [record(wire("forcesafesearch.google.com"), qtype, data, 300)])
    read = dns.message.from_wire(pair.engine.finish(forward, reply, 0.0))
    assert read.question[0].name.to_text() == "WWW.Google.de."
    assert read.answer[0][0].to_text() == "forcesafesearch.google.com."
    assert read.answer[1].name.to_text() == "forcesafesearch.google.com."
    again = _ask(pair, "www.google.de", qtype)
    assert isinstance(again, bytes), "kept like any other answer"


def test_other_types_and_other_hosts_of_a_search_engine_are_left_alone():
    for name, qtype in (("www.google.de", TXT), ("mail.google.com", A)):
        forward = _ask(_pair(), name, qtype)
        assert isinstance(forward, Forward)
        assert not forward.instead


def test_youtube_has_a_switch_of_its_own():
    hosts = {
        "off": b"",
        "moderate": from_text("restrictmoderate.youtube.com"),
        "strict": from_text("restrict.youtube.com"),
    }
    for setting, host in hosts.items():
        forward = _ask(_pair(youtube=setting, engines=False), "www.youtube.com")
        assert isinstance(forward, Forward)
        assert forward.instead == host
        other = _ask(_pair(youtube=setting, engines=False), "www.google.com")
        assert isinstance(other, Forward)
        assert not other.instead
