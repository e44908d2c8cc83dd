"""Zones that another resolver is asked about for a while: the file, and what the engine keeps of their answers."""

import json
from pathlib import Path

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.dns.engine import FLEETING_TTL, Engine, Forward
from blockerd.dns.roads import FILE, MOST, Following, Road, Roads, elsewhere, read, to_bytes
from blockerd.policy.name import from_text
from tests.fakes.packets import a, query, response
from tests.fakes.policies import Listing, policy
from tests.fakes.resolvers import CLIENT, engine_of

ME = b"\xc0\x0c"
PORTAL = frozenset({from_text("probe.test")})


def _read(folder: Path, content: bytes, boot: str = "b", now: int = 100) -> Roads:
    (folder / FILE).write_bytes(content)
    return read(folder / FILE, boot, now)


def test_what_changes_in_the_file_or_by_its_time_is_taken_up_once(tmp_path: Path):
    following = Following(tmp_path / FILE, lambda: "b")
    assert not following.poll(100)
    (tmp_path / FILE).write_bytes(to_bytes([Road("a.test", ("192.0.2.1",), 200)], "b", {}))
    assert [following.poll(now) for now in (100, 199)] == [True, False]
    assert list(following.zones) == [from_text("a.test")]
    assert [following.poll(now) for now in (200, 201)] == [True, False], "its time is over, though nobody wrote"
    (tmp_path / FILE).unlink()
    assert not following.poll(202)
    assert following.zones == {}


def test_a_road_holds_until_its_time_and_the_next_end_is_told(tmp_path: Path):
    content = to_bytes(
        [Road("a.test", ("192.0.2.1", "2001:db8::1"), 200), Road("b.test", ("fe80::1%lo",), 150), Road("c.test", ())],
        "b", {"more": 1},
    )  # fmt: skip
    found = _read(tmp_path, content)
    assert {zone: [one.host for one in servers] for zone, servers in found.zones.items()} == {
        from_text("a.test"): ["192.0.2.1", "2001:db8::1"],
        from_text("b.test"): ["fe80::1%lo"],
    }
    assert found.end == 150
    assert list(_read(tmp_path, content, now=150).zones) == [from_text("a.test")]
    assert _read(tmp_path, content, now=200) == Roads()
    assert _read(tmp_path, content, boot="another") == Roads()


@pytest.mark.parametrize(
    "server", ["127.0.0.1", "::1", "127.0.0.53", "0.0.0.0", "::ffff:127.0.0.1", "224.0.0.251", "x"]
)
def test_what_leads_back_here_is_no_road(server: str, tmp_path: Path):
    assert not elsewhere(server)
    assert _read(tmp_path, to_bytes([Road("a.test", (server,))], "b", {})) == Roads()


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["boot", "roads", "zone", "servers", "until"]), inner, max_size=5
    ),
).map(lambda thing: json.dumps(thing).encode()))  # fmt: skip
def test_no_file_is_too_broken_to_be_read(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    _read(tmp_path_factory.getbasetemp(), content)


def test_a_file_that_names_too_many_is_cut(tmp_path: Path):
    content = to_bytes([Road(f"n{number}.test", ("192.0.2.1",)) for number in range(MOST + 9)], "b", {})
    assert len(_read(tmp_path, content).zones) == MOST


def _asked(engine: Engine, name: str, address: str, now: float, ttl: int = 300) -> dns.message.Message:
    """The answer that `name` gets when whoever is asked says `address`; from memory where nobody is asked."""
    got = engine.handle(query(name), CLIENT, now)
    if isinstance(got, Forward):
        got = engine.finish(got, response(got.query, [a(ME, address, ttl)]), now)
    assert got is not None
    return dns.message.from_wire(got)


def test_of_a_roads_answer_nothing_is_kept_and_nothing_of_before_is_served():
    engine, _ = engine_of(policy(), 0.0)
    assert "192.0.2.7" in str(_asked(engine, "probe.test", "192.0.2.7", 0.0))
    engine.local = engine.fleeting = PORTAL
    during = _asked(engine, "probe.test", "10.9.9.9", 1.0)
    assert "10.9.9.9" in str(during), "its own network may answer with an address of its own"
    assert during.answer[0].ttl == FLEETING_TTL
    assert "10.9.9.8" in str(_asked(engine, "www.probe.test", "10.9.9.8", 1.5, ttl=3))
    engine.local = engine.fleeting = frozenset()
    assert "192.0.2.7" in str(_asked(engine, "probe.test", "10.9.9.9", 2.0)), "as it was kept before"
    assert len(engine.cache) == 1


def test_an_answer_that_comes_after_the_road_has_ended_is_not_kept():
    engine, _ = engine_of(policy(), 0.0)
    engine.local = engine.fleeting = PORTAL
    forward = engine.handle(query("probe.test"), CLIENT, 0.0)
    assert isinstance(forward, Forward)
    engine.local = engine.fleeting = frozenset()
    engine.finish(forward, response(forward.query, [a(ME, "203.0.113.9")]), 0.1)
    assert len(engine.cache) == 0


def test_a_road_that_nobody_answers_serves_nothing_old():
    engine, _ = engine_of(policy(), 0.0)
    _asked(engine, "probe.test", "192.0.2.7", 0.0, ttl=5)
    engine.local = engine.fleeting = PORTAL
    forward = engine.handle(query("probe.test"), CLIENT, 10.0)
    assert isinstance(forward, Forward)
    assert not engine.has_old(forward, 10.0)
    assert dns.message.from_wire(engine.finish(forward, None, 11.0)).rcode() == 2


def test_the_filter_decides_before_a_road():
    engine, attempts = engine_of(policy(Listing("listed.test")), 0.0)
    engine.local = engine.fleeting = frozenset({from_text("listed.test"), from_text("test")})
    assert _asked(engine, "listed.test", "10.9.9.9", 0.0).rcode() == 3
    assert [attempt.name for attempt in attempts] == [from_text("listed.test")]
