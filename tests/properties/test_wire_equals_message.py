"""The hot path against the plain one: whatever `wire` answers, the engine would answer, and it records the same.

Random small policies, questions, upstream replies and changes of policy. The engine beside is never fed by the hot
path, so that an answer which the hot path learned wrongly shows.
"""

from dataclasses import dataclass
from typing import Any

import dns.flags
import dns.message
import dnslib
import pytest
from hypothesis import Phase, event, example, given, settings
from hypothesis import strategies as st

from blockerd.dns import gate
from blockerd.dns.engine import Forward
from blockerd.dns.wire import SHAPES, next_second
from blockerd.model import Action, Decision, Query
from blockerd.policy.decide import WILDCARD, Policy, decide
from blockerd.policy.match import COMBO_MASK, STRIP_UNKNOWN, STRIP_UP
from blockerd.policy.name import suffixes
from tests.fakes import packets
from tests.fakes.packets import opt, query, response
from tests.fakes.policies import Listing, policy
from tests.fakes.resolvers import CLIENT, Hot, Pair

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""A failing example has a dozen lines as it is; making it smaller takes minutes."""

_tail = st.sampled_from(["test", "invalid", "localhost", "co.uk", "github.io", "sex", "ck"])
_labels = st.lists(st.sampled_from(["a", "www"]), min_size=1, max_size=3)
_name = st.builds(lambda labels, tail: ".".join([*labels, tail]), _labels, _tail)
_names = st.lists(_name, min_size=1, max_size=6)

_adblock = st.builds(
    lambda form, name, other: form.format(name, other),
    st.sampled_from(
        ["||{}^", "||{}^", "||{}^", "@@||{}^", "||{}^$important", "||{}^$dnstype=AAAA", "||{}^$denyallow={}",
         "@@||{}^$important", "|{}^", "/^www[.]a/", "/[.]a[.]sex$/", "||{}^$dnsrewrite=192.0.2.77", "||sex^"]
    ),
    _name, _name,
)  # fmt: skip
_listing = st.one_of(
    st.builds(lambda names: "\n".join(names), _names).map(lambda text: {"text": text, "format": "domains"}),
    st.builds(lambda names: "\n".join("*." + n for n in names), _names).map(
        lambda t: {"text": t, "format": "wildcard"}
    ),
    st.builds(lambda names: "\n".join(f"local=/*.{n}/" for n in names), _names).map(
        lambda text: {"text": text, "format": "dnsmasq"}
    ),
    st.lists(_adblock, min_size=1, max_size=5).map(lambda lines: {"text": "\n".join(lines), "format": "adblock"}),
)
_lists = st.lists(
    st.tuples(
        _listing, st.sampled_from(["adult", "cam", "chat"]), st.sampled_from(["subtree", "subtree", "exact"]),
        st.booleans(),
    ),
    max_size=3,
)  # fmt: skip
_few = st.lists(st.one_of(_name, _name.map(lambda name: "*." + name)), max_size=2)
_policies = st.fixed_dictionaries(
    {
        "lists": _lists,
        "allow": st.one_of(st.just([]), _few),
        "block": st.one_of(st.just([]), _few),
        "categories": st.sampled_from([("adult", "cam", "chat"), ("adult", "chat"), ()]),
        "schedules": st.sampled_from([[], [("chat", ("thu",), ("00:00-00:01",))]]),
        "level": st.sampled_from(["name", "site", "category", "counts"]),
        "block_answer": st.sampled_from(["nxdomain", "nxdomain", "nodata", "zero"]),
        "block_ttl": st.sampled_from([60, 3600]),
        "protected": st.one_of(st.just([]), st.lists(_name, max_size=2)),
    }
)


def _made(drawn: dict[str, Any]) -> Policy:
    """The policy of a drawing; drawn as plain data, so that a failing example can be read."""
    rest = {key: value for key, value in drawn.items() if key != "lists"}
    lists = [Listing(**one, category=category, scope=scope, own=own) for one, category, scope, own in drawn["lists"]]
    return policy(*lists, **rest)


@dataclass(frozen=True, slots=True)
class Asked:
    """One query, what an upstream would say, and how many seconds have passed since the one before."""

    packet: bytes
    reply: str
    target: str
    later: float


def _mixed(labels: list[bytes], upper: int) -> list[bytes]:
    return [label.upper() if upper >> at & 1 else label for at, label in enumerate(labels)]


NESTED = opt(options=packets.option(12, opt()))
"""An OPT record whose padding ends in the octets of a bare one."""

_edns = st.one_of(
    st.just(b""), st.just(b""), st.builds(opt, size=st.sampled_from([512, 1232, 4096, 65535]), do=st.booleans()),
    st.just(opt(options=packets.option(10, b"c" * 8))), st.just(NESTED), st.just(opt(version=1)), st.just(opt(rcode=3)),
)  # fmt: skip
_types = st.sampled_from([1, 1, 28, 65, 64, 5, 16, 255, 257, 41, 97, 90, 252, 43, 65, 0, 65280])
_flags = st.sampled_from(
    [packets.RD, packets.RD | packets.AD, packets.RD | packets.CD, 0, packets.AD | packets.CD, 0x40]
)
_head = st.sampled_from([[], [], [b"a"], [b"\xff\x00\\."], [b"www.x"], [b"A" * 63], [b"l" * 63] * 3])
_asked = st.builds(
    lambda name, head, upper, qtype, flags, edns, qid, reply, target, later: Asked(
        query(_mixed([*head, *name.encode().split(b".")], upper), qtype, qid=qid, flags=flags, edns=edns),
        reply, target, later,
    ),
    st.one_of(_name, st.just("blocked.example"), _tail), _head, st.integers(0, 255), _types, _flags, _edns,
    st.integers(0, 65535), st.sampled_from(["address", "address", "alias", "alias", "nothing", "none", "failure"]),
    _name, st.sampled_from([0.0, 0.0, 0.0, 0.4, 1.0, 29.0, 61.0]),
)  # fmt: skip


@settings(max_examples=80, phases=PHASES)
@given(
    first=_policies, second=_policies, turn=st.integers(1, 11),
    queries=st.lists(_asked, min_size=1, max_size=12), again=st.lists(st.integers(0, 5), min_size=4, max_size=12),
)  # fmt: skip
@example(
    first={"lists": [({"text": "foo.invalid\nx.test", "format": "domains"}, "adult", "subtree", False)]},
    second={"lists": []}, turn=3, again=[],
    queries=[Asked(query(name, edns=opt()), "none", "a.test", 0.0) for name in ("foo.invalid", "much.longer.x.test")],
)  # fmt: skip
@example(
    first={"lists": [({"text": "x.test", "format": "domains"}, "adult", "subtree", False)]},
    second={"lists": []}, turn=3, again=[],
    queries=[Asked(query("www.x.test", edns=edns), "none", "a.test", 0.0) for edns in (opt(), NESTED)],
)  # fmt: skip
def test_whatever_the_hot_path_answers_the_engine_would_answer(
    first: dict[str, Any], second: dict[str, Any], turn: int, queries: list[Asked], again: list[int]
):
    pair, now = Pair(_made(first), 1000.0), 1000.0
    asked = [*queries, *(queries[at % len(queries)] for at in again)]
    for number, one in enumerate(asked):
        if number == turn:
            pair.change(_made(second), now)
        if one.later:
            now += one.later
            next_second(pair.engine.fast)  # as the process does every second
        _one(pair, one, now)


def _one(pair: Pair, one: Asked, now: float) -> None:
    before = len(pair.attempts), len(pair.plain_attempts)
    plain_form = one.packet[2:12] in SHAPES and (
        not one.packet[11] or (one.packet[-11:] in pair.engine.fast.opts and not one.packet.endswith(NESTED))
    )
    hot = pair.hot(one.packet, now)
    plain = pair.plain.handle(one.packet, CLIENT, now)
    if hot.answer is None:
        event("left to the engine, as unlisted" if hot.unlisted else "left to the engine")
        outcome = pair.engine.handle(one.packet, CLIENT, now, unlisted=hot.unlisted)
        assert outcome == plain
    else:
        assert isinstance(plain, bytes)
        _equal(hot.answer, plain)
        outcome = hot.answer
    made = len(pair.attempts) - before[0] + len(hot.names)
    assert made == len(pair.plain_attempts) - before[1], "recorded another number of times"
    if isinstance(outcome, Forward):
        pair.finish(outcome, _reply(outcome, one), now)
    _judged(pair, one.packet, hot, outcome, now, plain_form=plain_form)


def _reply(forward: Forward, one: Asked) -> bytes | None:
    owner, sent = b"\xc0\x0c", forward.query
    flags = packets.QR | packets.RD | packets.RA | packets.AD
    rtype = packets.type_of(sent)
    if one.reply == "address":
        return response(sent, [packets.record(owner, rtype, _data(rtype), 300)], flags=flags)
    if one.reply == "alias":
        target = packets.wire(one.target)
        return response(sent, [packets.record(owner, 5, target, 60), packets.record(target, rtype, _data(rtype), 900)])
    if one.reply == "nothing":
        return response(sent, [], [packets.soa("test", 900, 30)], rcode=3)
    return response(sent, rcode=2) if one.reply == "failure" else None


def _data(rtype: int) -> bytes:
    known = {28: b"\x20" + bytes(15), 5: b"\x01z\x04test\x00", 16: b"\x01x", 64: b"\x00\x01\x00", 65: b"\x00\x01\x00"}
    known |= {257: b"\x00\x05issue.test"}
    return known.get(rtype, b"\x00\x01\x01\x01" + (bytes(20) if rtype == 43 else b""))


def _equal(hot: bytes, plain: bytes) -> None:
    """Equal to the octet, but where one of them compresses names: then equal in everything a client reads."""
    if b"\xff" not in hot[12:30]:  # dnslib reads no label that is not UTF-8
        dnslib.DNSRecord.parse(hot)
    read, expected = dns.message.from_wire(hot), dns.message.from_wire(plain)
    if hot != plain:
        event("equal but for compression")
        assert read == expected
        assert (read.id, read.flags, read.edns, read.ednsflags, read.payload, read.options) == (
            expected.id, expected.flags, expected.edns, expected.ednsflags, expected.payload, expected.options
        )  # fmt: skip
        assert [(r.name, r.ttl) for r in read.authority] == [(r.name, r.ttl) for r in expected.authority]


def _judged(
    pair: Pair, packet: bytes, hot: Hot, outcome: bytes | Forward | None, now: float, *, plain_form: bool
) -> None:
    """The answer and the record against `decide` itself, and: an ordinary hit is not left to the engine."""
    try:
        question = gate.read(packet)
    except (gate.Refused, gate.Dropped):
        assert hot.answer is None
        return
    decision = decide(pair.policy, Query(question.name, question.qtype), now)
    assert not hot.unlisted or decision.action is Action.PASSTHRU
    if decision.blocked and decision.action is not Action.DROP:
        assert isinstance(outcome, bytes)
        assert _withheld(outcome)
    elif decision.action is Action.PASSTHRU and isinstance(outcome, bytes) and hot.answer is not None:
        assert not _withheld(outcome)
        event("cached, by the hot path")
    if hot.names:
        event("blocked, by the hot path")
        _recorded(pair.policy, hot, question.name, question.qtype, decision)
    elif decision.blocked and plain_form and _ordinary(pair, question):
        pytest.fail("an ordinary hit was left to the engine")


def _withheld(answer: bytes) -> bool:
    """True for an answer that our own SOA ends, or that holds a made-up address."""
    read = dns.message.from_wire(answer)
    ours = any("nobody.invalid" in rr.to_text() for rr in read.authority)
    return ours or any(rr.to_text().endswith((" 0.0.0.0", " ::")) for rr in read.answer)


def _recorded(policy_: Policy, hot: Hot, name: bytes, qtype: int, decision: Decision) -> None:
    assert decision.rule is not None
    slot, entry = hot.pairs
    combo = policy_.table.combos[entry & COMBO_MASK]
    assert policy_.table.sources[combo.source].id == decision.rule.source
    assert combo.category_id == decision.category
    assert policy_.table.line_at(slot) == decision.rule.line
    written, kind = hot.names[0][:-4], hot.names[0][-4:-2]
    assert written == {"name": name, "site": decision.site}.get(policy_.state.level, b"\x00")
    assert int.from_bytes(kind, "big") == {65: 97}.get(qtype, qtype)


def _own_about(pair: Pair, question: gate.Question) -> bool:
    own = pair.policy.state.own
    return any(name in own or WILDCARD + name in own for name in suffixes(question.name))


def _ordinary(pair: Pair, question: gate.Question) -> bool:
    """True where nothing excuses the hot path: rules, policy and type are all of the plain kind."""
    table, state = pair.policy.table, pair.policy.state
    if table.important or state.block_answer == "zero" or _own_about(pair, question):
        return False
    if question.qtype not in (1, 28, 65, 64, 5, 16, 257, 43):
        return False
    combos = [hit.combo for hit in table.hits(question.name)]
    if not combos:  # a pattern, which the hot path does not know
        return False
    return all(
        not (combo.extra or combo.guarded or table.sources[combo.source].allows)
        and combo.strip not in (STRIP_UP, STRIP_UNKNOWN)
        for combo in combos
    )


@pytest.mark.parametrize("answer", ["nxdomain", "nodata"])
@pytest.mark.parametrize("qtype", [1, 2, 5, 6, 12, 15, 16, 28, 33, 43, 46, 64, 65, 257])
@pytest.mark.parametrize("edns", [b"", opt(), opt(do=True, size=4096)], ids=["bare", "edns", "do"])
def test_an_ordinary_hit_is_answered_by_the_hot_path_in_every_type(answer: str, qtype: int, edns: bytes):
    pair = Pair(policy(Listing("x.test"), block_answer=answer), 0.0)
    pair.engine.handle(query("x.test", 1, edns=edns), CLIENT, 0.0)  # so that this form of OPT is known
    packet = query("WWW.x.Test", qtype, edns=edns)
    hot = pair.hot(packet, 0.0)
    assert hot.answer == pair.plain.handle(packet, CLIENT, 0.0)
    assert len(hot.names) == 1


SHY = Listing("||shy.test^\n@@||ok.shy.test^", "adult")


@pytest.mark.parametrize(
    ("made", "names", "blocked"),
    [
        ({"allow": ["x.test"]}, ["x.test", "a.x.test"], False),
        ({"allow": ["a.x.test"]}, ["a.x.test", "b.a.x.test"], False),
        ({"allow": ["*.x.test"]}, ["a.x.test"], False),
        ({"allow": ["*.x.test"]}, ["x.test"], True),
        ({"block": ["a.x.test chat"]}, ["a.x.test", "b.a.x.test"], True),
        ({"block": ["a.x.test"], "allow": ["x.test"]}, ["a.x.test"], True),
        ({"protected": ["help.x.test"]}, ["help.x.test", "a.help.x.test"], False),
        ({"protected": ["help.x.test"]}, ["x.test", "a.x.test"], True),
        ({"categories": []}, ["x.test"], False),
        ({"schedules": [("cam", ("mon",), ("00:00-01:00",))]}, ["x.test"], False),
        ({}, ["ok.shy.test", "a.ok.shy.test"], False),
        ({}, ["shy.test", "no.shy.test"], True),
        ({}, ["below.test", "exact.github.io.test", "notx.test", "test"], False),
        ({}, ["a.below.test"], True),
        ({}, ["types.test"], False),
    ],
)
def test_what_is_not_an_ordinary_hit_is_decided_by_decide(made: dict[str, Any], names: list[str], blocked: bool):
    lists = [
        Listing("x.test", "cam"), SHY, Listing("local=/*.below.test/", format="dnsmasq"),
        Listing("||types.test^$dnstype=AAAA"),
    ]  # fmt: skip
    pair = Pair(policy(*lists, **made), 0.0)
    for name in names:
        outcome = pair.ask(query(name), 0.0)
        assert outcome == pair.plain.handle(query(name), CLIENT, 0.0)
        assert isinstance(outcome, bytes) is blocked, name


@pytest.mark.parametrize(
    ("made", "unlisted"),
    [({}, True), ({"categories": ("chat",)}, True), ({"protected": ["site.test"]}, True),
     ({"allow": ["other.test"]}, False), ({"lists": ["/^other[.]/"]}, False), ({"block_answer": "zero"}, False)],
)  # fmt: skip
def test_a_name_that_no_rule_covers_is_handed_on_as_such(made: dict[str, Any], unlisted: bool):
    """Own rules, patterns and what turns the hot path off have it decided by the engine."""
    lists = [Listing(line, format="adblock") for line in made.pop("lists", [])]
    pair = Pair(policy(Listing("x.test", "cam"), *lists, **made), 0.0)
    assert pair.hot(query("www.site.test"), 0.0) == Hot(None, [], [], unlisted)
    assert not pair.hot(query("www.site.test", edns=opt(version=1)), 0.0).unlisted


def test_the_hot_path_takes_no_name_over_255_octets():
    """The gate refuses it (RFC 1035 section 2.3.4); a long one would not even fit its slot as an answer."""
    pair = Pair(policy(Listing("x.test")), 0.0)
    for count in (4, 8, 20):
        packet = query([b"a" * 62] * count + [b"x", b"test"])
        assert pair.hot(packet, 0.0).answer is None, f"{len(packet)} octets"


def test_a_cached_answer_counts_down_and_ends_on_the_hot_path():
    pair = Pair(policy(), 0.0)
    packet = query("site.test", edns=opt())
    forward = pair.ask(packet, 0.0)
    assert isinstance(forward, Forward)
    pair.finish(forward, response(forward.query, [packets.a(b"\xc0\x0c", ttl=100)]), 0.0)
    pair.ask(packet, 0.0)  # the engine makes the template
    for now, left in ((0.0, 100), (0.9, 100), (1.0, 99), (40.5, 60), (99.0, 1)):
        next_second(pair.engine.fast)
        hot = pair.hot(packet, now).answer
        assert hot is not None
        assert packets.ttls(hot) == [left]
        assert hot == pair.plain.handle(packet, CLIENT, now)
    next_second(pair.engine.fast)
    assert pair.hot(packet, 100.0).answer is None
    assert isinstance(pair.plain.handle(packet, CLIENT, 100.0), Forward)


def test_a_prepared_answer_does_not_outlive_the_policy():
    pair = Pair(policy(), 0.0)
    packet = query("www.site.test")
    forward = pair.ask(packet, 0.0)
    assert isinstance(forward, Forward)
    pair.finish(forward, response(forward.query, [packets.a(b"\xc0\x0c")]), 0.0)
    pair.ask(packet, 1.0)
    assert pair.hot(packet, 1.0).answer is not None
    pair.change(policy(Listing("site.test")), 2.0)
    hot = pair.hot(packet, 2.0).answer
    assert hot is not None
    assert dns.message.from_wire(hot).rcode() == 3
    pair.change(policy(), 3.0)
    again = pair.ask(packet, 3.0)
    assert isinstance(again, bytes)
    assert dns.message.from_wire(again).answer
    assert not dns.message.from_wire(again).flags & dns.flags.AA


def test_a_table_made_with_other_protected_names_is_left_to_the_engine():
    """A snapshot built by another version may hold names that are protected now; only `decide` knows them."""
    from blockerd.dns.engine import block_tail
    from blockerd.dns.wire import prepare
    from tests.fakes.resolvers import run_hot

    pair = Pair(policy(Listing("x.test")), 0.0)
    pair.engine.fast = prepare(pair.policy, 0.0, block_tail(pair.policy), protected_digest="another")
    assert run_hot(pair.engine, query("x.test"), 0.0).answer is None
