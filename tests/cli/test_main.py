"""The command line as such: where global options may stand, exit codes, one line for what is wrong, broken pipes."""

import io
import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

import blockerd
from blockerd.cli.main import GROUPS, main
from blockerd.cli.output import path_of
from blockerd.cli.owner import Unreachable
from blockerd.cli.processes import said_to_be_shared
from blockerd.report.consent import WORDS, Consent, give
from blockerd.settings import load
from blockerd.system.manifest import Manifest, settings_file
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


@pytest.mark.parametrize(
    "words",
    [
        "report preview --week 9999-W52",
        "time --date 9999-12-31",
        "time week --date 0001-01-01",
        "time week --week 9999-W52",
        "log --until 9999-12-31",
    ],
)
def test_days_at_the_ends_of_the_calendar_are_refused_in_one_line(
    words: str, file: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*words.split(), "--config", str(file)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_longer_ago_than_there_was_time_is_all_of_it(file: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["log", "--since", "999999999w", "--config", str(file)]) == 0
    assert "Nothing was recorded" in capsys.readouterr().out


def test_where_a_right_is_missing_a_command_ends_in_one_line(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def refuse(_: object) -> object:
        raise PermissionError(13, "Permission denied", "/some/where")

    monkeypatch.setattr("blockerd.cli.status.settings_of", refuse)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.getuid", lambda: 1000)
    assert main(["healthcheck", "--config", str(file)]) == 2
    assert capsys.readouterr().err == "/some/where: Permission denied; try it with sudo\n"


def test_a_state_whose_owner_cannot_read_this_program_ends_a_command_in_one_line(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """`setup`, `install` and `uninstall` become the owner late, when all was asked."""

    def refuse(_: object) -> object:
        raise Unreachable("/state: belongs to somebody, who cannot read /program")

    monkeypatch.setattr("blockerd.cli.status.settings_of", refuse)
    assert main(["healthcheck", "--config", str(file)]) == 2
    assert capsys.readouterr().err == "/state: belongs to somebody, who cannot read /program\n"


@pytest.mark.parametrize("root", [False, True])
def test_root_works_on_the_blockerd_of_the_system_wherever_it_stands(
    root: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    installed, here = tmp_path / "etc.toml", tmp_path / "here"
    here.mkdir()
    (here / "blockerd.toml").touch()
    monkeypatch.chdir(here)
    monkeypatch.setattr("blockerd.cli.owner.is_root", lambda: root)
    monkeypatch.setattr("blockerd.system.manifest.settings_file", lambda *_: installed)
    assert path_of(Namespace(config=None)) == (installed if root else here / "blockerd.toml")
    assert path_of(Namespace(config="named.toml")) == here / "named.toml"
    monkeypatch.setenv("BLOCKERD_CONFIG", "other.toml")
    assert path_of(Namespace(config=None)) == here / "other.toml"


def test_the_configuration_of_a_system_is_the_one_it_was_installed_with(tmp_path: Path):
    usual, other = tmp_path / "usual.toml", tmp_path / "other.toml"
    usual.touch()
    other.touch()
    assert settings_file(tmp_path, usual) is None
    manifest = Manifest(tmp_path)
    manifest.begin()
    assert settings_file(tmp_path, usual) == usual
    manifest.note("config", str(other))
    assert settings_file(tmp_path, usual) == other
    other.unlink()
    assert settings_file(tmp_path, usual) == usual
    usual.unlink()
    assert settings_file(tmp_path, usual) is None


def test_agreeing_with_json_gives_json_alone(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stdin", io.StringIO(WORDS + "\n"))
    assert main(["consent", "--json", "--config", str(file)]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {"consent": True}
    assert "To agree, type" in told.err


def test_a_start_says_who_may_read_notes(file: Path):
    settings = load(file, {}, file.parent)
    assert said_to_be_shared(settings) == "Nothing is shared with anyone."
    file.write_text('[[report.partner]]\nname = "Robin"\naddress = "r@mail.example"\nrole = "spouse"\n')
    settings = load(file, {}, file.parent)
    assert said_to_be_shared(settings) == "Nothing is shared with anyone."
    settings.state.dir.mkdir()
    give(settings.state.dir, Consent(1, WORDS))
    assert said_to_be_shared(settings) == "Notes go to Robin, as far as they said yes: blockerd partner ls."
