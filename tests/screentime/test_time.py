"""`blockerd time` over a journal with a known week: what it shows, what it says of holes, and what it refuses."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from blockerd import clock
from blockerd.cli.main import main
from blockerd.journal.append import Journal
from blockerd.journal.spool import Writer
from blockerd.screentime import store
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.intake import event_of
from blockerd.screentime.track import Record, Stream

NOW = round(datetime(2026, 11, 22, 18, 0, tzinfo=UTC).timestamp()) * SECOND  # Sunday, 19:00 in Berlin
HOUR = 3600 * SECOND


class Week:
    """A journal in `folder`; `use` adds time in front of an app, on the line of one boot."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "blockerd.toml"
        self.file.write_text("")
        self._folder, self._seq = folder, 0
        self.journal = Journal(folder / "var" / "journal.sqlite", lambda: NOW)
        self.journal.close()

    def use(self, app: str, start: int, end: int, *, present: bool = True, uid: int = 1000) -> None:
        streams = [(Stream.AFK, "not-afk" if present else "afk"), *([(Stream.APP, app)] if app else [])]
        for stream, value in streams:
            for at in range(start, end, HOUR):
                self._put(Record(stream, at, min(end, at + HOUR), value, "", 0, "b1"), uid)

    def ask(self, at: int, category: str, channel: str = "dns") -> None:
        """A refused request for a site of `category`."""
        (self._folder / "var" / "spool").mkdir(exist_ok=True)
        writer = Writer(self._folder / "var" / "spool", channel, lambda: at, lambda: 0.0)
        writer.event({
            "kind": "attempt", "time": at, "name": "", "site": "listed.test", "qtype": 1, "category": category,
            "source": "mine", "list": "mine", "action": "NXDOMAIN", "channel": channel, "client": "127.0.0.1",
            "user": "", "attempt": "attempt",
        })  # fmt: skip
        writer.close()

    def _put(self, record: Record, uid: int) -> None:
        self._seq += 1
        head = {"agent": f"{uid}:a", "uid": uid, "probe": "x11", "seq": self._seq, "base": self._seq}
        db = apsw.Connection(str(self._folder / "var" / "journal.sqlite"))
        store.put(db.execute, [store.sent_in(event_of(record, head))])
        db.close()


