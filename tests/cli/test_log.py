"""`blockerd log`: the contract of its JSON, its screen, and the times it understands."""

import json
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from blockerd import clock
from blockerd.cli.main import main
from blockerd.cli.output import Stop
from blockerd.cli.reading import moment, stamp
from blockerd.journal.append import Journal
from blockerd.journal.spool import Level
from tests.journal.spooling import SECOND, START, Spool

KEYS = [
    *("time", "last", "site", "names", "category", "source", "list"),
    *("action", "channel", "client", "user", "count", "kind"),
]
BERLIN = ZoneInfo("Europe/Berlin")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "blockerd.toml"
    path.write_text('[state]\ndir = "var"\n[time]\nzone = "Europe/Berlin"\n')
    (tmp_path / "var").mkdir(mode=0o700)
    return path


@pytest.fixture
def spool(config: Path) -> Spool:
    return Spool(config.parent / "var" / "spool")


@pytest.fixture
def run(config: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        code = main([*words, "--config", str(config)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def test_json_gives_the_keys_of_the_contract_and_nothing_else(run: Run, spool: Spool):
    spool.at += 123_456
    spool.ask("www.site.test", combo=1)
    spool.at += 30 * SECOND
    spool.ask("site.test", combo=1)
    code, out, _ = run("log", "--json")
    (line,) = out.splitlines()
    assert code == 0
    assert list(json.loads(line)) == KEYS
    assert json.loads(line) == {
        "time": "2026-11-22T18:00:00.123Z", "last": "2026-11-22T18:00:30.123Z", "site": "site.test", "names": [],
        "category": "cam", "source": "starter", "list": "Cam sites", "action": "NXDOMAIN", "channel": "dns",
        "client": "127.0.0.1", "user": "", "count": 2, "kind": "attempt",
    }  # fmt: skip


def test_json_gives_all_oldest_first_stored_or_not_and_never_masked(run: Run, spool: Spool, config: Path):
    for n in range(120):
        spool.at += SECOND
        spool.ask(f"site-{n}.test")
        if n == 60:
            journal = Journal(config.parent / "var" / "journal.sqlite", lambda: START)
            journal.drain(spool.folder)
            journal.close()
    lines = run("log", "--json")[1].splitlines()
    assert [json.loads(line)["site"] for line in lines] == [f"site-{n}.test" for n in range(120)]
    lines = run("log", "--json", "--limit", "3")[1].splitlines()
    assert [json.loads(line)["site"] for line in lines] == [f"site-{n}.test" for n in (117, 118, 119)]


def test_json_gives_full_names_at_level_name(run: Run, spool: Spool, config: Path):
    config.write_text(config.read_text() + '[privacy]\nlevel = "name"\n')
    spool.ask("www.site.test", "cdn.site.test")
    journal = Journal(config.parent / "var" / "journal.sqlite", lambda: START)
    journal.drain(spool.folder, level=Level.NAME)
    journal.close()
    assert json.loads(run("log", "--json")[1])["names"] == ["www.site.test", "cdn.site.test"]


def test_the_screen_masks_and_aligns_in_local_time(run: Run, spool: Spool):
    spool.ask("secret.test")
    spool.ask("blocked.example", combo=3)
    code, out, _ = run("log")
    assert (code, out.splitlines()) == (
        0,
        [
            "Time                 Category  Site             Requests",
            "2026-11-22 19:00:00  adult     s…t.test                1",
            "2026-11-22 19:00:00  demo      blocked.example         1",
        ],
    )
    assert "secret.test" in run("log", "--reveal")[1]


def test_the_screen_shows_full_names_masked_where_there_are_any(run: Run, spool: Spool, config: Path):
    config.write_text(config.read_text() + '[privacy]\nlevel = "name"\n')
    spool.ask("secret.site.test", "other.site.test")
    assert "secret" not in run("log")[1]
    assert "secret.site.test +1" in run("log", "--reveal")[1]


def test_the_screen_shows_the_newest_fifty_and_how_many_more(run: Run, spool: Spool):
    for n in range(70):
        spool.at += SECOND
        spool.ask(f"s-{n}.test")
    lines = run("log", "--reveal")[1].splitlines()
    assert len(lines) == 52
    assert "s-20.test" in lines[1]
    assert "s-69.test" in lines[50]
    assert lines[51] == "20 earlier ones are not shown; --limit 70 shows all."
    assert len(run("log", "--limit", "70")[1].splitlines()) == 71


def test_nothing_recorded_is_said_calmly_and_is_no_error(run: Run):
    assert run("log") == (0, "Nothing was recorded in this time.\n", "")
    assert run("log", "--json") == (0, "", "")


def test_since_and_until_bound_what_is_shown(run: Run, spool: Spool):
    for n in range(4):
        spool.at = START + n * 3600 * SECOND
        spool.ask(f"s-{n}.test")
    out = run("log", "--json", "--since", "2026-11-22T19:00:00Z", "--until", "2026-11-22T22:00:00+01:00")[1]
    assert [json.loads(line)["site"] for line in out.splitlines()] == ["s-1.test", "s-2.test"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2h", START - 7200 * SECOND),
        ("7d", START - 7 * 86_400 * SECOND),
        ("2026-11-22T19:00:00+01:00", START),
        ("2026-11-22T18:00:00.5Z", START + SECOND // 2),
        ("2026-11-22", START - 19 * 3600 * SECOND),
    ],
)
def test_times_are_durations_days_or_rfc_3339(text: str, wanted: int):
    assert moment("--since", text, BERLIN, START) == wanted


def test_a_day_as_the_end_is_the_whole_day():
    assert moment("--until", "2026-11-22", BERLIN, START, whole_day=True) == START + 5 * 3600 * SECOND


@pytest.mark.parametrize("text", ["2x", "yesterday", "2026-11-22T18:00:00", "2026-02-30", "-1h", "99999999999999d"])
def test_a_time_that_is_none_is_refused_in_one_line(text: str):
    with pytest.raises(Stop, match=r"^--since .*write 2h, 7d, 2026-11-22 or") as stop:
        moment("--since", text, BERLIN, START)
    assert stop.value.code == 2
    assert "\n" not in str(stop.value)


def test_a_duration_may_reach_behind_all_time(run: Run, spool: Spool):
    spool.ask("a.test")
    assert run("log", "--json", "--since", "999999999w")[1].count("\n") == 1


@pytest.mark.parametrize("us", [0, 999, 1000, 1_001_000, START + 999_999, START + 1, START + 100_000])
def test_stamps_cut_to_milliseconds_and_read_back(us: int):
    assert round(clock.parse_rfc3339(stamp(us)) * 1000) == us // 1000


def test_ages_ago_is_ever_since(run: Run):
    assert run("log", "--json", "--since", "999999999w")[0] == 0


def test_a_limit_below_zero_is_refused(run: Run):
    code, out, err = run("log", "--limit", "-1")
    assert (code, out) == (2, "")
    assert err.startswith("--limit -1")


def test_a_journal_that_cannot_be_read_is_one_line_and_exit_1(run: Run, config: Path):
    (config.parent / "var" / "journal.sqlite").write_bytes(b"something else entirely " * 1000)
    code, out, err = run("log", "--json")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "cannot be read" in err
