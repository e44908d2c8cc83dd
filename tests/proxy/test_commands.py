"""The commands of the proxy: texts they print, the life of the root, what they refuse in one line."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from blockerd.cli.proxy import take_root_out
from blockerd.proxy.environment import package_folder
from tests.e2e.install import environment

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    (tmp_path / "b.toml").write_text("[lists]\nstarter = false\n")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "blockerd", *words, "--config", "b.toml"]
        env = {**environment(), "HOME": str(tmp_path / "home")}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=30)

    return run


def test_without_an_environment_the_proxy_says_what_to_do(tmp_path: Path):
    done = _outside(tmp_path, ["proxy"])
    assert (done.returncode, done.stderr) == (
        2, "the proxy has no environment of its own yet; run: blockerd proxy setup\n",
    )  # fmt: skip


def test_a_supervised_proxy_waits_for_its_environment_and_ends_with_its_supervisor(tmp_path: Path):
    read, write = os.pipe()
    threading.Timer(0.5, os.close, (write,)).start()
    done = _outside(tmp_path, ["proxy"], (read,), BLOCKERD_LIFELINE=str(read))
    os.close(read)
    assert done.returncode == 0
    assert "pages are not filtered: the proxy has no environment yet; run: blockerd proxy setup." in done.stderr
    assert done.stderr.count("\n") == 1


def test_status_and_config_check_say_what_the_proxy_lacks(call: Call, tmp_path: Path):
    text = (tmp_path / "b.toml").read_text()
    (tmp_path / "b.toml").write_text(f"{text}[proxy]\nenabled = true\n")
    lacking = "no page rule has an effect: nobody trusts a root of this machine; run: blockerd proxy-ca install"
    assert f"note: {lacking}" in call("config", "check").stdout
    assert f"Note: {lacking}" in call("status").stdout
    assert "127.0.0.1:8054, not running" in call("status").stdout
    call("proxy-ca", "install", "--by-hand")
    assert lacking not in call("config", "check").stdout
    (tmp_path / "b.toml").write_text(text)
    assert "proxy" not in json.loads(call("status", "--json").stdout)["pids"]


def _outside(
    tmp_path: Path, words: list[str], fds: tuple[int, ...] = (), **more: str
) -> subprocess.CompletedProcess[str]:
    """The package lies outside of a checkout here, so that it sees no environment of one."""
    (tmp_path / "packages").mkdir()
    shutil.copytree(package_folder(), tmp_path / "packages" / "blockerd", ignore=shutil.ignore_patterns("__pycache__"))
    env = {**environment(), "PYTHONPATH": str(tmp_path / "packages"), **more}
    return subprocess.run([sys.executable, "-m", "blockerd", *words], cwd=tmp_path, env=env, capture_output=True,
                          text=True, check=False, timeout=30, pass_fds=fds)  # fmt: skip


def test_the_life_of_the_root(call: Call, tmp_path: Path):
    assert call("proxy-ca", "status").returncode == 1
    done = call("proxy-ca", "install", "--by-hand")
    assert (done.returncode, done.stderr) == (0, "")
    status = json.loads(call("proxy-ca", "status", "--json").stdout)
    assert status["trusted"]
    assert 360 <= status["days"] <= 365
    assert "reddit.com" in status["hosts"]
    assert call("proxy-ca", "status").returncode == 0
    assert call("proxy-ca", "rotate", "--by-hand").returncode == 0
    fresh = json.loads(call("proxy-ca", "status", "--json").stdout)
    assert fresh["fingerprint"] != status["fingerprint"]
    assert [one[2] for one in fresh["stores"]] == [True]
    assert call("proxy-ca", "remove").returncode == 0
    assert sorted(path.name for path in (tmp_path / "var" / "proxy" / "ca").iterdir()) == ["manifest.json"]
    assert json.loads(call("proxy-ca", "status", "--json").stdout)["fingerprint"] is None


def test_rules_that_the_root_does_not_name_are_told(call: Call, tmp_path: Path):
    call("proxy-ca", "install", "--by-hand")
    (tmp_path / "var" / "own").mkdir(exist_ok=True)
    (tmp_path / "var" / "own" / "url-rules.txt").write_text("||later.test/x^\n||nonsense\n")
    done = call("proxy-ca", "status")
    assert done.returncode == 1
    assert "later.test" in done.stdout
    assert "rotate" in done.stdout
    rules = call("proxy", "rules")
    assert rules.returncode == 1
    assert "url-rules.txt:2" in rules.stderr
    assert any(row["host"] == "later.test" for row in json.loads(call("proxy", "rules", "--json").stdout)["hosts"])


@pytest.mark.needs_tool("certutil", "libnss3-tools")
def test_removal_leaves_the_stores_of_a_home_as_they_were(call: Call, tmp_path: Path):
    home = tmp_path / "person"
    words = ["certutil", "-d", f"sql:{home / '.pki' / 'nssdb'}", "-L"]
    (home / ".pki" / "nssdb").mkdir(parents=True)
    subprocess.run([*words[:-1], "-N", "--empty-password"], check=True)
    before = subprocess.run(words, capture_output=True, check=True).stdout
    from blockerd.proxy import manifest, stores
    from blockerd.settings import load

    call("proxy-ca", "install", "--by-hand")
    folder = manifest.ca_folder(load(tmp_path / "b.toml", {}, tmp_path))
    assert not stores.install(folder, stores.found(tmp_path, home), stores.run)[0].problem
    assert subprocess.run(words, capture_output=True, check=True).stdout != before
    assert call("proxy-ca", "remove").returncode == 0
    assert subprocess.run(words, capture_output=True, check=True).stdout == before
    call("proxy-ca", "install", "--by-hand")
    assert not stores.install(folder, stores.found(tmp_path, home), stores.run)[0].problem
    assert take_root_out(load(tmp_path / "b.toml", {}, tmp_path)) == []
    assert subprocess.run(words, capture_output=True, check=True).stdout == before


def test_texts_for_browsers_and_modes_are_printed(call: Call):
    assert "FindProxyForURL" in call("proxy", "pac").stdout
    assert json.loads(call("proxy", "policy", "chromium").stdout)["ProxyServer"] == "127.0.0.1:8054"
    assert "redirect to :8054" in call("proxy", "mode", "transparent").stdout
    assert call("proxy", "mode", "undo").stdout == "delete table inet blockerd_proxy\n"


def test_what_cannot_be_done_is_told_in_one_line(call: Call, tmp_path: Path):
    for words, code in ((("proxy", "forget", "site.test"), 1), (("proxy", "setup", "--python", "nothing"), 1)):
        done = call(*words)
        assert done.returncode == code
        assert done.stderr.count("\n") == 1, done.stderr
    (tmp_path / "var" / "proxy" / "ca").mkdir(parents=True, exist_ok=True)
    (tmp_path / "var" / "proxy" / "ca" / "manifest.json").write_text("{")
    assert "damaged" in call("proxy-ca", "status").stderr
