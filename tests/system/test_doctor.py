"""The doctor: each thing that can be wrong is found by the check that is for it, with something to do about it."""

from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from blockerd.system import byhand, drift
from blockerd.system.doctor import CHECKS, RELEASED, Facts, Health, examine
from blockerd.system.drift import Answer, Finding, Seen
from blockerd.system.picture import Browser, Holder, Machine, NetLink, Vendor

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


def test_what_costs_names_or_the_filter_is_bad_and_not_a_note():
    for key in ("answers", "system", "processes", "belt", "upstream", "journal", "probe", "test-name", "resolvers"):
        (found,) = [one for one in examine(replace(WELL, **WRONG[key])) if one.key == key]
        assert found.health is Health.BAD, key


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


def test_whoever_may_not_read_settings_and_state_gets_what_can_be_told_and_how_to_see_the_rest():
    told = examine(replace(WELL, hidden=True, generation=0, running=(), consent=False))
    assert told[0].fix == "sudo blockerd doctor says the rest"
    keys = {one.key for one in told}
    assert keys.isdisjoint({"config", "processes", "policy", "journal", "consent", "belt", "mail"})
    assert keys >= {"install", "answers", "system", "probe", "vpn"}
    assert not [one for one in told if one.health is Health.BAD]
