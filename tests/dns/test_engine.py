"""The plain way of one query: order of steps, chains to listed names, what is kept, cut, recorded and passed on."""

from itertools import pairwise

import dns.flags
import dns.message
import pytest

from blockerd.dns.engine import FAILED_FOR, Engine, Forward, block_tail, upstream_query
from blockerd.dns.wire import prepare
from blockerd.policy.decide import Policy
from blockerd.policy.name import from_text
from tests.fakes import packets
from tests.fakes.packets import AAAA, AD, CD, HTTPS, RD, a, cname, https, opt, query, record, response, soa
from tests.fakes.policies import Listing, policy
from tests.fakes.resolvers import CLIENT, Attempted, engine_of, read_question

ME = b"\xc0\x0c"
LISTED = policy(Listing("listed.test", "cam", "list"))


def _forwarded(engine: Engine, packet: bytes, now: float = 0.0, *, stream: bool = False) -> Forward:
    forward = engine.handle(packet, CLIENT, now, stream=stream)
    assert isinstance(forward, Forward)
    return forward


def _answered(engine: Engine, packet: bytes, now: float = 0.0, *, stream: bool = False) -> dns.message.Message:
    answer = engine.handle(packet, CLIENT, now, stream=stream)
    assert isinstance(answer, bytes)
    return dns.message.from_wire(answer)


def _through(
    engine: Engine, packet: bytes, answers: list[bytes], now: float = 0.0, *, rcode: int = 0, flags: int = 0x8180
) -> dns.message.Message:
    """The answer to `packet` when an upstream gives `answers`."""
    forward = _forwarded(engine, packet, now)
    return dns.message.from_wire(
        engine.finish(forward, response(forward.query, answers, rcode=rcode, flags=flags), now)
    )


def _with(policy_: Policy = LISTED) -> tuple[Engine, list[Attempted]]:
    return engine_of(policy_, 0.0)


def _changed(engine: Engine, policy_: Policy) -> None:
    engine.policy = policy_
    engine.fast = prepare(policy_, 0.0, block_tail(policy_), protected_digest=policy_.table.protected_digest)


def _chain(depth: int, end: str) -> list[bytes]:
    names = ["site.test", *(f"n{number}.test" for number in range(1, depth)), end]
    return [cname(owner, target) for owner, target in pairwise(names)] + [a(end)]


@pytest.mark.parametrize("depth", range(1, 17))
def test_a_listed_name_at_any_depth_of_the_chain_is_withheld_and_recorded_once(depth: int):
    engine, attempts = _with()
    read = _through(engine, query("Site.test", edns=opt()), _chain(depth, "www.listed.test"))
    assert (read.rcode(), read.answer) == (3, [])
    assert read.question[0].name.to_text() == "Site.test."
    (attempt,) = attempts
    assert attempt.name == from_text("www.listed.test")
    assert attempt.question.name == from_text("site.test")
    assert (attempt.decision.category, attempt.client) == ("cam", CLIENT)
    assert len(engine.cache) == 0
    assert engine.counters.blocked == 1


def test_an_alias_found_listed_after_it_was_kept_is_withheld():
    engine, attempts = _with(policy())
    assert _through(engine, query("site.test"), _chain(2, "listed.test")).answer
    assert _answered(engine, query("site.test"), 1.0).answer
    _changed(engine, LISTED)
    assert _answered(engine, query("site.test"), 2.0).rcode() == 3
    assert not engine.fast.templates, "nothing for the hot path"
    assert [attempt.name for attempt in attempts] == [from_text("listed.test")]


@pytest.mark.parametrize("opened", [{"protected": ["site.test"]}, {"allow": ["site.test"]}], ids=["protected", "own"])
def test_a_name_that_is_opened_may_lead_to_a_listed_one(opened: dict[str, list[str]]):
    engine, attempts = _with(policy(Listing("listed.test"), **opened))  # type: ignore[arg-type]
    for now in (0.0, 1.0):
        read = _through(engine, query("site.test"), _chain(1, "listed.test")) if not now else _answered(
            engine, query("site.test"), now
        )  # fmt: skip
        assert read.rcode() == 0
        assert len(read.answer) == 2
    assert attempts == []


