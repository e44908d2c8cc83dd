"""Whole updates against a publisher on this machine: what stays, what waits, what is told, and what a kill leaves."""

import hashlib
import json
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from blockerd.lists.catalogue import Entry, Rank
from blockerd.lists.fetch import record as fetch_record
from blockerd.lists.fetch.fetch import Result, Row
from blockerd.lists.fetch.grace import gone_of, grace_names
from blockerd.lists.fetch.record import held_of, record_of
from blockerd.lists.sources import copy_of
from blockerd.lists.update import UpdateError, update
from blockerd.settings import Settings, load
from tests.fakes import listserver, updating
from tests.fakes.listserver import HOST, MIRROR, ListServer, list_server, names

DAY = 86400.0
NOW = 1_800_000_000.0
URL = f"https://{HOST}/list"
MIRROR_URL = f"https://{MIRROR}/copy"
CATALOGUE = (
    Entry("x", "X", ("adult",), URL, (MIRROR_URL,), "domains", "MIT", 1, date(2026, 1, 1), "daily", Rank.DEFAULT, URL),
)


@pytest.fixture(scope="module")
def shared() -> Iterator[ListServer]:
    with list_server() as server:
        yield server


@dataclass(slots=True)
class Place:
    """One state folder with one list, `x`, and its publisher."""

    publisher: ListServer
    folder: Path
    settings: Settings
    catalogue: tuple[Entry, ...] = ()

    def configure(self, more: str = "", sources: dict[str, str] | None = None) -> None:
        text = listserver.settings_text(self.folder / "var", more, {"x": URL} if sources is None else sources)
        (self.folder / "blockerd.toml").write_text(text)
        self.settings = load(self.folder / "blockerd.toml", {}, self.folder)

    def update(self, days: float = 0.0, *, due_only: bool = False) -> Row:
        at, net = NOW + days * DAY, self.publisher.net()
        (found,) = update(self.settings, at, net=net, catalogue=self.catalogue, due_only=due_only)
        return found

    def copy(self) -> bytes:
        path = copy_of(self.settings, "x")
        return path.read_bytes() if path.exists() else b""

    def meta(self) -> fetch_record.Meta:
        return fetch_record.load(self.settings, "x")


@pytest.fixture
def place(shared: ListServer, tmp_path: Path) -> Place:
    shared.plays.clear()
    shared.seen.clear()
    made = Place(shared, tmp_path, load(None, {}, tmp_path))
    made.configure()
    return made


def test_a_first_fetch_gives_a_copy_and_its_record(place: Place):
    place.publisher.publish("/list", names(1000), {"ETag": '"1"'})
    row = place.update()
    assert (row.result, row.names, row.added, row.removed, row.age_days) == (Result.FRESH, 1000, 1000, 0, 0.0)
    assert place.copy() == names(1000)
    meta = place.meta()
    assert meta.sha256 == hashlib.sha256(names(1000)).hexdigest()
    assert (meta.etag, meta.used, meta.fetched_at, meta.bytes) == ('"1"', URL, NOW, len(names(1000)))
    assert {path.name for path in copy_of(place.settings, "x").parent.iterdir()} == {"x.copy", "x.json", "update.lock"}


def test_an_unchanged_list_is_not_sent_twice_and_counts_as_current(place: Place):
    place.publisher.publish("/list", names(1000), {"ETag": '"1"'})
    place.update()
    assert place.update(5).result is Result.UNCHANGED
    assert place.publisher.seen[-1][2]["If-None-Match"] == '"1"'
    assert place.meta().good_at == NOW + 5 * DAY


def test_the_same_octets_without_validators_are_unchanged_too(place: Place):
    place.publisher.publish("/list", names(1000))
    place.update()
    assert place.update(1).result is Result.UNCHANGED


def test_a_change_counts_who_came_and_went(place: Place):
    place.publisher.publish("/list", names(1000))
    place.update()
    place.publisher.publish("/list", names(1000, start=50))
    row = place.update(1)
    assert (row.result, row.added, row.removed) == (Result.FRESH, 50, 50)
    assert (place.meta().added, place.meta().removed) == (50, 50)


