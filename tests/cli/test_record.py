"""`log episodes`, `log check`, `log new-key`: what a person sees of their own record, and what they can do with it."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import apsw
import pytest

from blockerd import clock
from blockerd.cli.main import main
from blockerd.journal import checkpoint, rotation
from blockerd.journal.append import Journal
from blockerd.journal.log import Log
from blockerd.settings import load
from tests.e2e.install import Install, wait_until
from tests.journal.spooling import SECOND, Spool

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=BERLIN)
MINUTE = 60 * SECOND
Run = Callable[..., tuple[int, str, str]]


def us(at: datetime) -> int:
    return int(at.timestamp()) * SECOND


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "blockerd.toml"
    path.write_text('[state]\ndir = "var"\n[time]\nzone = "Europe/Berlin"\n')
    (tmp_path / "var").mkdir(mode=0o700)
    monkeypatch.setattr(clock, "now_us", lambda: us(NOW))
    return path


@pytest.fixture
def run(config: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(["log", *words, "--config", str(config)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture
def spool(config: Path) -> Spool:
    return Spool(config.parent / "var" / "spool", start=us(NOW - timedelta(days=60)))


def stored(config: Path, at: int | None = None) -> None:
    journal = Journal(config.parent / "var" / "journal.sqlite", lambda: at or us(NOW))
    assert journal.drain(config.parent / "var" / "spool").message == ""
    journal.close()


def evenings(spool: Spool) -> None:
    """Eight weeks of Tuesdays and Fridays after eleven, two sites each, with a browser in front since nine."""
    seq = 0
    for back in range(59, 0, -1):
        day = (NOW - timedelta(days=back)).replace(hour=0)
        if day.weekday() in (1, 4):
            began = us(day.replace(hour=21))
            for stream, value in (("afk", "not-afk"), ("app", "firefox")):
                for hour in range(3):
                    seq += 1
                    start = began + hour * 60 * MINUTE
                    head = {"agent": "1000:a1", "uid": 1000, "probe": "x11", "seq": seq, "base": 1}
                    times = {"start": start, "end": start + 60 * MINUTE, "anchor": began - 10**9, "boot": f"b{back}"}
                    spool.tell(kind=stream, **head, **times, value=value)
            for minute, site in ((back * 7 % 30, "one.test"), (back * 7 % 30 + 5, "two.test")):
                spool.at = us(day.replace(hour=23, minute=minute))
                spool.ask(site, combo=int(site == "two.test"))


def test_episodes_show_the_week_what_came_before_and_a_schedule(run: Run, spool: Spool, config: Path):
    evenings(spool)
    stored(config)
    code, out, _ = run("episodes", "--weeks", "8", "--category", "dating")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "The last 8 weeks: 16 episodes"
    assert "How sure it is that a request was one: 32 high, 0 medium, 0 low." in out
    chart = {line[:3]: line[5:] for line in lines if line[3:5] == "  " and len(line) == 29}
    assert {day: signs.index("█") for day, signs in chart.items() if "█" in signs} == {"Tue": 23, "Fri": 23}
    assert "What came before, where it is known: long session 16." in out
    assert "Most often they began in these hours: Tue, Fri 22:00-01:00." in " ".join(out.split())
    assert 'category = "dating"' in out
    assert 'category = "adult"' not in out, "it blocks at all times"
    assert "one.test" not in out
    found = json.loads(run("episodes", "--weeks", "8", "--json")[1])
    assert (len(found["episodes"]), found["requests"]) == (16, {"low": 0, "medium": 0, "high": 32})
    assert found["episodes"][0]["categories"] == {"adult": 1, "cam": 1}


def test_the_schedule_proposed_is_one_that_the_settings_take(run: Run, spool: Spool, config: Path, tmp_path: Path):
    evenings(spool)
    stored(config)
    toml = json.loads(run("episodes", "--category", "dating", "--json")[1])["proposal"]["toml"]
    config.write_text(config.read_text() + '[lists]\ncategories = ["adult", "cam", "dating"]\n' + toml)
    settings = load(config, {}, tmp_path)
    assert {one.category for one in settings.schedule} == {"dating"}


def test_who_was_away_asked_for_nothing(run: Run, spool: Spool, config: Path):
    """With nobody at the screen it was a program; another device is not judged by this screen."""
    spool.at = us(NOW - timedelta(hours=5))
    head = {"agent": "1000:a1", "uid": 1000, "probe": "x11", "seq": 1, "base": 1}
    spool.tell(kind="afk", **head, start=spool.at, end=spool.at + 50 * MINUTE, value="afk", anchor=0, boot="b1")
    spool.at += 10 * MINUTE
    spool.ask("one.test")
    stored(config)
    found = json.loads(run("episodes", "--json")[1])
    assert (found["background"], found["episodes"]) == (1, [])


def test_from_little_no_pattern_is_made(run: Run, spool: Spool, config: Path):
    assert "0 episodes in 0 whole weeks" in run("episodes")[1]
    spool.at = us(NOW - timedelta(days=2))
    spool.ask("one.test")
    code, out, _ = run("episodes")
    assert (code, out.splitlines()[0]) == (0, "The last 12 weeks: 1 episode")
    assert "Not enough yet to see a pattern" in out
    assert "blockerd.toml" not in out
    assert run("episodes", "--weeks", "0")[0] == 2


def test_check_says_that_the_record_fits_or_where_it_does_not(run: Run, spool: Spool, config: Path):
    assert run("check")[:2] == (1, "")
    spool.ask("one.test")
    spool.tell(kind="change", what="x")
    stored(config)
    code, out, _ = run("check")
    assert (code, "2 entries fit their hashes" in out) == (0, True)
    with apsw.Connection(str(config.parent / "var" / "journal.sqlite")) as db:
        db.execute("UPDATE events SET payload = replace(payload, 'x', 'y')")
    code, out, _ = run("check")
    assert (code, "  entry 0: what it says is not what was committed to" in out) == (1, True)
    assert json.loads(run("check", "--json")[1])["broken"][0]["first"] == 0


def test_another_key_is_made_where_there_is_one(run: Run, config: Path, spool: Spool):
    spool.ask("one.test")
    stored(config)
    code, _, err = run("new-key")
    assert (code, "made with the first mail" in err, err.count("\n")) == (1, True, 1)


def test_beside_a_running_control_the_key_is_changed_by_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    install = Install(tmp_path, 9)
    try:
        install.start("control")
        wait_until((install.var / "run" / "control.sock").exists, said=install.said)
        wait_until((install.var / "journal.sqlite").exists, said=install.said)
        log = _log_of(install)
        path = rotation.key_file(install.var, log)
        old = checkpoint.create(path, checkpoint.origin_of(log), bytes(32)).public
        assert main(["log", "new-key", "--json", "--config", str(install.file)]) == 0
        digits = json.loads(capsys.readouterr().out)["digits"]
    finally:
        install.end()
    assert checkpoint.load(path).public.fingerprint == digits != old.fingerprint


def _log_of(install: Install) -> str:
    found: list[str] = []

    def look() -> bool:
        db = apsw.Connection(str(install.var / "journal.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
        with closing(db):
            db.set_busy_timeout(1000)
            if db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'tree'").get:
                found.append(Log(db).state().log)
        return bool(found)

    wait_until(look)
    return found[0]
