"""How long a weekly note takes from a large journal: its facts are daily leaves, so millions of rows cost nothing."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import blockerd.journal.outbox as mailbox
from blockerd.control import days as control_days
from blockerd.journal.grow import settle
from blockerd.journal.outbox import Stand
from blockerd.journal.read import View
from blockerd.report.daily import DayFacts, payloads
from blockerd.report.partner import Says, Send
from blockerd.report.period import day_of, run_of
from blockerd.report.signs import State
from tests.fakes.mailserver import MailServer, server_of
from tests.fakes.sharing import DAY, Home, partner

YEAR = 365


def fill(home: Home, rows: int):
    """A year of attempts with their leaves, and the daily summaries of all roles."""
    zone = home.reports._zone
    start = home.now - YEAR * DAY

    def attempts(db: Any):  # noqa: ANN401
        db.execute("INSERT INTO origins VALUES (901, 'adult', 's', 'S', 'NXDOMAIN', 'dns', '127.0.0.1', '', 'attempt')")
        db.execute(
            "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n LIMIT ?2)"
            " INSERT INTO attempts (first_us, last_us, site, origin, count, names, names_more)"
            " SELECT ?1 + n * ?3, ?1 + n * ?3, 'site-' || (n % 5000) || '.test', 901, 3, '', 0 FROM n",
            (start, rows, YEAR * DAY // rows),
        )
        db.execute(
            "INSERT INTO sums SELECT first_us - first_us % 900000000, category, kind, count(*), sum(count)"
            " FROM attempts JOIN origins ON origins.id = origin WHERE origin = 901 GROUP BY 1, 2, 3"
        )
        db.execute("INSERT OR IGNORE INTO unsettled SELECT id FROM attempts")

    home.keeper.within(attempts)
    while home.keeper.within(lambda db: settle(db, home.now, force=True)):
        pass
    first = day_of(start, zone)
    days = [first + timedelta(days=at) for at in range(YEAR)]
    found = {day: payloads(DayFacts(day, {State.MONITORED: 1440}), zone) for day in days}
    home.keeper.within(lambda db: control_days.keep(db, found, zone))


def report_from(folder: Path, server: MailServer, rows: int):
    """Seconds to make the bytes of one weekly note, and to tell one day."""
    home = Home(folder, server, "2026-11-15T17:00+01:00", partner("Robin", "spouse"))
    home.sign("start")
    home.agree()
    home.pair("Robin")
    fill(home, rows)
    robin = home.partner("Robin")
    zone = home.reports._zone
    week = run_of(day_of(home.now, zone) - timedelta(days=8), 7, zone)
    detail = {"periods": [[week.days[0].date.isoformat(), 7]]}
    send = Send(Says.REPORT, robin.place, robin.address, robin.role)
    number = home.keeper.within(lambda db: mailbox.queue(db, "Robin", send, home.now, home.now, detail))
    began = time.monotonic()
    home.tick()
    took = time.monotonic() - began
    row = home.keeper.within(lambda db: mailbox.row(db, number))
    assert row
    assert (row.state, len(row.body or b"") > 20_000) == (Stand.SENT, True)
    assert home.got("Robin")[-1].evidence.count("\nday ") == 7
    began = time.monotonic()
    with View(home.settings.state.dir / "journal.sqlite", home.settings.state.dir / "spool") as view:
        day = day_of(home.now, zone) - timedelta(days=1)
        control_days.summarised(view, [day], None, home.now, zone, {})
    told = time.monotonic() - began
    home.close()
    return took, told


def test_a_weekly_note_is_made_and_sent_in_a_moment(tmp_path: Path):
    server = server_of()
    with server.running():
        took, told = report_from(tmp_path, server, 20_000)
    assert took < 2.0
    assert told < 2.0


@pytest.mark.soak
def test_a_weekly_note_from_five_million_rows_takes_two_seconds(
    tmp_path: Path, record_property: Callable[[str, object], None]
):
    server = server_of()
    with server.running():
        took, told = report_from(tmp_path, server, 5_000_000)
    record_property("seconds to make and send a note", round(took, 3))
    record_property("seconds to tell a day", round(told, 3))
    assert took <= 2.0
    assert told <= 20.0
