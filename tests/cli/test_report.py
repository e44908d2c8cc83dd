"""`blockerd report preview` and `blockerd demo`, from spool and journal to the text."""

import email
import json
import re
import shutil
from datetime import date
from email.policy import SMTP
from pathlib import Path

import pytest

from blockerd import clock
from blockerd.cli.main import main
from blockerd.journal.read import View
from blockerd.settings import Role
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


def test_names_are_whole_only_where_asked_and_only_for_oneself_and_a_therapist(
    config: Path, capsys: pytest.CaptureFixture[str]
):
    spool = Spool(config.parent / "var" / "spool")
    spool.alive("start")
    spool.ask("secret.test")
    spool.alive("alive")
    week = ["--week", "2026-W47", "--config", str(config)]
    assert main(["report", "preview", *week]) == 0
    assert "s…t.test" in capsys.readouterr().out
    for role in ("self", "therapist"):
        assert main(["report", "preview", "--role", role, "--reveal", *week]) == 0
        assert "secret.test" in capsys.readouterr().out
    for role in ("spouse", "mentor"):
        assert main(["report", "preview", "--role", role, "--reveal", *week]) == 2
        assert main(["report", "preview", "--role", role, *week]) == 0
        assert "secret" not in capsys.readouterr().out


@pytest.mark.parametrize("role", Role)
def test_help_stands_before_any_figure_whoever_reads(config: Path, capsys: pytest.CaptureFixture[str], role: Role):
    Spool(config.parent / "var" / "spool").ask("secret.test")
    words = ["report", "preview", "--role", role, "--week", "2026-W47", "--config", str(config)]
    assert main(words) == 0
    out = capsys.readouterr().out.partition("\n\n")[2]
    assert out.index("TelefonSeelsorge") < out.index("1 request")
    assert role == "self" or out.startswith("You are not asked to police this.")
    assert "secret" not in out


def test_a_spouse_sees_no_kinds_and_a_mentor_no_hours(config: Path, capsys: pytest.CaptureFixture[str]):
    Spool(config.parent / "var" / "spool").ask("secret.test")
    shown = {}
    for role in ("spouse", "mentor"):
        assert main(["report", "preview", "--role", role, "--week", "2026-W47", "--config", str(config)]) == 0
        shown[role] = capsys.readouterr().out
    assert "adult" not in shown["spouse"]
    assert "adult" in shown["mentor"]
    assert "19:00" not in shown["mentor"]


def test_without_a_week_it_is_the_note_to_come(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", "preview", "--config", str(config)]) == 0
    period = re.search(r"were it sent now \((\S+)/P7D\)", capsys.readouterr().out)
    assert period
    first = date.fromisoformat(period[1])
    today = clock.utc(clock.now() + 3600).date()
    assert first.weekday() == 6, "sent on Sundays, a week begins with one"
    assert -8 < (first - today).days <= 0


def test_the_page_is_written_to_a_new_file_only(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page = tmp_path / "note.html"
    words = ["report", "preview", "--role", "spouse", "--html", str(page), "--config", str(config)]
    assert main(words) == 0
    assert page.read_text("utf-8").startswith("<!doctype html>")
    capsys.readouterr()
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("words", [["send"], ["note", "hello"], ["talked", "maple"]])
def test_what_control_keeps_needs_control(config: Path, capsys: pytest.CaptureFixture[str], words: list[str]):
    assert main(["report", *words, "--config", str(config)]) == 2
    assert "start blockerd first" in capsys.readouterr().err


def test_before_anything_was_sent_the_list_says_so(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", "list", "--config", str(config)]) == 0
    assert capsys.readouterr().out == "No mail was sent, and none waits.\n"


def test_the_check_of_mails_is_that_of_the_stand_alone_file(config: Path, capsys: pytest.CaptureFixture[str]):
    golden = Path(__file__).parents[1] / "golden" / "evidence"
    folder = config.parent / "mails"
    folder.mkdir()
    assert main(["report", "verify", str(folder), "--config", str(config)]) == 3
    assert "cannot tell (mail 1 is missing)" in capsys.readouterr().out
    assert main(["report", "verify", str(golden / "honest.txt"), "--config", str(config)]) == 3
    assert main(["report", "verify", str(folder / "none"), "--config", str(config)]) == 2


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
    assert out.index("TelefonSeelsorge") < out.index("Monitored ")
    assert "invented" in out


def test_the_demo_writes_the_mail_of_each_role(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "demo"
    assert main(["demo", "--out", str(folder), "--json", "--config", str(config)]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["mails"] == [f"note-{role}.eml" for role in Role]
    for role in Role:
        mail = email.message_from_bytes((folder / f"note-{role}.eml").read_bytes(), policy=SMTP)
        kinds = ["multipart/alternative", "text/plain", "text/html"]
        assert [part.get_content_type() for part in mail.walk()] == kinds
        assert mail["Subject"] == "Weekly note"
        plain = list(mail.walk())[1].get_content()
        assert plain.replace("\r\n", "\n") == (folder / f"note-{role}.txt").read_text("utf-8")
    assert main(["demo", "--out", str(folder), "--config", str(config)]) == 1


def test_coverage_of_the_demo_is_known_also_to_a_preview(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "demo"
    assert main(["demo", "--out", str(folder), "--json", "--config", str(config)]) == 0
    week = json.loads(capsys.readouterr().out)["summary"]["period"]
    words = ["report", "preview", "--role", "spouse", "--week", week, "--config", str(folder / "blockerd.toml")]
    assert main(words) == 0
    hours = re.search(r"Monitored (\S+) of (\S+) powered-on hours", " ".join(capsys.readouterr().out.split()))
    assert hours
    assert 30 < float(hours[1]) < 70