def test_an_alias_to_a_protected_name_stays_open():
    engine, attempts = _with(policy(Listing("listed.test"), protected=["help.listed.test"]))
    assert _through(engine, query("site.test"), _chain(1, "help.listed.test")).rcode() == 0
    assert attempts == []


@pytest.mark.parametrize(("target", "rcode"), [("listed.test", 3), ("www.listed.test", 3), (".", 0), ("ok.test", 0)])
def test_the_target_of_an_https_record_is_decided(target: str, rcode: int):
    engine, attempts = _with()
    read = _through(engine, query("site.test", HTTPS), [https(ME, target, params=b"\x00\x01\x00\x03\x02h2")])
    assert read.rcode() == rcode
    assert len(attempts) == (rcode == 3)


def test_an_unlisted_answer_passes_to_the_octet():
    engine, _ = _with()
    packet = query("site.test", HTTPS, edns=opt(do=True))
    forward = _forwarded(engine, packet)
    data = [https(ME, ".", params=b"\x00\x04\x00\x04\xc0\x00\x02\x01"), record(ME, 46, bytes(18) + b"\x00" + bytes(64))]
    sent = response(forward.query, data)
    got = engine.finish(forward, sent, 0.0)
    assert got[12 : len(sent)] == packet[12 : packets.question_end(packet)] + b"".join(data)


@pytest.mark.parametrize("answers", [_chain(17, "end.test"), [cname(ME, "b.test"), cname("b.test", "site.test")]])
def test_a_loop_or_an_endless_chain_is_servfail(answers: list[bytes]):
    engine, _ = _with()
    assert _through(engine, query("site.test", edns=opt()), answers).rcode() == 2
    assert engine.counters.servfail == 1
    assert len(engine.cache) == 0


def test_no_reply_at_all_is_servfail():
    engine, _ = _with()
    forward = _forwarded(engine, query("site.test"))
    assert dns.message.from_wire(engine.finish(forward, None, 0.0)).rcode() == 2


def test_the_case_of_each_question_is_kept_from_the_cache_too():
    engine, _ = _with()
    _through(engine, query("site.test"), [a(ME)])
    read = _answered(engine, query("sITe.TeST", qid=7), 1.0)
    assert read.id == 7
    assert read.question[0].name.to_text() == "sITe.TeST."
    assert read.answer[0].name.to_text() == "sITe.TeST."


def test_an_upstream_hears_lower_case_no_options_and_an_id_of_its_own():
    subnet = packets.option(8, b"\0\1\x18\0\xc0\0\2")
    packet = query("SiTe.TeST", 28, qid=0xBEEF, flags=CD, edns=opt(do=True, options=subnet))
    sent = dns.message.from_wire(upstream_query(read_question(packet)))
    assert sent.question[0].name.to_text() == "site.test."
    assert (sent.id, sent.question[0].rdtype, sent.options) == (0, 28, ())
    assert sent.flags & (dns.flags.RD | dns.flags.CD) == dns.flags.RD | dns.flags.CD
    assert sent.ednsflags & dns.flags.DO
    assert sent.payload == 1232


@pytest.mark.parametrize("upstream_says", [True, False])
@pytest.mark.parametrize(
    ("flags", "edns", "wanted"), [(RD, b"", False), (RD | AD, b"", True), (RD, opt(do=True), True)]
)
def test_ad_is_shown_to_who_asks_if_the_upstream_set_it(upstream_says: bool, flags: int, edns: bytes, wanted: bool):
    engine, _ = _with()
    packet = query("site.test", flags=flags, edns=edns)
    said = packets.QR | packets.RA | (AD if upstream_says else 0)
    for read in (_through(engine, packet, [a(ME)], flags=said), _answered(engine, packet, 1.0)):
        assert bool(read.flags & dns.flags.AD) is (wanted and upstream_says)
        assert not read.flags & dns.flags.AA


def test_cd_and_do_have_answers_of_their_own():
    engine, _ = _with()
    _through(engine, query("site.test"), [a(ME)])
    for packet in (query("site.test", flags=RD | CD), query("site.test", edns=opt(do=True)), query("site.test", AAAA)):
        assert isinstance(engine.handle(packet, CLIENT, 1.0), Forward)


