"""The command line as such: where global options may stand, exit codes, one line for what is wrong, broken pipes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import blockerd
from blockerd.cli.main import GROUPS, main
from tests.e2e.install import environment


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "b.toml"
    made.write_text("[lists]\nstarter = false\n")
    return made


@pytest.mark.parametrize(
    "words",
    [
        ["--config", "{}", "--json", "status"],
        ["status", "--config", "{}", "--json"],
        ["--json", "status", "--config={}"],
        ["--config={}", "status", "--json"],
    ],
)
def test_config_and_json_may_stand_before_and_after(words: list[str], file: Path, capsys: pytest.CaptureFixture[str]):
    assert main([word.format(file) for word in words]) == 1
    assert json.loads(capsys.readouterr().out)["protecting"] is False


def test_behind_two_dashes_nothing_is_an_option(file: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["lists", "build", "--config", str(file)]) == 0
    capsys.readouterr()
    assert main(["--config", str(file), "check", "--", "--json"]) == 0  # as a name it is odd, but one
    assert capsys.readouterr().out.startswith("--json")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["stats"], "did you mean status?"),
        (["xyzzy"], "see blockerd --help"),
        ([], "--help"),
        (["check"], "NAME_OR_URL"),
        (["lists"], "VERB"),
        (["lists", "frobnicate"], "frobnicate"),
        (["lists", "build", "--nosuch"], "--nosuch"),
        (["log", "--limit", "many"], "--limit"),
        (["--config"], "--config"),
        (["status", "--config", "absent.toml"], "absent.toml"),
    ],
)
def test_wrong_usage_exits_2_with_one_line(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]):
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert hint in told.err


@pytest.mark.parametrize("command", sorted(command for names in GROUPS.values() for command in names))
def test_every_command_has_a_help_page(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert command in capsys.readouterr().out


def test_a_typo_in_the_configuration_exits_2_with_file_key_and_nearest_key(
    file: Path, capsys: pytest.CaptureFixture[str]
):
    file.write_text('[dns]\nlistne = ["127.0.0.1:1"]\nblock_ttl = "x"\n')
    for words in (["status"], ["check", "site.test"], ["lists", "build"], ["run"], ["dns"], ["control"], ["log"]):
        assert main([*words, "--config", str(file)]) == 2
        first, second = capsys.readouterr().err.splitlines()
        assert first == f"{file}:2: dns.listne: unknown key; did you mean dns.listen?"
        assert second.startswith(f"{file}:3: dns.block_ttl: ")


def test_the_configuration_is_searched_as_agreed(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    local = file.parent / "blockerd.toml"
    local.write_text('[dns]\nlisten = ["127.0.0.1:1"]\n')
    file.write_text('[dns]\nlisten = ["127.0.0.1:2"]\n')
    other = file.parent / "other.toml"
    other.write_text('[dns]\nlisten = ["127.0.0.1:3"]\n')
    monkeypatch.chdir(file.parent)
    assert _listens([], capsys) == "127.0.0.1:1"
    monkeypatch.setenv("BLOCKERD_CONFIG", str(file))
    assert _listens([], capsys) == "127.0.0.1:2"
    assert _listens(["--config", "other.toml"], capsys) == "127.0.0.1:3"


def _listens(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    main(["status", "--json", *words])
    address: str = json.loads(capsys.readouterr().out)["listen"][0]
    return address


def test_version_says_the_version(capsys: pytest.CaptureFixture[str]):
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"blockerd {blockerd.__version__}\n"
    assert main(["--json", "version"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": blockerd.__version__}


@pytest.mark.parametrize("words", [["config", "example"], ["--help"], ["lists", "ls", "--json"]])
def test_a_reader_that_goes_away_is_no_trouble(words: list[str], file: Path):
    process = subprocess.Popen(
        [sys.executable, "-m", "blockerd", *words, "--config", str(file)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(10) == 0
