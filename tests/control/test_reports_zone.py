"""A move to another zone: every hour is told once, whichever way midnight moves."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from blockerd.control.days import days_told
from blockerd.journal.log import Log
from blockerd.report import verify
from blockerd.report.week import Day
from blockerd.settings import Role, Time
from tests.fakes.sharing import HOUR, MINUTE, Home, kinds, received, us

MONDAY = date(2026, 11, 9)


def told(home: Home) -> dict[date, Day]:
    return home.keeper.within(lambda db: days_told(Log(db), Role.SELF))


def move(home: Home, zone: str) -> None:
    home.settings = home.reports.settings = replace(home.settings, time=Time(zone))


def whole(day: Day) -> int:
    """All minutes of a day's coverage."""
    cover = day.cover
    known = cover.monitored + cover.asleep + cover.off
    return known + cover.unmonitored + cover.not_running + cover.unknown


@pytest.mark.parametrize(
    "zones",
    [
        ["America/New_York"],
        ["Asia/Tokyo"],
        ["Pacific/Pago_Pago", "Pacific/Kiritimati"],
        ["Pacific/Kiritimati", "Pacific/Pago_Pago"],
        ["Asia/Kathmandu", "Europe/Berlin", "America/St_Johns"],
    ],
)
def test_after_a_move_to_another_zone_no_hour_is_told_twice_or_left_out(zones: list[str], shared: Home):
    home = shared
    home.beats = HOUR // 4
    asked = 0
    for at in range(24 * 9):
        home.ask(f"site{at}.test")
        asked += home.now >= us("2026-11-09T00:00+01:00")
        if at >= 60 and not at % 40 and zones:
            move(home, zones.pop(0))
        home.now += HOUR
        home.beat()
        home.tick()
    days = told(home)
    first, last = min(days), max(days)
    assert first == MONDAY
    assert sorted(days) == [first + timedelta(days=at) for at in range((last - first).days + 1)]
    end = home.keeper.within(lambda db: max(one.at for one in Log(db).openings(["daily"])))
    length = (end - us("2026-11-09T00:00+01:00")) // MINUTE
    assert sum(map(whole, days.values())) == length
    later = (home.now - end) // HOUR
    assert sum(day.total for day in days.values()) == asked - later
    mails = home.got("Robin")
    assert "report" in kinds(mails)
    kept = [received(one.raw, us(one.line("made"))) for one in mails]
    found = [one for raw in kept for one in verify.mails_in("", raw)]
    assert str(verify.judge(found, [])[0]) == "continues"
