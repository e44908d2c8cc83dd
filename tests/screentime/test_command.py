"""`blockerd agent` where it cannot measure: one line, and an exit code that says so."""

import json
import sys
from pathlib import Path

import pytest

from blockerd.cli.main import main


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "blockerd.toml").write_text("")
    return str(tmp_path / "blockerd.toml")


@pytest.mark.parametrize(("platform", "name"), [("darwin", "macOS"), ("win32", "Windows")])
def test_elsewhere_the_agent_says_that_it_does_not_run_yet(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, platform: str, name: str
):
    monkeypatch.setattr(sys, "platform", platform)
    assert main(["agent", "--config", file]) == 1
    said = f"the agent does not run on {name} yet; `blockerd agent --check` tries its probe\n"
    assert capsys.readouterr().err == said


def test_check_says_why_nothing_can_be_measured(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_SESSION_TYPE", "wayland")
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "XFCE")
    monkeypatch.setenv("DISPLAY", ":0")
    assert main(["agent", "--check", "--config", file]) == 1
    assert "Screen time is unknown here: XFCE on Wayland" in capsys.readouterr().out
    assert main(["agent", "--check", "--json", "--config", file]) == 1
    got = json.loads(capsys.readouterr().out)
    assert (got["probe"], got["app"], got["idle"]) == ("unknown", False, False)


def test_an_installed_agent_reads_no_settings_and_waits_for_control(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """The settings are the service's and root's; `control` tells what an agent needs of them."""
    pytest.importorskip("jeepney", reason="jeepney is missing: install blockerd[agent]")
    monkeypatch.setattr("blockerd.cli.agent.PATIENCE", 0.0)
    monkeypatch.setenv("XDG_SESSION_TYPE", "tty")
    socket = tmp_path / "agent.sock"
    assert main(["agent", "--socket", str(socket), "--config", str(tmp_path / "none.toml")]) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == f"{socket}: No such file or directory; nothing is measured before it answers"
