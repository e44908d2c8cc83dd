"""The gate without mitmproxy, over real policies on disk: what is withheld, opened, cut, recorded."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blockerd import clock
from blockerd.dns.front import FILE, to_bytes
from blockerd.journal.spool import RecordKind, read
from blockerd.policy.name import to_text
from blockerd.process import boot_id
from blockerd.proxy import ca, manifest, stores
from blockerd.proxy.decide_url import Verdict
from blockerd.proxy.doubt import AT_ONCE, IN_A_ROW, WITHIN, Doubts
from blockerd.proxy.gate import FORBIDDEN, UNAVAILABLE, Gate, Refusal, Way
from blockerd.proxy.record import Recorder
from blockerd.proxy.url import read as url
from tests.lists.places import Place

ME = "127.0.0.1"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., tuple[Gate, Place]]]:
    """Makes a gate over a built policy, with a trusted root for the own rules."""

    def gate(rest: str = "", own: str = "||mixed.test/board^\n", *, built: bool = True, trust: bool = True) -> object:
        place = Place(tmp_path)
        place.add("cams", "listed.test\n", "cam")
        place.rest = rest
        (place.var / "own").mkdir(parents=True, exist_ok=True)
        (place.var / "own" / "url-rules.txt").write_text(own)
        if built:
            place.build()
        settings = place.settings
        if trust:
            ca.ensure(manifest.ca_folder(settings), ["mixed.test"], clock.now())
            stores.by_hand(manifest.ca_folder(settings))
        recorder = Recorder(settings)
        _RECORDERS[place.var] = recorder
        made = Gate(settings, recorder)
        made.tick(clock.now())
        return made, place

    yield gate  # type: ignore[misc]
    for one in _RECORDERS.values():
        one.close()
    _RECORDERS.clear()


_RECORDERS: dict[Path, Recorder] = {}
"""By state folder."""


def _spooled(place: Place) -> bytes:
    """What is on the disk, what waited for a slow one included."""
    _RECORDERS[place.var].close()
    return b"".join(path.read_bytes() for path in (place.var / "spool").iterdir())


def _events(place: Place, kind: str = "attempt") -> list[dict[str, object]]:
    _spooled(place)
    records = [one for path in sorted((place.var / "spool").glob("proxy-*.seg")) for one in read(path)]
    return [event for one in records if one.kind is RecordKind.EVENT and (event := one.json())["kind"] == kind]


def test_a_listed_host_is_refused_and_recorded(make: Callable[..., tuple[Gate, Place]]):
    gate, place = make('[privacy]\nlevel = "name"\n')
    refusal = gate.connect(("www.listed.test",), ME)
    assert refusal is not None
    assert refusal.status == FORBIDDEN
    (event,) = _events(place)
    assert (event["name"], event["site"], event["channel"], event["list"]) == (
        "www.listed.test", "listed.test", "proxy", "cams",
    )  # fmt: skip


@pytest.mark.parametrize(("level", "kept"), [("name", True), ("site", False), ("category", False), ("counts", False)])
def test_the_privacy_level_holds_before_the_disk(make: Callable[..., tuple[Gate, Place]], level: str, kept: bool):
    gate, place = make(f'[privacy]\nlevel = "{level}"\n')
    gate.connect(("www.listed.test",), ME)
    gate.near("nas.www.listed.test")
    gate.refuses_certificate("www.listed.test")
    data = _spooled(place)
    assert (b"www.listed" in data) is kept
    assert (b"listed.test" in data) is (level in ("name", "site"))
    assert (b"cam" in data) is (level != "counts")


def test_no_path_and_no_query_is_ever_recorded(make: Callable[..., tuple[Gate, Place]]):
    gate, place = make('[privacy]\nlevel = "name"\n')
    found = gate.request(("mixed.test",), "https", 443, "/board/secret?q=private", ME)
    assert isinstance(found, Refusal)
    data = _spooled(place)
    assert b"mixed.test" in data
    assert not any(word in data for word in (b"board", b"secret", b"private"))


def test_a_device_that_is_not_enrolled_is_filtered_and_not_recorded(make: Callable[..., tuple[Gate, Place]]):
    gate, place = make()
    assert gate.connect(("listed.test",), "192.168.1.9")
    assert _events(place) == []


def test_what_another_account_opens_is_filtered_and_not_recorded(make: Callable[..., tuple[Gate, Place]]):
    gate, place = make('[privacy]\nlevel = "name"\n')
    said = place.var / "run" / FILE
    said.parent.mkdir(parents=True, exist_ok=True)
    said.write_bytes(to_bytes(boot_id(), clock.boottime_us() + 60_000_000))
    assert gate.connect(("www.listed.test",), ME)
    gate.refuses_certificate("open.test")
    said.unlink()
    assert gate.connect(("mine.listed.test",), ME)
    data = _spooled(place)
    assert [event["name"] for event in _events(place)] == ["mine.listed.test"]
    assert (b"www.listed" in data, b"open.test" in data) == (False, False)


@pytest.mark.parametrize("part", ["dns", "proxy"])
def test_this_machine_is_known_at_the_addresses_at_which_it_listens(make: Callable[..., tuple[Gate, Place]], part: str):
    listen = {"dns": 'listen = ["192.168.1.9:5335"]', "proxy": 'listen = "192.168.1.9:8054"'}[part]
    gate, place = make(f"[{part}]\n{listen}\n")
    gate.connect(("listed.test",), "192.168.1.8")
    gate.connect(("listed.test",), "192.168.1.9")
    assert [event["client"] for event in _events(place)] == ["192.168.1.9"]


def test_ways_of_a_connection(make: Callable[..., tuple[Gate, Place]]):
    gate, _ = make()
    ways = {
        ("mixed.test", "mixed.test"): Way.OPEN,
        ("mixed.test", "www.mixed.test"): Way.OPEN,
        ("192.0.2.1", "mixed.test"): Way.OPEN,
        ("open.test", "open.test"): Way.PASS,
        ("open.test", ""): Way.PASS,
        ("192.0.2.1", ""): Way.PASS,
        ("mixed.test", ""): Way.CLOSE,
        ("mixed.test", "open.test"): Way.CLOSE,
        ("open.test", "listed.test"): Way.CLOSE,
        ("127.0.0.1", "open.test"): Way.CLOSE,
    }
    assert {pair: gate.way(*pair, ME) for pair in ways} == ways


def test_without_a_trusted_root_nothing_is_opened(make: Callable[..., tuple[Gate, Place]]):
    gate, _ = make(trust=False)
    assert gate.way("mixed.test", "mixed.test", ME) is Way.PASS


def test_a_host_that_the_root_does_not_name_is_not_opened(make: Callable[..., tuple[Gate, Place]]):
    gate, _ = make(own="||mixed.test/x^\n||later.test/x^\n")
    assert [gate.opens("mixed.test"), gate.opens("later.test")] == [True, False]


def test_a_host_whose_client_refused_us_passes_from_then_on_also_after_a_restart(
    make: Callable[..., tuple[Gate, Place]],
):
    gate, place = make()
    gate.refuses_certificate("mixed.test")
    assert gate.way("mixed.test", "mixed.test", ME) is Way.PASS
    assert len(_events(place, "proxy")) == 1
    again, _ = make()
    assert again.way("mixed.test", "mixed.test", ME) is Way.PASS
    assert set(manifest.passed(place.var / "proxy")) == {"mixed.test"}


def test_a_client_that_hangs_up_now_and_then_is_no_refusal_one_that_always_does_is(
    make: Callable[..., tuple[Gate, Place]],
):
    gate, _ = make()
    for _ in range(3):
        for _ in range(IN_A_ROW - 1):
            gate.gave_up("mixed.test", clock.monotonic())
        gate.asked("mixed.test")
    assert gate.way("mixed.test", "mixed.test", ME) is Way.OPEN
    for _ in range(IN_A_ROW):
        gate.gave_up("mixed.test", clock.monotonic())
    assert gate.way("mixed.test", "mixed.test", ME) is Way.PASS


def test_only_those_who_hang_up_at_once_while_nobody_asks_count():
    often = range(IN_A_ROW)
    at_once, later, beside = Doubts(), Doubts(), Doubts()
    for at in often:
        at_once = at_once.gave_up("a.test", at, at + 0.1)
        later = later.gave_up("a.test", at, at + AT_ONCE + 0.1)
        beside = beside.asked("a.test", at + 0.1).gave_up("a.test", at, at + 0.2)
    assert [one.enough("a.test") for one in (at_once, later, beside)] == [True, False, False]
    assert not at_once.enough("b.test")
    assert not at_once.asked("a.test", 9.0).enough("a.test")


def test_hanging_up_long_ago_counts_no_more():
    doubts = Doubts()
    for at in (0.0, 1.0, 2.0, WITHIN + 1.5):
        doubts = doubts.gave_up("a.test", at, at)
    assert not doubts.enough("a.test")


def test_a_page_is_withheld_and_its_neighbour_is_not(make: Callable[..., tuple[Gate, Place]]):
    gate, _ = make()
    refused = gate.request(("mixed.test",), "https", 443, "/board", ME)
    assert isinstance(refused, Refusal)
    assert all(word in refused.page.decode() for word in ("m…d.test", "mixed pages", "own page rules"))
    assert gate.request(("mixed.test",), "https", 443, "/other", ME) is None
    assert isinstance(gate.request(("open.test", "listed.test"), "http", 80, "/", ME), Refusal)


def test_the_safe_mode_of_an_engine_is_set(make: Callable[..., tuple[Gate, Place]]):
    gate, _ = make()
    found = gate.request(("search.yahoo.com",), "https", 443, "/search?p=x", ME)
    assert isinstance(found, Verdict)
    assert found.sets == (("vm", "r"),)


def test_open_connections_end_when_a_block_begins(make: Callable[..., tuple[Gate, Place]]):
    gate, place = make()
    page = [url("https://mixed.test/later")]
    assert gate.goes_on(["mixed.test"], page, opened=True)
    (place.var / "own" / "url-rules.txt").write_text("||mixed.test/later^\n")
    assert gate.tick(clock.now())
    assert not gate.goes_on(["mixed.test"], page, opened=True)
    assert not gate.goes_on(["listed.test"], [], opened=False)


def test_a_passed_connection_ends_when_its_host_gets_a_rule(make: Callable[..., tuple[Gate, Place]]):
    gate, place = make(own="")
    assert gate.goes_on(["mixed.test"], [], opened=False)
    (place.var / "own" / "url-rules.txt").write_text("||mixed.test/later^\n")
    gate.tick(clock.now())
    assert not gate.goes_on(["mixed.test"], [], opened=False)


@pytest.mark.parametrize(("what", "status"), [("block", UNAVAILABLE), ("pass", None)])
def test_without_a_policy_the_setting_decides(make: Callable[..., tuple[Gate, Place]], what: str, status: int | None):
    gate, place = make(f'[proxy]\non_policy_error = "{what}"\n', built=False)
    refusal = gate.connect(("open.test",), ME)
    assert (refusal.status if refusal else None) == status
    assert _events(place) == []
    place.build()
    assert gate.tick(clock.now())
    assert gate.connect(("open.test",), ME) is None


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "0.0.0.0", "2130706433", "localhost", "LOCALHOST.", "a.localhost"]
)
def test_this_machine_is_refused_and_recorded_once_a_minute(make: Callable[..., tuple[Gate, Place]], host: str):
    gate, place = make()
    for _ in range(3):
        assert gate.connect((host,), ME)
    (event,) = _events(place, "proxy")
    assert "this machine" in str(event["what"])


def test_a_full_disk_opens_nothing(make: Callable[..., tuple[Gate, Place]]):
    gate, place = make()
    spool = place.var / "spool"
    for path in spool.iterdir():
        path.unlink()
    spool.rmdir()
    spool.write_text("")
    assert gate.connect(("listed.test",), ME)
    assert gate.connect(("open.test",), ME) is None


def test_a_damaged_manifest_opens_nothing(make: Callable[..., tuple[Gate, Place]]):
    gate, place = make()
    (place.var / "proxy" / "ca" / manifest.FILE).write_text("{")
    gate.tick(clock.now())
    assert not gate.opens("mixed.test")


def test_protected_hosts_are_never_opened_recorded_or_refused(make: Callable[..., tuple[Gate, Place]]):
    from blockerd.lists.guard import protected

    gate, place = make()
    for name in sorted(protected().names)[::40]:
        host = to_text(name)
        assert gate.way(host, host, ME) is Way.PASS
        assert gate.request((host,), "http", 80, "/board", ME) is None
    assert _events(place) == []