@pytest.mark.parametrize(
    ("edns", "most"), [(b"", 512), (opt(size=900), 900), (opt(size=65535), 1232), (opt(size=0), 512)]
)
def test_what_is_too_big_for_udp_is_cut_and_comes_whole_over_tcp(edns: bytes, most: int):
    engine, _ = _with()
    packet, big = query("site.test", edns=edns), [a(ME, f"192.0.2.{number}") for number in range(200)]
    forward = _forwarded(engine, packet)
    whole = response(forward.query, big)
    for cut in (engine.finish(forward, whole, 0.0), engine.handle(packet, CLIENT, 1.0)):
        assert isinstance(cut, bytes)
        assert len(cut) <= most
        assert dns.message.from_wire(cut).flags & dns.flags.TC
    read = _answered(engine, packet, 1.0, stream=True)
    assert len(read.answer[0]) == 200
    assert not read.flags & dns.flags.TC
    assert not engine.fast.templates, "too big for the hot path"


def test_the_policy_speaks_before_the_cache():
    engine, attempts = _with(policy())
    _through(engine, query("www.listed.test"), [a(ME)])
    _changed(engine, LISTED)
    assert _answered(engine, query("www.listed.test"), 1.0).rcode() == 3
    _changed(engine, policy())
    assert _answered(engine, query("www.listed.test"), 2.0).answer
    assert len(attempts) == 1


@pytest.mark.parametrize(("ttl", "shown"), [(100, 100), (86401, 86400), (2**31 - 1, 86400)])
def test_a_ttl_is_capped_from_the_first_answer_on_and_counts_down(ttl: int, shown: int):
    engine, _ = _with()
    assert _through(engine, query("site.test"), [a(ME, ttl=ttl)]).answer[0].ttl == shown
    assert _answered(engine, query("site.test"), 60.9).answer[0].ttl == shown - 60
    assert _answered(engine, query("site.test"), shown - 0.5).answer[0].ttl == 1
    assert isinstance(engine.handle(query("site.test"), CLIENT, float(shown)), Forward)


@pytest.mark.parametrize("ttl", [0, 2**31, 2**32 - 1])
def test_a_ttl_of_nothing_or_too_much_is_passed_on_as_zero_and_not_kept(ttl: int):
    engine, _ = _with()
    assert _through(engine, query("site.test"), [a(ME, ttl=ttl)]).answer[0].ttl == 0
    assert isinstance(engine.handle(query("site.test"), CLIENT, 0.0), Forward)


def test_a_negative_answer_is_kept_and_counts_down():
    engine, _ = _with()
    forward = _forwarded(engine, query("no.test"))
    engine.finish(forward, response(forward.query, [], [soa("test", 900, 300)], rcode=3), 0.0)
    read = _answered(engine, query("no.test"), 100.0)
    assert (read.rcode(), read.authority[0].ttl) == (3, 200)
    assert isinstance(engine.handle(query("no.test"), CLIENT, 300.0), Forward)


@pytest.mark.parametrize("rcode", [1, 2, 4, 5])
def test_an_upstream_that_has_no_answer_is_a_failure_whatever_it_says(rcode: int):
    """RFC 9520 section 2.2."""
    engine, _ = _with()
    assert _through(engine, query("site.test"), [], rcode=rcode).rcode() == 2
    assert isinstance(engine.handle(query("site.test"), CLIENT, 0.0), bytes)


def test_a_name_that_is_listed_while_its_question_is_under_way_is_withheld():
    engine, attempts = _with()
    forward = _forwarded(engine, query("site.test"))
    engine.policy = policy(Listing("site.test"))
    reply = response(forward.query, [a(ME)])
    assert engine.finish(forward, reply, 0.0)[3] & 15 == 3
    assert engine.finish(forward, reply, 0.0, told=True)[3] & 15 == 3
    assert [attempt.name for attempt in attempts] == [from_text("site.test")], "once: the second was told before"


def test_a_failure_is_remembered_for_some_seconds_and_said_to_be_an_old_one():
    """RFC 9520 section 3.2: at least a second, at most five minutes."""
    engine, _ = _with()
    assert _through(engine, query("site.test", edns=opt()), [], rcode=2).rcode() == 2
    again = engine.handle(query("site.test", edns=opt()), CLIENT, 1.0)
    assert isinstance(again, bytes)
    read = dns.message.from_wire(again)
    assert (read.rcode(), [option.code for option in read.options if hasattr(option, "code")]) == (2, [13])
    assert isinstance(engine.handle(query("site.test", 28), CLIENT, 1.0), Forward), "another question"
    assert isinstance(engine.handle(query("site.test"), CLIENT, FAILED_FOR), Forward)


