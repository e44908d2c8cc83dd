"""The declarations: complete, loadable, and the same as the example file and the documented contract."""

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from blockerd.cli.config import example_text
from blockerd.settings import (
    SETTINGS,
    TABLES,
    ConfigError,
    Endpoint,
    Level,
    Scheme,
    SendAt,
    Settings,
    Weaker,
    find,
    load,
)

ROOT = Path(__file__).resolve().parent.parent


def _load(folder: Path, text: str) -> Settings:
    file = folder / "blockerd.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, {}, folder)


def _uncommented(text: str) -> str:
    """The example with its samples switched on; prose comments begin with "# "."""
    return "\n".join(line[1:] if line[:1] == "#" and line[1:2] not in ("", " ") else line for line in text.splitlines())


def test_the_example_file_is_fresh():
    """Refresh with: blockerd config example > config/blockerd.example.toml"""
    assert (ROOT / "config" / "blockerd.example.toml").read_text(encoding="utf-8") == example_text()


def test_the_example_file_says_what_the_defaults_are(tmp_path: Path):
    from_file = _load(tmp_path, example_text())
    defaults = load(None, {}, tmp_path)
    same = replace(from_file, state=defaults.state, path=None, given=frozenset(), notes=())
    assert same == defaults
    assert from_file.state.dir == tmp_path / "var"


def test_the_samples_of_the_example_file_load_when_uncommented(tmp_path: Path):
    settings = _load(tmp_path, _uncommented(example_text()))
    assert settings.lists.source[0].path == tmp_path / "lists" / "mine.txt"
    assert settings.schedule[0].windows == ("21:00-07:00",)
    assert settings.client[0].addresses == ("192.168.1.30/32",)
    assert settings.report.partner[0].role == "spouse"


def test_the_example_file_holds_every_setting():
    raw = tomllib.loads(_uncommented(example_text()))
    missing = [item.name for item in SETTINGS if not _holds(raw, item.name) and item.name != "lists.source.url"]
    assert missing == []


def _holds(raw: object, name: str) -> bool:
    for key in name.split("."):
        raw = raw[0] if isinstance(raw, list) else raw
        if not isinstance(raw, dict) or key not in raw:
            return False
        raw = raw[key]
    return True


def test_every_setting_has_help_and_a_name_of_its_own():
    assert all(item.help for item in SETTINGS)
    assert len({item.name for item in SETTINGS}) == len(SETTINGS)
    assert [name for name, is_array in TABLES if is_array] == [
        "lists.source", "schedule", "client", "budget", "report.partner"
    ]  # fmt: skip


def test_every_default_reads_back_as_itself():
    """What `plain` gives must mean the same when it stands in a file."""
    for item in SETTINGS:
        raw = item.sample if item.required else item.default
        if raw is not None:
            value = item.reader.read(raw)
            assert item.reader.read(item.reader.plain(value)) == value, item.name


def test_delays_never_bind_consent():
    shared = ("privacy.", "report.", "client.", "agent.")
    assert {item.weaker for item in SETTINGS if item.name.startswith(shared)} == {Weaker.NONE}


def test_values_arrive_typed(tmp_path: Path):
    settings = _load(
        tmp_path,
        """
        [dns]
        listen = ["127.0.0.1:0", "::1", "[::1]:5335"]
        upstreams = ["9.9.9.9", "[2620:fe::fe]:5353", "tcp://9.9.9.9", "tls://9.9.9.9#dns.example", "https://dns.example/q"]
        local_domains = { "lan" = "192.168.1.1", home.arpa = "192.168.1.1:5300" }
        [privacy]
        level = "counts"
        [report]
        send_at = "mon 7:05"
        """,
    )
    assert settings.dns.listen == (Endpoint("127.0.0.1", 0), Endpoint("::1", 53), Endpoint("::1", 5335))
    udp, udp6, tcp, tls, https = settings.dns.upstreams
    assert (udp.scheme, udp.host, udp.port) == (Scheme.UDP, "9.9.9.9", 53)
    assert str(udp6) == "[2620:fe::fe]:5353"
    assert (tcp.scheme, tcp.port) == (Scheme.TCP, 53)
    assert (tls.port, tls.name, str(tls)) == (853, "dns.example", "tls://9.9.9.9:853#dns.example")
    assert (https.host, https.port, https.path, str(https)) == ("dns.example", 443, "/q", "https://dns.example/q")
    assert [(domain, str(at)) for domain, at in settings.dns.local_domains] == [
        ("lan", "192.168.1.1:53"),
        ("home.arpa", "192.168.1.1:5300"),
    ]
    assert settings.privacy.level is Level.COUNTS
    assert settings.report.send_at == SendAt(0, 7 * 60 + 5)


