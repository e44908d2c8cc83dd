"""`setup` in a terminal of its own: what is typed decides, and without the sentence nothing is written."""

import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from blockerd.cli.setup import PUBLIC, choices_for, configured
from blockerd.report import consent
from blockerd.settings import load
from blockerd.system.picture import Machine
from tests.e2e.install import ROOT, environment


def typed(folder: Path, *lines: str) -> tuple[int, str]:
    """Runs `blockerd setup` in a terminal, typing a line at each prompt; the exit code and what was shown."""
    terminal, end = pty.openpty()
    words = [sys.executable, "-m", "blockerd", "setup", "--config", str(folder / "blockerd.toml")]
    process = subprocess.Popen(words, stdin=end, stdout=end, stderr=end, cwd=ROOT, env=environment(), close_fds=True)
    os.close(end)
    shown, waiting = b"", list(lines)
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        shown += data
        if shown.endswith(b"> "):
            os.write(terminal, (waiting.pop(0) if waiting else "\x04").encode() + b"\n" * bool(lines))
    os.close(terminal)
    return process.wait(30), shown.decode("utf-8", "replace").replace("\r\n", "\n")


def test_two_minutes_give_a_configuration_and_a_dated_consent(tmp_path: Path):
    code, shown = typed(tmp_path, consent.WORDS + ".", "adult dating", "mullvad", "now")
    assert code == 0, shown
    got = tomllib.loads((tmp_path / "blockerd.toml").read_text())
    assert got["lists"]["categories"] == ["adult", "dating"]
    assert got["dns"]["upstreams"] == ["tls://194.242.2.2#dns.mullvad.net"]
    given = consent.read(tmp_path / "var")
    assert given is not None
    assert given.words.startswith(consent.WORDS)
    assert given.at > 1_600_000_000_000_000
    assert "blockerd partner invite" in shown.rpartition("Next:")[2]


def test_enter_alone_takes_what_is_usual(tmp_path: Path):
    code, shown = typed(tmp_path, consent.WORDS, "", "", "")
    assert code == 0, shown
    got = tomllib.loads((tmp_path / "blockerd.toml").read_text())
    assert got["lists"]["categories"] == ["adult", "cam", "chat"]
    assert got["dns"]["upstreams"] == list(PUBLIC[0].upstreams)
    assert "partner invite" not in shown.rpartition("Next:")[2]


@pytest.mark.parametrize("said", ["yes", "I am 17 and this is my own decision"])
def test_without_the_sentence_nothing_is_written(said: str, tmp_path: Path):
    code, shown = typed(tmp_path, said)
    assert code == 1
    assert "nothing was changed" in shown
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_answer_is_asked_again(tmp_path: Path):
    code, shown = typed(tmp_path, consent.WORDS, "everything", "chat", "who?", "quad9", "perhaps", "later")
    assert code == 0, shown
    assert shown.count("Type one of the words above.") == 3


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("google", "is no numeric address"),
        ("system1", "is no numeric address"),
        ("dns.example", "is no numeric address"),
        ("127.0.0.1:5335", "will be blockerd itself"),
        ("tls://192.0.2.1", "add the name that its certificate says"),
    ],
)
def test_a_resolver_that_could_not_be_loaded_is_asked_again(said: str, answer: str, tmp_path: Path):
    code, shown = typed(tmp_path, consent.WORDS, "", said, "QUAD9", "")
    assert code == 0, shown
    assert answer in " ".join(shown.split())
    assert load(tmp_path / "blockerd.toml", {}, tmp_path).dns.upstreams[0].name == "dns.quad9.net"


def test_an_address_of_ones_own_is_taken(tmp_path: Path):
    code, shown = typed(tmp_path, consent.WORDS, "", "tls://192.0.2.1#Dns.example", "")
    assert code == 0, shown
    assert [str(one) for one in load(tmp_path / "blockerd.toml", {}, tmp_path).dns.upstreams] == [
        "tls://192.0.2.1:853#dns.example"
    ]


def test_a_configuration_that_is_there_stays(tmp_path: Path):
    (tmp_path / "blockerd.toml").write_text('[state]\ndir = "kept"\n')
    code, shown = typed(tmp_path, consent.WORDS)
    assert code == 0, shown
    assert (tmp_path / "blockerd.toml").read_text() == '[state]\ndir = "kept"\n'
    assert consent.read(tmp_path / "kept") is not None


def test_it_says_what_it_is_who_it_is_for_and_that_it_can_go(tmp_path: Path):
    _, shown = typed(tmp_path, "")
    flat = " ".join(shown.split())
    for words in (
        "adult who wants to stop", "What it records", "this computer alone", "no hidden mode", "`blockerd uninstall`",
        "in danger", "not: a way to watch anybody else",
    ):  # fmt: skip
        assert words in flat


def test_setup_is_for_a_person_at_a_terminal():
    words = [sys.executable, "-m", "blockerd", "setup"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "run it in a terminal" in done.stderr


def test_the_resolver_of_the_system_is_a_choice_unless_it_is_this_machine():
    assert choices_for(Machine(resolv_text="nameserver 192.0.2.1\n"))[-1].upstreams == ("192.0.2.1",)
    assert [one.key for one in choices_for(Machine(resolv_text="nameserver 127.0.0.53\n"))] == [c.key for c in PUBLIC]


def test_only_the_named_settings_change_in_the_example():
    text = '[dns]\n# upstreams = ["no"]\nupstreams = ["9.9.9.9"]\nblock_ttl = 60\n[lists]\nupstreams = 1\n'
    assert configured(text, {"dns.upstreams": ["192.0.2.1"]}) == text.replace('["9.9.9.9"]', '["192.0.2.1"]')