def test_a_failure_whose_client_has_had_an_old_answer_is_remembered_longer_and_is_no_answer():
    """RFC 8767 section 5: not asked again for 30 s while there is an old answer to serve."""
    engine, _ = _with()
    _through(engine, query("site.test"), [a(ME, ttl=60)])
    forward = _forwarded(engine, query("site.test"), 61.0)
    assert engine.late(forward, 62.8) is not None
    assert engine.finish(forward, None, 65.0, told=True) == b""
    assert engine.counters.servfail == 0
    assert isinstance(engine.handle(query("site.test"), CLIENT, 94.9), bytes)
    assert isinstance(engine.handle(query("site.test"), CLIENT, 95.0), Forward)


def test_what_could_not_even_be_asked_is_no_failure_to_remember():
    engine, _ = _with()
    assert engine.finish(_forwarded(engine, query("site.test")), b"", 0.0)[3] & 15 == 2
    assert isinstance(engine.handle(query("site.test"), CLIENT, 0.0), Forward)


def test_further_clients_of_one_query_get_answers_of_their_own():
    engine, attempts = _with()
    asked = [query("site.test", qid=1), query("SITE.test", qid=2, edns=opt())]
    forwards = [_forwarded(engine, packet) for packet in asked]
    assert forwards[0].key == forwards[1].key
    for first, forward in zip((True, False), forwards, strict=True):
        read = dns.message.from_wire(
            engine.finish(forward, response(forward.query, _chain(1, "listed.test")), 0.0, first=first)
        )
        assert (read.id, read.rcode(), read.edns) == (forward.question.id, 3, 0 if forward.question.edns else -1)
    assert len(attempts) == 2, "each question is an attempt; merging by site comes later"


def test_a_dropped_name_gets_no_answer_and_is_recorded():
    drop = policy(Listing("$TTL 60\nsite.test CNAME rpz-drop.\n", format="rpz"))
    engine, attempts = _with(drop)
    assert engine.handle(query("site.test"), CLIENT, 0.0) is None
    forward = _forwarded(engine, query("other.test"))
    assert engine.finish(forward, response(forward.query, _chain(1, "site.test")[:1]), 0.0) != b""
    assert len(attempts) == 1


def test_a_rewrite_is_answered_and_is_no_attempt():
    engine, attempts = _with(policy(Listing("192.0.2.9 home.test", own=True)))
    assert [rdata.to_text() for rdata in _answered(engine, query("home.test")).answer[0]] == ["192.0.2.9"]
    assert attempts == []


def test_the_counters_count():
    engine, _ = _with()
    _through(engine, query("site.test"), [a(ME)])
    for packet in (query("site.test"), query("listed.test"), b"short", query("a.test", qclass=3), query("a.test")):
        engine.handle(packet, CLIENT, 1.0)
    got = engine.counters
    assert (got.queries, got.blocked, got.cached, got.forwarded) == (6, 1, 1, 2)
    assert (got.refused, got.dropped, got.servfail) == (1, 1, 0)


def test_an_old_answer_is_served_with_a_short_life_while_nobody_can_be_asked():
    """RFC 8767 section 4 and 5: TTL 30, EDE 3, for a day, and asked again after 30 s at the latest."""
    engine, _ = _with()
    _through(engine, query("site.test"), [a(b"\xc0\x0c", ttl=60)])
    forward = _forwarded(engine, query("site.test", qid=7, edns=opt()), 61.0)
    assert engine.has_old(forward, 61.0)
    for old in (engine.late(forward, 62.8), engine.finish(forward, None, 65.0)):
        assert old is not None
        read = dns.message.from_wire(old)
        assert (read.id, read.answer[0].ttl) == (7, 30)
        assert [option.code for option in read.options if hasattr(option, "code")] == [3]
    again = engine.handle(query("site.test"), CLIENT, 94.0)
    assert isinstance(again, bytes), "no upstream is tried for half a minute"
    assert isinstance(engine.handle(query("site.test"), CLIENT, 95.0), Forward)
    late = _forwarded(engine, query("site.test"), 60.0 + 86400)
    assert engine.finish(late, None, 60.0 + 86400)[3] & 15 == 2, "a day is enough"


