"""Who was in front at an attempt, and what came before it, from screen time and the log."""

import os
from contextlib import closing

import apsw
import pytest

from blockerd.control.around import fronts, own_records, sightings
from blockerd.journal.entry import Pause
from blockerd.model import Action, Attempt, Channel, Kind
from blockerd.report.episodes import Before
from blockerd.report.requests import Front
from blockerd.screentime import store
from blockerd.screentime.budgets import MINUTE
from blockerd.screentime.heartbeat import Beat
from blockerd.screentime.track import Record, Stream
from blockerd.screentime.usage import Usage

START = 1_795_370_400_000_000
USE = Usage(
    [Beat(START, START + 60 * MINUTE, "firefox"), Beat(START + 60 * MINUTE, START + 70 * MINUTE, "editor"),
     Beat(START + 70 * MINUTE, START + 80 * MINUTE, "")],
    [Beat(START + 30 * MINUTE, START + 40 * MINUTE, None), Beat(START + 80 * MINUTE, START + 99 * MINUTE, None)],
)  # fmt: skip


def attempt(minute: int, client: str = "127.0.0.1", kind: Kind = Kind.ATTEMPT) -> Attempt:
    at = START + minute * MINUTE
    return Attempt(
        at, at, "a.test", (), "adult", "mine", "Mine", Action.NXDOMAIN, Channel.DNS, client, "", 1, kind
    )  # fmt: skip


@pytest.mark.parametrize(
    ("minute", "client", "front"),
    [
        (5, "127.0.0.1", Front.BROWSER),
        (5, "::1", Front.BROWSER),
        (35, "127.0.0.1", Front.BROWSER),  # another session is away: somebody is there
        (65, "127.0.0.1", Front.OTHER),
        (75, "127.0.0.1", None),  # active, in an app that could not be told
        (85, "127.0.0.1", Front.NOBODY),
        (85, "192.168.1.30", None),  # another device is not judged by this screen
        (85, "", None),
        (120, "127.0.0.1", None),
        (-1, "127.0.0.1", None),
    ],
)
def test_who_was_in_front(minute: int, client: str, front: Front | None):
    found = fronts([attempt(500), attempt(minute, client)], USE)
    assert found.keys() <= {1}
    assert (found[1].front if found else None) == front


@pytest.mark.parametrize(
    ("person", "sudo", "runs", "apps"),
    [
        ("", "", 4001, ["editor"]),
        ("root", "", 4001, ["mail"]),
        ("nosuchuser", "", 4001, ["editor"]),
        ("", "root", 999, ["mail"]),  # sudo blockerd report preview, which works as the service
        ("", "daemon", 4001, ["editor"]),  # an account of which nothing is on record
        ("", "nosuchuser", 999, []),
    ],
)
def test_screen_time_is_that_of_the_person_alone(
    monkeypatch: pytest.MonkeyPatch, person: str, sudo: str, runs: int, apps: list[str]
):
    """Whoever else is heard has agreed to nothing."""
    monkeypatch.setenv("BLOCKERD_PERSON", person)
    monkeypatch.setenv("SUDO_USER", sudo)
    monkeypatch.setattr(os, "geteuid", lambda: runs)
    with closing(apsw.Connection(":memory:")) as db:
        db.execute(store.SCHEMA)
        for uid, app in ((4001, "editor"), (4002, "game"), (0, "mail")):
            record = Record(Stream.APP, START, START + MINUTE, app, "", START, "boot")
            store.put(db.execute, [store.Sent(f"agent-{uid}", uid, "x11", 1, 1, record)])
        assert [one.record.value for one in own_records(db.execute, START, START + MINUTE)] == apps


def test_what_came_before_are_sessions_pauses_and_ways_round():
    told = sightings([attempt(3), attempt(4, kind=Kind.BYPASS)], USE, [Pause(START, START + 5 * MINUTE)])
    assert [(one.what, (one.start - START) // MINUTE, (one.end - START) // MINUTE) for one in told] == [
        (Before.LONG_SESSION, 0, 80),
        (Before.BYPASS, 4, 4),
        (Before.PAUSE, 0, 5),
    ]
