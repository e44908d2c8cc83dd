"""`export`, `backup`, `import` and `log erase`: all of it in the forms asked for, one file, and gone when asked."""

import argparse
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from blockerd.cli import data
from blockerd.cli.main import GROUPS, main
from blockerd.cli.output import Stop
from blockerd.journal import merkle, rotation
from blockerd.journal.append import Journal
from blockerd.journal.heads import record_head
from blockerd.journal.log import open_log
from blockerd.settings import load
from tests.e2e.install import ROOT, Install, wait_until
from tests.journal.spooling import SECOND, Spool
from tests.journal.test_disk import tiny_disk

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "blockerd.toml"
    path.write_text('[state]\ndir = "var"\n[time]\nzone = "Europe/Berlin"\n')
    (tmp_path / "var").mkdir(mode=0o700)
    return path


@pytest.fixture
def spool(config: Path) -> Spool:
    made = Spool(config.parent / "var" / "spool")
    made.ask("site.test")
    made.at += SECOND
    made.tell(kind="change", what="lists.starter", old="true", new="false")
    return made


@pytest.fixture
def run(config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setitem(GROUPS, "data", ("export", "backup", "import"))

    def call(*words: str) -> tuple[int, str, str]:
        code = main([*words, "--config", str(config)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def erase(config: Path, *words: str, as_json: bool = False) -> int:
    """`blockerd log erase`, as `cli.log` has it once it calls `add_erase`."""
    parser = argparse.ArgumentParser()
    parser.set_defaults(run=None)
    data.add_erase(parser)
    args = parser.parse_args(["erase", *words])
    args.config, args.json = str(config), as_json
    return int(args.run(args))


def stored(config: Path, capsys: pytest.CaptureFixture[str]):
    """Moves the spool into the journal, as control would."""
    from blockerd import clock

    journal = Journal(config.parent / "var" / "journal.sqlite", clock.now_us)
    assert journal.drain(config.parent / "var" / "spool").message == ""
    journal.close()
    capsys.readouterr()


def test_json_lines_have_everything_also_what_still_waits(run: Run, spool: Spool):
    code, out, _ = run("export")
    assert code == 0
    assert [json.loads(line)["entry"] for line in out.splitlines()] == ["attempt", "change"]


def test_csv_goes_to_a_new_private_file(run: Run, spool: Spool, tmp_path: Path):
    target = tmp_path / "out.csv"
    code, out, _ = run("export", "--format", "csv", "--out", str(target))
    assert (code, target.stat().st_mode & 0o077) == (0, 0)
    assert "for you alone" in out
    heading, row = csv.reader(io.StringIO(target.read_text("utf-8"), newline=""))
    assert dict(zip(heading, row, strict=True))["site"] == "site.test"
    code, _, err = run("export", "--format", "csv", "--out", str(target))
    assert (code, "name a new file" in err) == (2, True)


def test_activitywatch_is_one_json_object(run: Run, spool: Spool):
    code, out, _ = run("export", "--format", "activitywatch")
    (bucket,) = json.loads(out)["buckets"].values()
    assert (code, bucket["events"][0]["data"]["site"]) == (0, "site.test")


def test_an_export_keeps_to_its_times(run: Run, spool: Spool):
    assert run("export", "--since", "2026-11-22T18:00:01Z")[1].count("\n") == 1
    assert run("export", "--until", "2026-11-21")[1] == ""
    assert run("export", "--since", "soon")[0] == 2


@pytest.mark.parametrize("command", [["export"], ["log", "--json"]])
def test_output_that_finds_no_room_ends_in_one_line(config: Path, spool: Spool, command: list[str]):
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-m", "blockerd", "--config", str(config), *command]
        ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "No space left on device" in ended.stderr


@pytest.mark.parametrize("command", [["export", "--out"], ["backup"]])
def test_on_a_full_disk_an_export_or_a_backup_leaves_nothing_and_says_why_in_one_line(
    config: Path, spool: Spool, command: list[str], capsys: pytest.CaptureFixture[str]
):
    for n in range(3000):
        spool.ask(f"site-{n}.test")
    stored(config, capsys)

    def work(folder: Path):
        with redirect_stderr(io.StringIO()) as said:
            assert main([*command, str(folder / "file"), "--config", str(config)]) in (1, 2)
        assert (said.getvalue().count("\n"), list(folder.iterdir())) == (1, [])
        assert "No space left on device" in said.getvalue()

    assert tiny_disk("200k", work) == 0


def test_an_import_on_a_full_disk_leaves_all_as_it_was_and_says_so_in_one_line(
    config: Path, spool: Spool, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for n in range(300):
        spool.ask(f"site-{n}.test")
    stored(config, capsys)
    copy = tmp_path / "copy.sqlite"
    assert run("backup", str(copy))[0] == 0

    def work(folder: Path):
        other = folder / "blockerd.toml"
        other.write_text(config.read_text())
        (folder / "var").mkdir()
        with redirect_stderr(io.StringIO()) as said, redirect_stdout(io.StringIO()):
            code = main(["import", str(copy), "--config", str(other)])
        if code == 0:
            os._exit(3)
        assert (code, said.getvalue().count("\n")) == (2, 1)
        assert "No space left on device; the journal stays as it was" in said.getvalue()
        assert [file.name for file in (folder / "var").iterdir() if file.name.startswith("journal")] == []

    size, ended = copy.stat().st_size // 1024, set[int]()
    for more in range(-40, 1000, 24):
        ended.add(tiny_disk(f"{size + more}k", work))
        if 3 in ended:
            break
    assert ended == {0, 3}


def test_a_backup_is_taken_back_on_another_machine(
    run: Run, spool: Spool, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run("backup", str(tmp_path / "copy"))[0] == 1
    stored(config, capsys)
    code, out, _ = run("backup", str(tmp_path / "copy"), "--json")
    told = json.loads(out)
    assert (code, told["leaves"], len(told["root"])) == (0, 2, 64)
    assert run("backup", str(tmp_path / "copy"))[0] == 2
    assert "do not reach" not in run("backup")[1]
    assert len(list((config.parent / "var" / "backups").iterdir())) == 1
    other = tmp_path / "other"
    other.mkdir()
    (other / "blockerd.toml").write_text('[state]\ndir = "var"\n')
    (other / "var").mkdir()
    assert main(["import", str(tmp_path / "copy"), "--json", "--config", str(other / "blockerd.toml")]) == 0
    assert json.loads(capsys.readouterr().out) == _now(other)


def _now(folder: Path) -> dict[str, object]:
    with open_log(folder / "var" / "journal.sqlite") as log:
        assert log
        state = log.state()
    return {"log": state.log, "leaves": 3, "root": state.root.hex()}


def test_a_move_says_that_the_key_has_to_come_along(
    run: Run, spool: Spool, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    stored(config, capsys)
    var = config.parent / "var"
    with open_log(var / "journal.sqlite") as log:
        assert log
        told = log.state().log
    name = rotation.key_file(var, told).name
    journal = Journal(var / "journal.sqlite", lambda: 1)
    journal.within(lambda db: record_head(db, 1, "signed"))
    journal.close()
    run("backup", str(tmp_path / "copy"))
    code, _, err = run("import", str(tmp_path / "copy"))
    assert (code, f"copy {name} from the old machine" in err) == (0, True)
    (var / name).touch()
    assert not data._signed_elsewhere(load(config, {}, tmp_path), told)


def test_what_is_no_backup_is_refused(run: Run, config: Path, tmp_path: Path):
    (tmp_path / "copy").write_text("nonsense " * 1000)
    code, _, err = run("import", str(tmp_path / "copy"))
    assert (code, err.count("\n")) == (1, 1)


def test_erase_removes_everything_and_says_how_much(spool: Spool, config: Path, capsys: pytest.CaptureFixture[str]):
    stored(config, capsys)
    spool.ask("waiting.test")
    assert erase(config, "--yes", as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"removed": {"attempt": 2, "change": 1}}
    files = [path.read_bytes() for path in (config.parent / "var").rglob("*") if path.is_file()]
    assert not any(word in data for data in files for word in (b"\x04site\x04", b"site.", b"waiting"))
    assert main(["log", "--json", "--config", str(config)]) == 0
    assert capsys.readouterr().out == ""


def test_erase_asks_unless_told_not_to(spool: Spool, config: Path, monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stdin in (io.StringIO("erase\n"), Terminal("no\n"), Terminal("")):
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(Stop):
            erase(config)
    assert not (config.parent / "var" / "journal.sqlite").exists()
    monkeypatch.setattr("sys.stdin", Terminal("erase\n"))
    assert erase(config) == 0


def test_beside_a_running_control_erase_asks_it_and_import_refuses(tmp_path: Path, run: Run):
    (tmp_path / "live").mkdir()
    install = Install(tmp_path / "live", 9)
    try:
        install.start("control")
        wait_until((install.var / "journal.sqlite").exists, said=install.said)
        wait_until(lambda: install.pid("control"), said=install.said)
        wait_until((install.var / "run" / "control.sock").exists, said=install.said)
        settings = load(install.file, {}, tmp_path)
        assert data._asked(settings) == {}
        code = main(["import", str(tmp_path / "copy"), "--config", str(install.file)])
        assert code == 2
    finally:
        install.end()


def test_the_hashes_of_the_log_are_what_a_readers_checker_takes(
    run: Run, spool: Spool, config: Path, capsys: pytest.CaptureFixture[str]
):
    stored(config, capsys)
    code, out, _ = run("export", "--format", "leaves")
    rows = [line.split() for line in out.splitlines()]
    with open_log(config.parent / "var" / "journal.sqlite") as log:
        assert log
        assert rows == [[str(n), hash_.hex()] for n, hash_ in log.commitments()]
        assert merkle.root_of(merkle.leaf_hash(bytes.fromhex(hash_)) for _, hash_ in rows) == log.state().root
    assert (code, len(rows)) == (0, 2)
    assert "site" not in out
