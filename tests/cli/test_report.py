"""`blockerd report preview` and `blockerd demo`, from spool and journal to the text."""

import json
import shutil
from pathlib import Path

import pytest

from blockerd.cli.main import main
from blockerd.journal.read import View
from blockerd.report.render import HELP
from tests.journal.spooling import SECOND, Spool


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "blockerd.toml"
    path.write_text('[state]\ndir = "var"\n[time]\nzone = "Europe/Berlin"\n')
    (tmp_path / "var").mkdir(mode=0o700)
    return path


def test_the_preview_counts_what_waits_in_the_spool(config: Path, capsys: pytest.CaptureFixture[str]):
    spool = Spool(config.parent / "var" / "spool")
    spool.alive("start")
    spool.ask("a.test", "www.a.test")
    spool.ask("b.test", combo=1)
    spool.ask("blocked.example", combo=3)
    spool.ask("way.test", combo=2)
    spool.at += 60 * SECOND
    spool.alive("alive")
    assert main(["report", "preview", "--week", "2026-W47", "--json", "--config", str(config)]) == 0
    got = json.loads(capsys.readouterr().out)
    assert (got["attempts"], got["total"], got["bypass"]) == ({"adult": 1, "cam": 1}, 2, 1)
    assert got["coverage"]["running_minutes"] == 1
    assert got["coverage"]["first"] == "2026-11-22T18:00:00.000Z"
    assert (got["period"], got["role"], got["start"]) == ("2026-W47", "self", "2026-11-15T23:00:00.000Z")
    day = {"date": "2026-11-22", "attempts": {"adult": 1, "cam": 1}, "bypass": 1, "running_minutes": 1}
    assert [one for one in got["days"] if one["attempts"]] == [day]


def test_the_preview_names_no_site(config: Path, capsys: pytest.CaptureFixture[str]):
    Spool(config.parent / "var" / "spool").ask("secret.test")
    assert main(["report", "preview", "--week", "2026-W47", "--config", str(config)]) == 0
    out = capsys.readouterr().out
    assert "secret" not in out
    assert "adult" in out
    assert out.startswith("Coverage: ")


def test_without_a_week_it_is_the_current_one(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", "preview", "--config", str(config)]) == 0
    assert "so far" in capsys.readouterr().out.partition("\n")[0]


def test_a_week_that_is_none_is_refused_in_one_line(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", "preview", "--week", "2026-W60", "--config", str(config)]) == 2
    assert capsys.readouterr().err == "--week 2026-W60: no week; write year and week like 2026-W47\n"


def test_a_damaged_journal_is_one_line_and_exit_1(config: Path, capsys: pytest.CaptureFixture[str]):
    (config.parent / "var" / "journal.sqlite").write_bytes(b"something else entirely " * 1000)
    assert main(["report", "preview", "--config", str(config)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_demo_fills_a_journal_through_the_spool_and_shows_its_last_week(
    config: Path, capsys: pytest.CaptureFixture[str]
):
    before = sorted(config.parent.rglob("*"))
    assert main(["demo", "--json", "--config", str(config)]) == 0
    got = json.loads(capsys.readouterr().out)
    folder = Path(got["folder"])
    try:
        assert got["summary"]["total"] > 0
        assert 30 * 60 < got["summary"]["coverage"]["running_minutes"] < 70 * 60
        assert len(got["summary"]["days"]) == 7
        with View(folder / "journal.sqlite", folder / "spool") as view:
            attempts = list(view.attempts())
        assert 40 < len(attempts) < 400
        assert {one.site.rpartition(".")[2] for one in attempts} == {"test", "example"}
        assert main(["log", "--config", got["config"], "--limit", "5"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 7
    finally:
        shutil.rmtree(folder)
    assert sorted(config.parent.rglob("*")) == before


def test_the_demo_shows_the_note_and_where_things_lie(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["demo", "--config", str(config)]) == 0
    out = capsys.readouterr().out
    folder = Path(out.partition("All of it lies in ")[2].partition(" (")[0])
    assert (folder / "journal.sqlite").exists()
    shutil.rmtree(folder)
    assert HELP in out
    assert "invented" in out
