"""The plan and the resources: the user's own lines, private, and told where the filter closes one of them."""

import json
from pathlib import Path

import pytest

from blockerd.cli.main import main


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "mine.txt").write_text("listed.test\n")
    path = tmp_path / "blockerd.toml"
    source = '[[lists.source]]\nid = "mine"\ncategory = "adult"\npath = "mine.txt"\n'
    path.write_text(f'[state]\ndir = "var"\n[lists]\nstarter = false\n{source}')
    return path


def told(config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command says."""
    assert main(["report", *words, "--config", str(config)]) == 0
    return capsys.readouterr().out


def test_the_plan_is_kept_for_its_user_alone_and_shown_in_the_own_note(
    config: Path, capsys: pytest.CaptureFixture[str]
):
    assert "come with the program" in told(config, capsys, "plan")
    said = told(config, capsys, "plan", "Call Sam", "Out, once\nround the block")
    assert said.splitlines() == ["Your own lines:", "  Call Sam", "  Out, once round the block"]
    assert (config.parent / "var" / "plan.txt").stat().st_mode & 0o777 == 0o600
    assert "Call Sam" in told(config, capsys, "preview", "--role", "self")
    for role in ("spouse", "mentor", "therapist"):
        assert "Call Sam" not in told(config, capsys, "preview", "--role", role)
    assert "come with the program" in told(config, capsys, "plan", "--clear")


def test_a_resource_that_the_filter_closes_is_told_with_what_opens_it(config: Path, capsys: pytest.CaptureFixture[str]):
    line = "Thursday group: www.listed.test or group.test, write to sam@listed.test"
    assert "closed" not in told(config, capsys, "resources", line), "there is no policy yet"
    assert main(["lists", "build", "--config", str(config)]) == 0
    capsys.readouterr()
    assert "blockerd allow www.listed.test opens it" in told(config, capsys, "resources")
    got = json.loads(told(config, capsys, "resources", "--json"))
    assert got == {"own": True, "lines": [line], "closed": ["www.listed.test"]}
    assert line.partition(" or")[0] in " ".join(told(config, capsys, "preview", "--role", "spouse").split())


def test_the_resources_that_come_with_it_are_open(config: Path, capsys: pytest.CaptureFixture[str]):
    names = "saa-recovery.org\nsmartrecovery.org\ngoodtherapy.org\n"
    (config.parent / "mine.txt").write_text(names)
    assert main(["lists", "build", "--config", str(config)]) == 0
    capsys.readouterr()
    assert json.loads(told(config, capsys, "resources", "--json"))["closed"] == []
