"""The proxy's own environment: what belongs into it, by which lock, and when it is made anew."""

import re
from pathlib import Path

import pytest

from blockerd.proxy import environment
from blockerd.proxy.environment import Environment, SetupError

_PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; (.+?))? \\$", re.MULTILINE)


def test_each_python_gets_its_line_of_mitmproxy_and_the_base_alone():
    assert environment.requirements((3, 11))[0] == "mitmproxy==11.0.2"
    assert environment.requirements((3, 13))[0] == "mitmproxy>=12.2.3,<13"
    rest = " ".join(environment.requirements((3, 11))[1:])
    assert "dnslib" in rest
    assert not any(word in rest for word in ("apsw", "cryptography", "httpx2", "extra"))


def test_an_interpreter_that_is_none_is_told_in_a_line(tmp_path: Path):
    with pytest.raises(SetupError, match="nothing"):
        environment.make(tmp_path / "v", tmp_path / "nothing", str)  # type: ignore[arg-type]


def test_an_environment_sees_this_blockerd_and_nothing_beside_it(tmp_path: Path):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    environment.link(Environment(tmp_path))
    environment.link(Environment(tmp_path))
    assert [path.name for path in packages.iterdir()] == ["blockerd"]
    assert (packages / "blockerd" / "proxy" / "addon" / "load.py").exists()


def test_the_lock_holds_what_is_declared_for_each_python():
    lock = environment.shipped_lock()
    assert lock
    pins = [(name, version, marker) for name, version, marker in _PIN.findall(lock.read_text())]
    assert [(version.split(".")[0], marker) for name, version, marker in pins if name == "mitmproxy"] == [
        ("11", "python_full_version < '3.12'"), ("12", "python_full_version >= '3.12'"),
    ]  # fmt: skip
    wanted = {re.split(r"[^a-z0-9-]", line.lower())[0] for line in environment.declared()}
    assert wanted <= {name for name, _, _ in pins}


def test_it_is_made_anew_only_where_the_lock_is_another(tmp_path: Path):
    made, lock = Environment(tmp_path / "venv"), tmp_path / "lock.txt"
    lock.write_text("one")
    assert not made.made_from(lock)
    packages = made.folder / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    made.mitmdump.parent.mkdir()
    made.mitmdump.touch()
    environment.link(made)
    environment.note(made, lock)
    assert made.made_from(lock)
    assert not made.made_from(None)
    lock.write_text("two")
    assert not made.made_from(lock)
    lock.write_text("one")
    made.mitmdump.unlink()
    assert not made.made_from(lock)
