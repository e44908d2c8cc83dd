"""The doctor: each thing that can be wrong is found by the check that is for it, with something to do about it."""

import socket
import threading
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from blockerd.system import byhand, drift, probe
from blockerd.system.doctor import CHECKS, OPEN, RELEASED, Facts, Health, examine
from blockerd.system.drift import Answer, Finding, Seen
from blockerd.system.picture import Browser, Holder, Machine, NetLink, Vendor
from blockerd.system.watched import of_unit
from blockerd.system.wish import BrowserWish

SEEN = Seen(system=drift.OURS, direct=Answer.FILTERED)
BROWSER = Browser(Vendor.FIREFOX, "package", "/etc/firefox/policies/policies.json", b"{}")
WELL = Facts(
    machine=Machine(resolv_text="nameserver 127.0.0.1\n", browsers=(BROWSER,)),
    seen=SEEN,
    installed=True,
    finished=True,
    today=RELEASED,
    listen=("127.0.0.1",),
    answers=(("127.0.0.1:53", True),),
    running=(("dns", True), ("control", True)),
    generation=3,
    free_mb=9000,
    consent=True,
    upstream_answers=True,
    clock_year=RELEASED.year,
    belt_wanted=True,
    belt_there=True,
    python=(3, 13),
    probe_seconds=12.0,
)
WRONG: dict[str, dict[str, Any]] = {
    "config": {"config_problems": ("blockerd.toml: dns.lisen: unknown; did you mean dns.listen?",)},
    "config-mode": {"config_readable_by_others": True},
    "install": {"finished": False},
    "processes": {"running": (("dns", False), ("control", True))},
    "answers": {"answers": (("127.0.0.1:53", False),)},
    "test-name": {"seen": replace(SEEN, direct=Answer.OPEN)},
    "port": {"machine": Machine(holders=(Holder("udp", "127.0.0.1", 7, "dnsmasq"),))},
    "system": {"seen": replace(SEEN, system=("none", "none"))},
    "resolvers": {"machine": Machine(resolv_text="nameserver 192.0.2.1\n")},
    "ipv6": {"leaks_ipv6": True},
    "policy": {"generation": 0},
    "lists": {"list_days": 40},
    "upstream": {"upstream_answers": False},
    "encryption": {"upstream_plain": True},
    "journal": {"journal_trouble": "journal.sqlite: the disk is full"},
    "spool": {"spool_bytes": 64 << 20},
    "state": {"state_open": True},
    "disk": {"free_mb": 20},
    "clock": {"clock_year": 1970},
    "consent": {"consent": False},
    "browsers": {"findings": (Finding("policy-firefox", "Firefox: its policy was taken away or changed", True),)},
    "doh": {"by_hand": ("Firefox",)},
    "belt": {"belt_there": False},
    "probe": {"probe_seconds": 900.0},
    "vpn": {"machine": Machine(links=(NetLink("wg0", kind="wireguard"),))},
    "hosts": {"findings": (Finding("hosts", "/etc/hosts was edited", False),)},
    "proxy": {"findings": (Finding("proxy", "a proxy is set: https_proxy", True),)},
    "nscd": {"machine": Machine(units=frozenset({"nscd.service"}))},
    "mail": {"partners": 1},
    "python": {"python": (3, 10)},
    "version": {"today": date(RELEASED.year + 1, RELEASED.month, 1)},
}


def test_on_a_good_machine_every_check_is_good():
    assert [one for one in examine(WELL) if one.health is not Health.GOOD] == []


def test_there_are_twenty_checks_and_more_each_with_a_trial_here():
    keys = [one.key for one in examine(WELL)]
    assert len(keys) == len(set(keys)) == len(CHECKS) >= 20
    assert set(keys) == set(WRONG)


@pytest.mark.parametrize("key", WRONG)
def test_what_is_wrong_is_found_by_its_check_and_has_a_remedy(key: str):
    before = {one.key for one in examine(WELL) if one.health is not Health.GOOD}
    (found,) = [one for one in examine(replace(WELL, **WRONG[key])) if one.key == key]
    assert key not in before
    assert found.health is not Health.GOOD
    assert found.text
    assert found.fix or key == "vpn"


def test_a_consent_that_cannot_be_read_is_told_as_that():
    (found,) = [one for one in examine(replace(WELL, consent=None)) if one.key == "consent"]
    assert found.health is Health.BAD
    assert "cannot be read" in found.text


def test_without_root_an_install_is_judged_by_what_everybody_sees():
    unseen: dict[str, Any] = {
        "running": (("dns", False),),
        "generation": 0,
        "consent": False,
        "config_problems": ("Permission denied",),
    }
    found = examine(replace(WELL, whole=False, **unseen))
    assert {one.health for one in found[1:]} == {Health.GOOD}
    assert (found[0].health, found[0].fix) == (Health.NOTE, "sudo blockerd doctor")
    assert {one.key for one in found[1:]} == OPEN <= set(WRONG)