def test_an_old_answer_is_not_served_for_a_name_that_is_listed_by_now():
    engine, attempts = _with()
    _through(engine, query("site.test"), [cname(b"\xc0\x0c", "cdn.test"), a("cdn.test")])
    forward = _forwarded(engine, query("site.test"), 4000.0)
    engine.policy = policy(Listing("cdn.test"))
    assert engine.finish(forward, None, 4001.0)[3] & 15 == 3
    assert [attempt.name for attempt in attempts] == [from_text("cdn.test")]


def test_any_is_answered_with_one_record_that_says_why():
    """RFC 8482 section 4.2."""
    engine, _ = _with()
    answer = engine.handle(query("site.test", 255), CLIENT, 0.0)
    assert isinstance(answer, bytes)
    read = dns.message.from_wire(answer)
    assert [rrset.to_text() for rrset in read.answer] == ['site.test. 3600 IN HINFO "RFC8482" ""']


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.0.1", "127.0.0.1", "0.0.0.0", "169.254.7.7", "172.20.0.1"])
def test_an_answer_from_outside_does_not_lead_into_the_home(address: str):
    engine, attempts = _with()
    read = _through(engine, query("site.test", edns=opt()), [a(b"\xc0\x0c", address)])
    assert (read.rcode(), read.answer) == (0, [])
    assert [option.code for option in read.options if hasattr(option, "code")] == [15]
    assert attempts == []
    mixed = _through(engine, query("site.test"), [a(b"\xc0\x0c", address), a(b"\xc0\x0c", "192.0.2.9")])
    assert [item.to_text() for item in mixed.answer[0]] == ["192.0.2.9"]


def test_a_local_domain_may_lead_into_the_home():
    engine, _ = _with()
    engine.local = frozenset({from_text("lan")})
    read = _through(engine, query("printer.lan"), [a(b"\xc0\x0c", "192.168.1.9")])
    assert [item.to_text() for item in read.answer[0]] == ["192.168.1.9"]


def test_an_own_alias_is_asked_for_and_forgotten_with_the_rule():
    engine, _ = _with()
    plain = engine.policy
    engine.policy = policy(Listing("||site.test^$dnsrewrite=NOERROR;CNAME;b.test\n", trust="rewrite", own=True))
    forward = _forwarded(engine, query("site.test"))
    assert forward.instead == from_text("b.test")
    read = dns.message.from_wire(engine.finish(forward, response(forward.query, [a(b"\xc0\x0c")]), 0.0))
    assert [rrset.name.to_text() for rrset in read.answer] == ["site.test.", "b.test."]
    assert isinstance(engine.handle(query("site.test"), CLIENT, 1.0), bytes), "kept"
    engine.policy = plain
    assert isinstance(engine.handle(query("site.test"), CLIENT, 1.0), Forward), "the name has its own answer again"


def test_an_https_record_from_outside_that_hints_into_the_home_is_dropped():
    engine, _ = _with()
    hint = b"\x00\x04\x00\x04\xc0\xa8\x00\x01"
    read = _through(engine, query("site.test", HTTPS), [record(ME, HTTPS, b"\x00\x01\x00" + hint, 60)])
    assert (read.rcode(), read.answer) == (0, [])


@pytest.mark.parametrize(("listed", "hidden"), [("site.test", True), ("other.test", False)])
def test_the_keys_of_an_encrypted_hello_go_from_names_of_the_policy_while_the_proxy_is_on(listed: str, hidden: bool):
    alpn, keys = b"\x00\x01\x00\x03\x02h2", b"\x00\x05\x00\x04keys"
    engine, _ = engine_of(policy(Listing(listed, "mixed"), categories=["adult"]), 0.0)
    engine.hide_ech = True
    forward = _forwarded(engine, query("site.test", HTTPS))
    answer = engine.finish(forward, response(forward.query, [record(ME, HTTPS, b"\x00\x01\x00" + alpn + keys)]), 0.0)
    assert alpn in answer
    assert (keys not in answer) is hidden