@pytest.fixture
def week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Week:
    monkeypatch.setattr(clock, "now_us", lambda: NOW)
    made = Week(tmp_path)
    made.use("editor", NOW - 6 * HOUR, NOW - 4 * HOUR)
    made.use("firefox", NOW - 4 * HOUR, NOW - 3 * HOUR)
    made.use("", NOW - 3 * HOUR, NOW - 5 * HOUR // 2)
    made.use("editor", NOW - 5 * HOUR // 2, NOW - 2 * HOUR, present=False)
    return made


def _said(capsys: pytest.CaptureFixture[str], week: Week, *words: str) -> str:
    assert main(["time", *words, "--config", str(week.file)]) == 0
    return capsys.readouterr().out


def _json(capsys: pytest.CaptureFixture[str], week: Week, *words: str) -> dict[str, Any]:
    got: dict[str, Any] = json.loads(_said(capsys, week, *words, "--json"))
    return got


def test_the_day_adds_up_and_its_holes_are_unknown(week: Week, capsys: pytest.CaptureFixture[str]):
    got = _json(capsys, week)
    assert (got["period"], got["zone"]) == ("2026-11-22", "Europe/Berlin")
    assert (got["active_seconds"], got["away_seconds"], got["unknown_seconds"]) == (12_600, 1800, 19 * 3600 - 14_400)
    assert got["apps"] == [
        {"app": "editor", "seconds": 7200}, {"app": "firefox", "seconds": 3600}, {"app": None, "seconds": 1800}
    ]  # fmt: skip
    assert sum(got["hours"]) == sum(app["seconds"] for app in got["apps"]) == got["active_seconds"]


def test_the_week_has_its_days(week: Week, capsys: pytest.CaptureFixture[str]):
    got = _json(capsys, week, "week")
    assert [day["active_seconds"] for day in got["days"]] == [0] * 6 + [12_600]
    assert [day["unknown_seconds"] for day in got["days"]][:6] == [86_400] * 6
    lines = _said(capsys, week, "week").splitlines()
    assert lines[0].startswith("2026-W47: 3 h 30 min at the machine, 30 min away")
    assert "█" in next(line for line in lines if line.startswith("Sun 22"))
    assert "24 h 00 min unknown" in next(line for line in lines if line.startswith("Mon 16"))


def test_a_week_without_a_record_is_unknown_and_not_zero(week: Week, capsys: pytest.CaptureFixture[str]):
    week.file.write_text('[[budget]]\nof = "all"\nminutes = 240\nper = "week"\n[[budget]]\nof = "all"\nminutes = 60\n')
    said = _said(capsys, week, "week", "--week", "2026-W40")
    assert "168 h 00 min unknown" in said
    assert "all:" not in said
    assert _json(capsys, week, "week", "--week", "2026-W40")["budgets"] == []


def test_apps_have_bars_and_the_unknown_app_its_name(week: Week, capsys: pytest.CaptureFixture[str]):
    lines = _said(capsys, week, "app").splitlines()
    assert [line.split("  ")[0] for line in lines[1:4]] == ["editor", "firefox", "unknown app"]
    assert lines[1].count("█") == 2 * lines[2].count("█") > 0


def test_a_category_says_its_method(week: Week, capsys: pytest.CaptureFixture[str]):
    week.ask(NOW - 7 * HOUR // 2, "adult")  # firefox was in front
    week.ask(NOW - 7 * HOUR // 2 + 600 * SECOND, "adult", "proxy")
    week.ask(NOW - 9 * HOUR, "cam")  # nothing was measured
    week.ask(NOW - 5 * HOUR, "chat")  # the editor was in front
    week.ask(NOW - 5 * HOUR, "mixed", "proxy")  # the same: another program, or a page in the background
    rows = _json(capsys, week, "category")["categories"]
    assert [(row["category"], row["method"], row["certain"], row["seconds"]) for row in rows] == [
        ("adult", "proxy flow", True, 60), ("adult", "browser in front and DNS", True, 60),
        ("cam", "DNS only", False, 60),
    ]  # fmt: skip
    lines = _said(capsys, week, "category").splitlines()
    assert [("█" in line, "not certain" in line) for line in lines[1:4]] == [
        (True, False),
        (True, False),
        (False, True),
    ]
    assert "Estimates" in lines[4]
    assert "listed.test" not in str(lines)


def test_own_measures_are_said_calmly(week: Week, capsys: pytest.CaptureFixture[str]):
    words = ["--late", "15:00-17:00", "--long", "200", "--budget", "editor=60", "--budget", "firefox=120"]
    text = _said(capsys, week, "day", *words)
    assert "Within 15:00-17:00: 1 h 30 min." in text
    assert "A long session: Sun 22 13:00–16:30, 3 h 30 min." in text
    assert "editor: 2 h 00 min of 1 h 00 min a day; used up, 1 h 00 min more." in text
    assert "firefox: 1 h 00 min of 2 h 00 min a day; fine, 1 h 00 min left." in text


def test_own_measures_come_from_the_settings(week: Week, capsys: pytest.CaptureFixture[str]):
    week.file.write_text(
        '[agent]\nlate = ["15:00-17:00"]\nlong_minutes = 200\nbaseline = "2026-W46"\n'
        '[[budget]]\nof = "firefox"\nminutes = 65\n[[budget]]\nof = "all"\nminutes = 240\nper = "week"\n'
    )
    day, whole = _json(capsys, week), _json(capsys, week, "week")
    assert day["late_seconds"] == 5400
    assert [one["seconds"] for one in day["long_sessions"]] == [12_600]
    assert [(one["of"], one["used_seconds"], one["state"]) for one in day["budgets"]] == [
        ("firefox", 3600, "near the end"), ("all", 12_600, "fine")
    ]  # fmt: skip
    assert [one["of"] for one in whole["budgets"]] == ["all"]
    assert whole["baseline"] == {"week": "2026-W46", "regained_seconds": None}
    assert "baseline" not in day
    text = _said(capsys, week, "week")
    assert "firefox: more than 1 h 05 min on no day." in text
    assert "2026-W47 and 2026-W46 cannot be compared" in text
    assert "baseline" not in _json(capsys, week, "week", "--baseline", "2026-W47")  # beside itself there is nothing


def test_the_marks_are_shown_on_request_only(week: Week, capsys: pytest.CaptureFixture[str]):
    assert "diagnosis" not in _said(capsys, week, "week")
    assert "a number to talk about, not a diagnosis" in _said(capsys, week, "week", "--marks")


def test_a_baseline_that_is_not_known_compares_nothing(week: Week, capsys: pytest.CaptureFixture[str]):
    assert "cannot be compared" in _said(capsys, week, "week", "--baseline", "2026-W40")


def test_hours_regained_are_told_beside_a_week_that_is_known_as_well(week: Week, capsys: pytest.CaptureFixture[str]):
    then = NOW - 7 * 24 * HOUR
    week.use("firefox", then - 6 * HOUR, then - 2 * HOUR)
    for at in (then - 5 * HOUR, then - 4 * HOUR):
        week.ask(at, "adult")
    assert "Beside your week 2026-W46: 2 min regained." in _said(capsys, week, "week", "--baseline", "2026-W46")
    words = ["week", "--week", "2026-W46", "--baseline", "2026-W47"]
    assert "Beside your week 2026-W47: 2 min more than then." in _said(capsys, week, *words)


def test_one_users_hours_alone(week: Week, capsys: pytest.CaptureFixture[str]):
    assert _json(capsys, week, "--user", "1000")["active_seconds"] == 12_600
    assert _json(capsys, week, "--user", "1001")["active_seconds"] == 0
    assert _json(capsys, week, "--user", "all")["active_seconds"] == 12_600


def test_without_a_name_they_are_those_of_whoever_asks(
    week: Week, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    week.use("mail", NOW - HOUR, NOW, uid=1001)
    for asks, seconds in ((1000, 12_600), (1001, 3600), (0, 16_200)):  # no agent ran for user 0
        monkeypatch.setattr("os.getuid", lambda uid=asks: uid)
        assert _json(capsys, week)["active_seconds"] == seconds


def test_two_sessions_at_once_are_one_persons_time(week: Week, capsys: pytest.CaptureFixture[str]):
    week.use("mail", NOW - 4 * HOUR, NOW - 2 * HOUR, uid=1001)
    got = _json(capsys, week, "--user", "all")
    assert (got["active_seconds"], got["away_seconds"]) == (4 * 3600, 0)
    assert {app["app"]: app["seconds"] for app in got["apps"]} == {
        "editor": 7200, "firefox": 3600, None: 1800, "mail": 1800
    }  # fmt: skip
    assert got["active_seconds"] + got["unknown_seconds"] == 19 * 3600


def test_the_export_goes_to_a_file_for_its_owner_alone(week: Week, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    _said(capsys, week, "week", "--export", str(tmp_path / "out.json"))
    assert len(json.loads((tmp_path / "out.json").read_text())["buckets"]) == 2
    assert (tmp_path / "out.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--date", "yesterday"], ["--week", "2026-W60"], ["--late", "late"], ["--budget", "x"],
        ["--budget", "a=1/year"], ["week", "--baseline", "x"], ["day", "--marks"], ["--date", "9999-12-31"],
        ["week", "--date", "0001-01-01"], ["week", "--week", "9999-W52"], ["--user", "nobody-of-this-name"],
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_in_one_line(week: Week, capsys: pytest.CaptureFixture[str], words: list[str]):
    assert main(["time", *words, "--config", str(week.file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_without_a_journal_nothing_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "blockerd.toml"
    file.write_text("")
    assert main(["time", "week", "--week", "2026-W40", "--config", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2026-W40: 168 h 00 min unknown"
    assert not [line for line in lines if "0 s" in line]