def test_a_mail_address_is_kept_as_a_mail_server_takes_it(tmp_path: Path):
    text = '[report.smtp]\nfrom = "me@Bücher.example"\n[[report.partner]]\nname = "R"\nrole = "self"\n'
    report = _load(tmp_path, text + 'address = "robin+notes@mail.example"').report
    assert report.smtp.from_ == "me@xn--bcher-kva.example"
    assert report.partner[0].address == "robin+notes@mail.example"


def test_origin_says_file_only_for_what_the_file_sets(tmp_path: Path):
    settings = _load(tmp_path, '[dns]\nblock_ttl = 60\n[[lists.source]]\nid="a"\ncategory="cam"\npath="/x"\n')
    assert [settings.origin(name) for name in ("dns.block_ttl", "dns.spool_mb", "lists.source", "schedule")] == [
        "file",
        "default",
        "file",
        "default",
    ]
    assert settings.value("dns.block_ttl") == 60
    assert settings.value("report.smtp.from") == ""


def test_keys_without_effect_are_noted(tmp_path: Path):
    text = '[dns]\nblock_answer = "page"\n'
    notes = "\n".join(_load(tmp_path, text + '[[schedule]]\ncategory = "dating"\nwindows = ["1:00-2:00"]\n').notes)
    for word in ('"page"', "schedule[dating]"):
        assert word in notes
    assert _load(tmp_path, "[dns]\nblock_ttl = 5\n").notes == ()


def test_relative_paths_start_at_the_file_and_absolute_ones_stay(tmp_path: Path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "b.toml").write_text('[state]\ndir = "../state"\n[report.smtp]\npassword_file = "/run/p"\n')
    settings = load(Path("etc/b.toml"), {}, tmp_path)
    assert settings.state.dir == tmp_path / "state"
    assert settings.report.smtp.password_file == Path("/run/p")
    assert settings.path == tmp_path / "etc" / "b.toml"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"XDG_STATE_HOME": "/xdg", "HOME": "/h"}, "/xdg/blockerd"),
        ({"XDG_STATE_HOME": "", "HOME": "/h"}, "/h/.local/state/blockerd"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/blockerd"),
    ],
)
def test_without_a_file_state_goes_where_the_desktop_keeps_it(env: dict[str, str], expected: str, tmp_path: Path):
    settings = load(None, env, tmp_path)
    assert settings.state.dir == Path(expected)
    assert settings.path is None


def test_the_file_is_searched_in_the_documented_order(tmp_path: Path):
    env = {"BLOCKERD_CONFIG": "named.toml"}
    local = tmp_path / "blockerd.toml"
    assert find("given.toml", env, tmp_path) == tmp_path / "given.toml"
    assert find(None, env, tmp_path) == tmp_path / "named.toml"
    local.mkdir()
    assert find(None, {}, tmp_path) != local
    local.rmdir()
    local.touch()
    assert find(None, {}, tmp_path) == local


def test_a_named_file_that_is_missing_is_an_error_not_the_defaults(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        load(find("absent.toml", {}, tmp_path), {}, tmp_path)
    assert caught.value.problems == [
        f"{tmp_path}/absent.toml: No such file or directory; name another file with --config"
    ]


def test_the_dns_process_gets_no_heavy_module_with_the_settings(tmp_path: Path):
    code = (
        "import sys, pathlib, json; before = set(sys.modules)\n"
        "import blockerd.settings as s; s.load(None, {}, pathlib.Path.cwd())\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ}, capture_output=True, check=True)
    loaded = set(json.loads(ran.stdout))
    assert "blockerd.settings.keys" in loaded
    heavy = {
        "idna",
        "publicsuffixlist",
        "zoneinfo",
        "urllib.request",
        "difflib",
        "socket",
        "apsw",
        "dnslib",
        "argparse",
    }
    assert loaded & heavy == set()