BAD = {
    "html": (b"<!doctype html><html><body>Sign in to this network</body></html>", "HTML"),
    "empty": (b"", "empty"),
    "blank": (b"\n\n  \n", "empty"),
    "comments-only": (b"# nothing today\n", "not one name"),
    "binary": (bytes(range(256)) * 20, "binary"),
    "json": (b'{"error": "rate limit"}', "JSON"),
    "mostly-unread": (b"192.0.2.1\n" * 1500 + names(1000), "1,500 of 2,500 lines"),
    "zip": (b"PK\x03\x04" + bytes(200), "binary"),
    "poisoned": (names(1000) + b"google.com\n", "google.com"),
    "poisoned-rule": (names(1000) + b"||google.com^\n", "google.com"),
    "poisoned-pattern": (names(1000) + b"/^(.+\\.)?wiki(pedia|media)\\.org$/\n", "wikimedia.org"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_list_is_held_for_ever_and_the_copy_stays(place: Place, bad: str):
    data, said = BAD[bad]
    place.publisher.publish("/list", names(1000))
    place.update()
    place.publisher.publish("/list", data)
    for days in (1, 2.5, 40):
        row = place.update(days)
        assert row.result is Result.HELD
        assert said in row.reason
        assert row.names == 1000
        assert row.age_days == days
    assert place.copy() == names(1000)
    assert place.meta().problem == row.reason


def test_a_list_that_always_was_mostly_unreadable_is_taken_and_followed(place: Place):
    for days in (0, 1):
        data = b"192.0.2.1\n" * 1500 + names(1000, start=days)
        place.publisher.publish("/list", data)
        assert (place.update(days).result, place.copy()) == (Result.FRESH, data)


def test_a_first_download_that_is_no_list_leaves_nothing(place: Place):
    place.publisher.publish("/list", BAD["poisoned"][0])
    row = place.update()
    assert (row.result, row.age_days, place.copy()) == (Result.HELD, None, b"")


@pytest.mark.parametrize("count", [600, 3500], ids=["minus-40-percent", "plus-250-percent"])
def test_an_odd_size_is_held_and_taken_when_a_day_later_it_is_the_same(place: Place, count: int):
    place.publisher.publish("/list", names(1000), {"ETag": '"1"'})
    place.update()
    place.publisher.publish("/list", names(count), {"ETag": '"2"'})
    row = place.update(1)
    assert (row.result, row.names) == (Result.HELD, 1000)
    assert held_of(place.settings, "x").read_bytes() == names(count)
    held = place.meta().held
    assert held is not None
    assert (held.names, held.first_seen, held.reason) == (count, NOW + DAY, place.meta().problem)
    assert place.update(1.9).result is Result.HELD, "too early"
    place.publisher.publish("/list", names(count + 7), {"ETag": '"3"'})
    row = place.update(2)
    assert (row.result, row.names) == (Result.FRESH, count + 7)
    assert "confirmed" in row.reason
    assert place.copy() == names(count + 7)
    assert not held_of(place.settings, "x").exists()
    assert place.meta().held is None


@pytest.mark.parametrize("etag", [{}, {"ETag": '"1"'}], ids=["sent-again", "304"])
def test_a_list_that_is_itself_again_forgets_what_was_held(place: Place, etag: dict[str, str]):
    place.publisher.publish("/list", names(1000), etag)
    place.update()
    place.publisher.publish("/list", names(10), {"ETag": '"2"'})
    assert place.update(1).result is Result.HELD
    place.publisher.publish("/list", names(1000), etag)
    assert place.update(2).result is Result.UNCHANGED
    assert place.meta().held is None
    assert not held_of(place.settings, "x").exists()
    place.publisher.publish("/list", names(10), {"ETag": '"2"'})
    assert place.update(3).result is Result.HELD, "its day begins anew"


def test_a_cut_list_that_says_how_long_it_should_be_is_held(place: Place):
    place.publisher.publish("/list", b"# Number of entries: 1000\n" + names(300))
    row = place.update()
    assert row.result is Result.HELD
    assert "its end is missing" in row.reason


def test_the_mirror_is_asked_where_the_first_place_gives_nothing_good(place: Place):
    place.catalogue = CATALOGUE
    place.publisher.publish("/copy", names(1000), {"ETag": '"m"'})
    assert place.update().result is Result.FRESH, "the list itself answers 404"
    place.publisher.publish("/list", BAD["html"][0])
    assert place.update(1).result is Result.UNCHANGED
    assert place.meta().used == MIRROR_URL
    sent = {(path, headers.get("If-None-Match")) for _, path, headers in place.publisher.seen}
    assert sent == {("/list", None), ("/copy", None), ("/copy", '"m"')}, "a validator goes to the place it came from"


def test_nothing_anywhere_is_told_in_one_line_and_the_copy_stays(place: Place):
    place.publisher.publish("/list", names(1000))
    place.update()
    place.catalogue = CATALOGUE
    place.publisher.plays["/list"] = listserver.cut(names(1000), 10**9)
    row = place.update(3)
    assert (row.result, row.age_days, row.names) == (Result.ABSENT, 3, 1000)
    assert "mirrors: the server answered 404" in row.reason
    assert "\n" not in row.reason
    assert place.copy() == names(1000)


def test_an_archive_becomes_the_list_inside_it(place: Place):
    archive = listserver.tar_gz({"chat/usage": b"x", "chat/domains": names(100), "chat/urls": b"u.test/a\n"})
    place.publisher.publish("/list", archive)
    assert place.update().names == 100
    assert place.copy().startswith(names(100))
    place.publisher.publish("/list", listserver.tar_gz({"../domains": names(100)}))
    row = place.update(1)
    assert (row.result, row.names) == (Result.HELD, 100)
    assert "leads out" in row.reason


def test_all_dead_for_thirty_days_keeps_the_copy_tells_its_age_and_makes_no_storm(place: Place):
    place.publisher.publish("/list", names(1000))
    place.update()
    place.publisher.plays.clear()
    asked = len(place.publisher.seen)
    rows = [place.update(hour / 24, due_only=True) for hour in range(1, 30 * 24, 5)]
    assert place.copy() == names(1000)
    assert rows[-1].age_days == pytest.approx(30, abs=0.3)
    assert {row.result for row in rows} == {Result.ABSENT, Result.WAITING}
    assert len(place.publisher.seen) - asked <= 40
    place.publisher.publish("/list", names(1001))
    assert place.update(32, due_only=True).result is Result.FRESH


def test_names_that_left_stay_for_their_grace_and_leave_when_they_are_back(place: Place):
    place.configure("grace_days = 7")
    place.publisher.publish("/list", names(100))
    place.update()
    place.publisher.publish("/list", names(100, start=3))
    place.update(1)
    assert grace_names(place.settings, "x", NOW + DAY) == b"n0.test\nn1.test\nn2.test\n"
    place.publisher.publish("/list", names(100, start=2))
    place.update(2)
    assert grace_names(place.settings, "x", NOW + 2 * DAY) == b"n0.test\nn1.test\nn102.test\n"
    assert grace_names(place.settings, "x", NOW + 8 * DAY) == b"n0.test\nn1.test\nn102.test\n"
    assert grace_names(place.settings, "x", NOW + 9 * DAY) == b"n102.test\n"
    assert grace_names(place.settings, "x", NOW + 40 * DAY) == b""


def test_without_grace_names_are_counted_and_not_kept(place: Place):
    place.publisher.publish("/list", names(100))
    place.update()
    place.publisher.publish("/list", names(90))
    assert place.update(1).removed == 10
    assert not gone_of(place.settings, "x").exists()
    assert grace_names(place.settings, "x", NOW + DAY) == b""


def test_a_gone_file_edited_by_hand_costs_only_its_broken_lines(place: Place):
    place.configure("grace_days = 7")
    copy_of(place.settings, "x").parent.mkdir(parents=True)
    gone_of(place.settings, "x").write_bytes(b"a.test 2027-01-15\nb.test\n\xff\xfe\nc.test 2027-99-99\n")
    assert grace_names(place.settings, "x", NOW) == b"a.test\n"


def test_another_address_under_the_same_id_is_another_list(place: Place):
    place.publisher.publish("/list", names(1000), {"ETag": '"1"'})
    place.update()
    place.configure(sources={"x": f"https://{HOST}/other"})
    place.publisher.publish("/other", names(5), {"ETag": '"1"'})
    row = place.update(1)
    assert (row.result, row.names) == (Result.FRESH, 5)


def test_a_copy_that_the_record_does_not_know_has_no_validators_but_its_size_counts(place: Place):
    place.publisher.publish("/list", names(1000), {"ETag": '"1"'})
    place.update()
    copy_of(place.settings, "x").write_bytes(names(900))
    assert place.update(1).result is Result.FRESH
    assert place.copy() == names(1000)
    copy_of(place.settings, "x").write_bytes(names(5000))
    assert place.update(2).result is Result.HELD


@pytest.mark.parametrize("record", [b"", b"[]", b"{", b'{"names": "many"}', b'{"held": 5}'])
def test_a_broken_record_is_no_reason_not_to_fetch(place: Place, record: bytes):
    place.publisher.publish("/list", names(1000))
    place.update()
    record_of(place.settings, "x").write_bytes(record)
    place.publisher.publish("/list", names(10))
    assert place.update(1).well


def test_lists_come_in_together_and_rows_in_their_order(place: Place):
    ids = [f"list-{number}" for number in range(9)]
    place.configure(sources={id_: f"https://{HOST}/{id_}" for id_ in ids})
    for at, id_ in enumerate(ids):
        place.publisher.publish(f"/{id_}", names(10 + at))
    place.publisher.plays["/list-4"] = listserver.hang_up
    told = list[tuple[int, int, int]]()
    rows = update(place.settings, NOW, net=place.publisher.net(), catalogue=(), progress=lambda *at: told.append(at))
    assert [row.id for row in rows] == ids
    assert [row.names for row in rows] == [10, 11, 12, 13, 0, 15, 16, 17, 18]
    assert told[-1][1:] == (9, 9)
    assert told[-1][0] == sum(len(names(10 + at)) for at in range(9) if at != 4)
    (only,) = update(place.settings, NOW, ids=["list-7"], net=place.publisher.net(), catalogue=())
    assert only.id == "list-7"
    with pytest.raises(UpdateError, match="no list with an address"):
        update(place.settings, NOW, ids=["list-77"], net=place.publisher.net(), catalogue=())


def test_a_list_that_is_switched_off_is_fetched_only_by_name(place: Place):
    (place.folder / "blockerd.toml").write_text((place.folder / "blockerd.toml").read_text() + "enabled = false\n")
    settings = load(place.folder / "blockerd.toml", {}, place.folder)
    place.publisher.publish("/list", names(5))
    assert update(settings, NOW, net=place.publisher.net(), catalogue=()) == []
    assert len(update(settings, NOW, ids=["x"], net=place.publisher.net(), catalogue=())) == 1


def test_two_updates_at_once_are_kept_apart(place: Place):
    told = list[str]()

    def play(to: listserver.Connection) -> None:
        with pytest.raises(UpdateError, match="under way"):
            update(place.settings, NOW, net=place.publisher.net(), catalogue=())
        told.append("refused")
        to.answer(200, names(5))

    place.publisher.plays["/list"] = play
    assert place.update().result is Result.FRESH
    assert told == ["refused"]


def test_after_kill_9_at_any_moment_the_copy_is_one_that_the_record_knows(place: Place):
    """The publisher serves another edition each time; the process that updates is killed at 20 random moments."""
    editions = [names(3000, start=number * 10) for number in range(7)]
    digests = {hashlib.sha256(edition).hexdigest() for edition in editions}
    served = iter(range(10**9))
    place.publisher.plays["/list"] = lambda to: to.answer(200, editions[next(served) % len(editions)])
    place.update()
    chance, start = random.Random(20261122), NOW
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.fakes.updating"])
    authority = place.publisher.authority.decode()
    for _ in range(20):
        start += 1000 * DAY
        place.publisher.seen.clear()
        arguments = (str(place.folder / "blockerd.toml"), place.publisher.port, authority, start)
        child = context.Process(target=updating.run, args=arguments)
        child.start()
        _wait(lambda: len(place.publisher.seen) > 1)
        child.join(chance.uniform(0.0, 0.12))
        child.kill()
        child.join()
        child.close()
        on_disk = fetch_record.digest_of(copy_of(place.settings, "x"))
        record = json.loads(record_of(place.settings, "x").read_bytes())
        assert on_disk in digests
        assert on_disk in (record["sha256"], record["incoming"])
    assert place.update(30000).well, "and the next update goes on as if nothing had been"
    assert place.meta().incoming == ""


def _wait(condition: Callable[[], bool], limit: float = 20.0) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.002)
