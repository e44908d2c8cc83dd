"""The command `blockerd config`, run as people run it."""

import json
from pathlib import Path

import pytest

from blockerd.cli.config import example_text
from blockerd.cli.main import main
from blockerd.settings import SETTINGS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "b.toml"
    made.write_text(
        '[dns]\nblock_ttl = 9\nlocal_domains = {lan = "192.168.1.1"}\n'
        '[web]\nlisten = "127.0.0.1:8053"\n[[schedule]]\ncategory = "cam"\nwindows = ["08:00-09:00"]\n'
    )
    return made


def test_show_prints_every_setting_with_its_origin(file: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["config", "show", "--config", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"# {file}"
    rows = {line.split()[0]: line.split() for line in lines[1:]}
    assert rows["dns.block_ttl"] == ["dns.block_ttl", "9", "seconds", "file"]
    assert rows["dns.spool_mb"][-1] == "default"
    assert {item.name for item in SETTINGS if not item.each} <= set(rows)
    assert 'windows = ["08:00-09:00"]' in next(line for line in lines if line.startswith("schedule"))


def test_show_as_json_has_values_with_their_types(file: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--json", "config", "show", "--config", str(file)]) == 0
    told = json.loads(capsys.readouterr().out)
    values = {row["name"]: row for row in told["settings"]}
    assert told["file"] == str(file)
    assert values["dns.block_ttl"] == {
        "name": "dns.block_ttl", "value": 9, "unit": "seconds", "origin": "file", "built": True
    }  # fmt: skip
    assert values["dns.local_domains"]["value"] == {"lan": "192.168.1.1:53"}
    assert values["schedule"]["value"]["days"][0] == "mon"


def test_check_accepts_a_good_file_and_notes_what_has_no_effect(file: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["config", "check", "--config", str(file)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{file}: good\n")
    assert "web.listen" in out
    assert "dns.block_ttl" not in out


def test_check_refuses_a_bad_file_with_one_line_for_each_problem(file: Path, capsys: pytest.CaptureFixture[str]):
    file.write_text("[dns]\nblock_tll = 1\nspool_mb = 0\n")
    assert main(["config", "check", "--config", str(file)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    first, second = told.err.splitlines()
    assert first == f"{file}:2: dns.block_tll: unknown key; did you mean dns.block_ttl?"
    assert second.startswith(f"{file}:3: dns.spool_mb: ")
    assert main(["config", "check", "--json", "--config", str(file)]) == 2
    assert json.loads(capsys.readouterr().out)["problems"] == [first, second]


def test_show_of_a_bad_file_exits_2_and_says_why(file: Path, capsys: pytest.CaptureFixture[str]):
    file.write_text("[dns]\nblock_tll = 1\n")
    assert main(["config", "show", "--config", str(file)]) == 2
    assert "did you mean dns.block_ttl?" in capsys.readouterr().err


def test_a_missing_named_file_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["config", "check", "--config", str(tmp_path / "absent.toml")]) == 2
    assert "absent.toml" in capsys.readouterr().err


def test_example_prints_the_example_file(capsys: pytest.CaptureFixture[str]):
    assert main(["config", "example"]) == 0
    assert capsys.readouterr().out == example_text()


def test_no_secret_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "smtp-password").write_text("open sesame")
    (tmp_path / "b.toml").write_text('[report.smtp]\nuser = "me"\n')
    assert main(["config", "show", "--config", str(tmp_path / "b.toml")]) == 0
    assert "open sesame" not in capsys.readouterr().out
