"""Stronger or weaker, from the declarations: every rule in both directions, and a reload named change by change."""

from dataclasses import replace
from pathlib import Path

import pytest

from blockerd.binding.change import Direction, changes_between, direction
from blockerd.settings import Budget, Per, Schedule, Scope, Settings, Source, Trust, load

A = Source(id="a", category="cam", path=Path("/a"))
HOUR = Budget(of="firefox", minutes=60)
NIGHT = Schedule(category="chat", days=("mon",), windows=("21:00-07:00",))


@pytest.mark.parametrize(
    ("name", "strong", "weak"),
    [
        ("lists.categories", ("adult", "cam"), ("adult",)),
        ("lists.categories", ("adult", "cam"), ("adult", "chat")),
        ("lists.starter", True, False),
        ("lists.grace_days", 7, 0),
        ("lists.refresh_hours", 24, 48),
        ("dns.youtube", "strict", "moderate"),
        ("dns.youtube", "moderate", "off"),
        ("dns.private_relay", "block", "allow"),
        ("proxy.on_policy_error", "block", "pass"),
        ("lists.source", (A,), ()),
        ("lists.source", (A,), (replace(A, enabled=False),)),
        ("lists.source", (A,), (replace(A, scope=Scope.EXACT),)),
        ("lists.source", (A,), (replace(A, trust=Trust.REWRITE),)),
        ("schedule", (), (NIGHT,)),
        ("schedule", (replace(NIGHT, days=("mon", "tue")),), (NIGHT,)),
        ("schedule", (NIGHT,), (replace(NIGHT, windows=("21:00-06:59",)),)),
        ("budget", (HOUR,), ()),
        ("budget", (HOUR,), (replace(HOUR, minutes=61),)),
        ("budget", (HOUR, replace(HOUR, per=Per.WEEK)), (HOUR,)),
    ],
)
def test_giving_up_protection_is_weaker(name: str, strong: object, weak: object):
    assert direction(name, strong, weak) is Direction.WEAKER


@pytest.mark.parametrize(
    ("name", "weak", "strong"),
    [
        ("lists.categories", ("adult",), ("adult", "cam")),
        ("lists.starter", False, True),
        ("lists.refresh_hours", 48, 24),
        ("dns.youtube", "off", "strict"),
        ("lists.source", (), (A,)),
        ("lists.source", (replace(A, scope=Scope.EXACT),), (A,)),
        ("schedule", (NIGHT,), ()),
        ("schedule", (NIGHT,), (replace(NIGHT, windows=("20:00-07:00",)),)),
        ("budget", (), (HOUR,)),
        ("budget", (HOUR,), (replace(HOUR, minutes=59),)),
    ],
)
def test_adding_protection_is_stronger(name: str, weak: object, strong: object):
    assert direction(name, weak, strong) is Direction.STRONGER


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("privacy.level", "name", "counts"),
        ("privacy.level", "counts", "name"),
        ("dns.block_ttl", 60, 5),
        ("lists.categories", ("adult", "cam"), ("cam", "adult")),
        ("lists.source", (replace(A, enabled=False),), ()),
        ("report.partner", ("one",), ()),
        ("budget", (HOUR,), (replace(HOUR, warn=0),)),
    ],
)
def test_consent_order_and_comfort_are_neutral(name: str, old: object, new: object):
    assert direction(name, old, new) is Direction.NEUTRAL


def test_the_same_minutes_written_otherwise_are_no_change():
    same = (
        replace(NIGHT, windows=("21:00-24:00",)),
        Schedule(category="chat", days=("tue",), windows=("00:00-07:00",)),
    )
    assert direction("schedule", (NIGHT,), same) is Direction.NEUTRAL


def test_what_cannot_be_judged_counts_as_weaker():
    assert direction("time.zone", "Europe/Berlin", "UTC") is Direction.WEAKER
    assert direction("lists.source", (A,), (replace(A, path=Path("/b")),)) is Direction.WEAKER


def test_an_unknown_setting_is_an_error():
    with pytest.raises(KeyError):
        direction("dns.nothing", 1, 2)


def test_a_reload_names_each_change_with_its_direction(tmp_path: Path):
    old = _load(tmp_path, '[lists]\ncategories = ["adult", "cam"]\n[privacy]\nlevel = "site"\n')
    new = _load(
        tmp_path,
        '[lists]\ncategories = ["adult"]\n[[lists.source]]\nid = "a"\ncategory = "cam"\npath = "/a"\n'
        '[privacy]\nlevel = "counts"\n[[schedule]]\ncategory = "adult"\ndays = ["mon"]\nwindows = ["08:00-09:00"]\n',
    )
    changes = {change.what: change for change in changes_between(old, new, at=7, by="file")}
    assert {what: change.direction for what, change in changes.items()} == {
        "lists.categories": "weaker",
        "privacy.level": "neutral",
        "lists.source a": "stronger",
        "schedule adult": "weaker",
    }
    assert (changes["lists.categories"].old, changes["lists.categories"].new) == ('["adult", "cam"]', '["adult"]')
    assert (changes["schedule adult"].old, changes["schedule adult"].new) == ("always", "mon 08:00-09:00")
    assert all((change.at, change.by) == (7, "file") for change in changes.values())


def test_the_same_file_read_twice_holds_no_change(tmp_path: Path):
    text = '[[lists.source]]\nid = "a"\ncategory = "cam"\npath = "a"\n'
    assert changes_between(_load(tmp_path, text), _load(tmp_path, text), at=0, by="x") == []


def _load(folder: Path, text: str) -> Settings:
    (folder / "b.toml").write_text(text)
    return load(folder / "b.toml", {}, folder)