def test_what_costs_names_or_the_filter_is_bad_and_not_a_note():
    for key in ("answers", "system", "processes", "belt", "upstream", "journal", "probe", "test-name", "resolvers"):
        (found,) = [one for one in examine(replace(WELL, **WRONG[key])) if one.key == key]
        assert found.health is Health.BAD, key


@pytest.mark.parametrize(
    ("holder", "facts", "held"),
    [
        pytest.param(Holder("udp", "0.0.0.0", 7, "python3"), {}, True, id="a wildcard, whatever its name"),
        pytest.param(Holder("udp", "127.0.0.1", 7, "python3"), {"dns_pid": 7}, False, id="blockerd itself"),
        pytest.param(Holder("udp", "127.0.0.1", 7, "blockerd"), {"dns_pid": 8}, True, id="another blockerd"),
        pytest.param(Holder("udp", "127.0.0.1", 7, "python3", "blockerd-dns.service"), {}, False, id="its unit"),
        pytest.param(Holder("udp", "127.0.0.1"), {}, False, id="not seen, and answers"),
        pytest.param(Holder("udp", "127.0.0.1"), {"answers": (("127.0.0.1:53", False),)}, True, id="and does not"),
        pytest.param(Holder("udp", "127.0.0.53", 7, "systemd-resolve"), {}, False, id="an address of its own"),
    ],
)
def test_whoever_keeps_its_port_is_found(holder: Holder, facts: dict[str, Any], held: bool):
    machine = replace(WELL.machine, holders=(holder,))
    (found,) = [one for one in examine(replace(WELL, machine=machine, **facts)) if one.key == "port"]
    assert (found.health is Health.BAD) == held


def test_browser_policies_that_were_left_out_are_not_called_taken_away():
    line = "ExecStart=/opt/blockerd/bin/python -m blockerd.system.selfprobe --listen 127.0.0.1 --hosts x"
    watched = of_unit(f"[Service]\n{line}\nUser=blockerd-probe\n")
    assert watched is not None
    assert watched.browsers is None
    assert drift.compare(WELL.machine, [], watched.browsers) == []
    kept = of_unit(f"{line} --browsers=private_mode")
    assert kept is not None
    assert kept.browsers == BrowserWish(safe_search=False, private_mode=True)
    assert of_unit("[Service]\nExecStart=/bin/true\n") is None
    (found,) = [one for one in examine(replace(WELL, browsers_wanted=False)) if one.key == "browsers"]
    assert found.health is Health.NOTE
    assert "may use a resolver of their own" in found.text


@pytest.mark.parametrize(("rcode", "goes_on"), [(0, True), (3, True), (2, False), (5, False)])
def test_an_upstream_is_there_if_a_name_in_no_cache_is_answered(rcode: int, goes_on: bool):
    asked = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            query, sender = server.recvfrom(512)
            asked.append(query)
            server.sendto(query[:2] + bytes([0x81, 0x80 | rcode]) + query[4:], sender)

        thread = threading.Thread(target=answer)
        thread.start()
        assert probe.goes_on("127.0.0.1", lambda: "4d61", server.getsockname()[1]) is goes_on
        thread.join(5)
    assert b"\x044d61\x07example\x03com\x00" in asked[0]


def test_before_an_install_nothing_of_the_system_is_called_bad():
    before = replace(
        WELL, installed=False, seen=replace(SEEN, system=("none",)), belt_wanted=False, belt_there=None,
        probe_seconds=None, machine=Machine(resolv_text="nameserver 192.0.2.1\n", browsers=(BROWSER,)), consent=False,
    )  # fmt: skip
    assert [one.key for one in examine(before) if one.health is Health.BAD] == []


def test_a_version_of_some_months_ago_says_how_old_it_is():
    today = date(RELEASED.year + 1, 6, 1)
    (found,) = [one for one in examine(replace(WELL, today=today)) if one.key == "version"]
    assert found.text == "your version is 7 months old"


def test_every_fact_is_looked_at():
    import inspect

    from blockerd.system import doctor

    text = inspect.getsource(doctor)
    assert [one.name for one in fields(Facts) if f"facts.{one.name}" not in text] == []


@pytest.mark.parametrize(
    ("path", "content", "names"),
    [
        (".mozilla/firefox/a.default/prefs.js", 'user_pref("network.trr.mode", 3);\n', ["Firefox"]),
        (".mozilla/firefox/a.default/prefs.js", 'user_pref("network.trr.mode", 5);\n', []),
        ("snap/firefox/common/.mozilla/firefox/b/prefs.js", 'x\nuser_pref("network.trr.mode", 2);\n', ["Firefox"]),
        (".config/chromium/Local State", '{"dns_over_https": {"mode": "secure"}}', ["Chromium"]),
        (".config/google-chrome/Local State", '{"dns_over_https": {"mode": "off"}}', []),
        (".config/google-chrome/Local State", "not json", []),
    ],
)
def test_a_resolver_that_was_chosen_by_hand_is_seen(path: str, content: str, names: list[str], tmp_path: Path):
    at = tmp_path / path
    at.parent.mkdir(parents=True)
    at.write_text(content)
    assert byhand.chosen(tmp_path) == names
