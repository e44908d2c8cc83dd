"""The plan for a Mac: what its tools say is understood or left alone, and what is written is what macOS takes."""

import plistlib
from dataclasses import replace
from pathlib import Path

import pytest

from blockerd.system import macos, macos_keep, macos_look
from blockerd.system.apply import Applier
from blockerd.system.macos_belt import rules
from blockerd.system.macos_browsers import ours, parsed
from blockerd.system.macos_look import installer
from blockerd.system.macos_picture import Mac, Person, Service, links, names, servers
from blockerd.system.picture import Browser, Holder, Vendor
from blockerd.system.plan import PlanError
from blockerd.system.steps import Command, File, from_json, to_json
from blockerd.system.wish import BrowserWish, Places, Wish
from tests.fakes.mac_tools import SCUTIL
from tests.system.desktops import MAC

MACHINE = Mac(services=(Service("Wi-Fi"), Service("USB 10/100/1000 LAN", ("192.0.2.53", "2001:db8::53"))))


# What the tools say.


def test_services_are_read_with_their_names_as_people_have_them():
    said = (
        "An asterisk (*) denotes that a network service is disabled.\nWi-Fi\n*Thunderbolt Bridge\n"
        "USB 10/100/1000 LAN\nBürgernetz 'Büro'\niPhone USB 2\r\n\n  Two  Spaces\n"
    )
    assert names(said) == [
        ("Wi-Fi", True),
        ("Thunderbolt Bridge", False),
        ("USB 10/100/1000 LAN", True),
        ("Bürgernetz 'Büro'", True),
        ("iPhone USB 2", True),
        ("  Two  Spaces", True),
    ]


def test_a_service_may_be_called_like_the_line_that_explains_the_asterisk():
    said = "An asterisk (*) denotes that a network service is disabled.\nAn asterisk for disabled people\n"
    assert names(said) == [("An asterisk for disabled people", True)]


@pytest.mark.parametrize("said", ["", "\n"])
def test_no_services_are_no_services(said: str):
    assert names(said) == []


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("There aren't any DNS Servers set on Wi-Fi.", ()),
        ("There aren’t any DNS Servers set on iPhone USB.\n", ()),
        ("192.0.2.1", ("192.0.2.1",)),
        ("192.0.2.1\n2001:db8::1\nfe80::1%en0\n", ("192.0.2.1", "2001:db8::1", "fe80::1%en0")),
        ("Wi-Fi is not a recognized network service.\n** Error: The parameters were not valid.", None),
        ("", None),
        ("192.0.2.1\nsomething else", None),
        ("You need to be an administrator.", None),
    ],
)
def test_resolvers_are_read_and_an_error_is_never_taken_for_none(said: str, found: tuple[str, ...] | None):
    assert servers(said) == found


def test_resolvers_of_interfaces_are_told_apart_and_tunnels_named():
    lan, vpn = links(SCUTIL)
    assert (lan.name, lan.resolvers, lan.tunnel) == ("en0", ("192.0.2.1", "2001:db8::1"), False)
    assert (vpn.name, vpn.resolvers, vpn.domains, vpn.tunnel) == ("utun4", ("198.51.100.53",), ("corp.test",), True)
    assert links("No DNS configuration available\n") == ()


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"SUDO_USER": "someone", "USER": "root"}, "someone"),
        ({"USER": "someone"}, "someone"),
        ({"USER": "root"}, ""),
        ({}, ""),
    ],
)
def test_the_person_is_the_one_who_said_sudo(environ: dict[str, str], name: str):
    assert installer(environ) == name


def test_a_person_who_is_no_user_has_no_screen_time(tmp_path: Path):
    tools = MAC.begin(tmp_path)
    for name in ("", "nobody-here", "root"):
        assert macos_look.look(tmp_path, tools.run, person=name, live=False).person is None


def test_a_service_whose_resolvers_cannot_be_read_is_left_alone(tmp_path: Path):
    tools = MAC.begin(tmp_path)

    def run(words: object) -> tuple[int, str]:
        if isinstance(words, tuple) and words[:3] == ("networksetup", "-getdnsservers", "Wi-Fi"):
            return 14, "** Error: Command requires admin privileges."
        return tools.run(words)  # type: ignore[arg-type]

    machine = MAC.look(tmp_path, run)
    assert isinstance(machine, Mac)
    assert [service.name for service in machine.services] == [
        "USB 10/100/1000 LAN", "Bürgernetz 'Büro'", "Thunderbolt Bridge",
    ]  # fmt: skip


# The plan.


def commands(machine: Mac, wish: Wish) -> list[Command]:
    return [step for step in macos.plan(machine, wish).steps if isinstance(step, Command)]


def test_each_service_gets_us_and_its_own_resolvers_back():
    set_ = [step for step in commands(MACHINE, Wish()) if "-setdnsservers" in step.forward]
    assert [(step.forward[2:], step.inverse[2:]) for step in set_] == [
        (("Wi-Fi", "127.0.0.1", "::1"), ("Wi-Fi", "empty")),
        (("USB 10/100/1000 LAN", "127.0.0.1", "::1"), ("USB 10/100/1000 LAN", "192.0.2.53", "2001:db8::53")),
    ]


def test_every_job_is_a_property_list_that_launchd_takes():
    made = macos.plan(replace(MACHINE, person=Person("someone", 501)), Wish(proxy=True, agent=True))
    jobs = [step for step in made.steps if isinstance(step, File) and "/Launch" in step.path]
    assert len(jobs) == 6
    for step in jobs:
        job = plistlib.loads(step.content)
        assert step.path.endswith(f"/{job['Label']}.plist")
        assert step.mode & 0o022 == 0
        assert step.owner == "root:wheel"
        assert all(isinstance(word, str) for word in job["ProgramArguments"])
        assert job["RunAtLoad"] is True
    kept = {job["Label"]: job.get("KeepAlive") for job in (plistlib.loads(step.content) for step in jobs)}
    assert kept["org.blockerd.dns"] is True
    assert kept["org.blockerd.network"] is None


def test_screen_time_is_of_the_one_person_alone():
    made = macos.plan(replace(MACHINE, person=Person("someone", 501)), Wish())
    files = {
        step.path: plistlib.loads(step.content)
        for step in made.steps
        if isinstance(step, File) and ".plist" in step.path
    }
    agent = files[macos.agent_path()]["ProgramArguments"]
    assert agent[-1].startswith('[ "$(id -u)" = 501 ] || exit 0; exec ')
    assert files[macos.daemon_path(macos.CONTROL)]["EnvironmentVariables"]["BLOCKERD_PERSON"] == "someone"
    assert macos.agent_path() not in {getattr(step, "path", "") for step in macos.plan(MACHINE, Wish()).steps}


def test_the_first_note_says_that_it_was_never_run():
    assert "never run on a real machine" in macos.plan(MACHINE, Wish()).notes[0]


def test_port_53_held_by_another_is_refused_and_our_own_is_not():
    held = replace(MACHINE, holders=(Holder("udp", "0.0.0.0", 321, "mDNSResponder"),))
    with pytest.raises(PlanError, match=r"mDNSResponder \(pid 321\).*Internet Sharing"):
        macos.plan(held, Wish())
    assert macos.plan(replace(held, loaded=frozenset({macos.DNS})), Wish()).steps


def test_a_program_that_its_user_can_write_is_refused():
    with pytest.raises(PlanError, match="act as root"):
        macos.plan(MACHINE, Wish(places=Places(program=f"{macos._PEOPLE[0]}someone/venv/bin/blockerd")))


def test_no_services_are_refused():
    with pytest.raises(PlanError, match="no network service"):
        macos.plan(Mac(), Wish())


def test_a_settings_folder_that_is_not_ours_keeps_its_mode():
    made = macos.plan(MACHINE, Wish(places=Places(config="/etc/blockerd.toml")))
    assert all(getattr(step, "path", "") != "/etc" for step in made.steps)


def test_the_root_is_trusted_for_tls_alone_and_distrusted_before_it_goes(tmp_path: Path):
    tools = MAC.begin(tmp_path)
    made = MAC.plan(tools)
    Applier(tmp_path, tools.run).apply(made.steps)
    assert len(tools.state["keychain"]) == 2
    Applier(tmp_path, tools.run).undo(data=True, tell=lambda _: None)
    back = [words for words in tools.ran if words[0] == "security"][-2:]
    assert [words[1] for words in back] == ["remove-trusted-cert", "delete-certificate"]


# The belt.


def test_the_belt_lets_loopback_root_and_the_systems_resolver_pass_first():
    lines = rules(Wish(chat_ports=True, doh_addresses=("192.0.2.8", "2001:db8::8"))).splitlines()
    assert lines[1:] == [
        "table <blockerd_doh> const { 192.0.2.8 2001:db8::8 }",
        "pass out quick on lo0 proto { tcp udp } from any to any port { 53 853 }",
        "pass out quick proto { tcp udp } from any to any port { 53 853 } user { root _mdnsresponder }",
        "block return out quick proto { tcp udp } from any to any port { 53 853 }",
        "block return out quick proto { tcp udp } from any to <blockerd_doh> port 443 user != root",
        "block return out quick proto tcp from any to any port "
        "{ 119 194 433 563 6660 6661 6662 6663 6664 6665 6666 6667 6668 6669 6697 }",
    ]
    assert len(rules(Wish()).splitlines()) == 4 + 2 * bool(Wish().doh_addresses)


def test_pf_is_asked_for_once_and_given_back_once(tmp_path: Path):
    tools = MAC.begin(tmp_path)
    Applier(tmp_path, tools.run).apply(MAC.plan(tools).steps)
    for _ in range(3):
        assert macos_keep.main(["belt-up"], tools.run, tmp_path) == 0
    assert tools.state["pf"]["tokens"] == [4711, 8_000_001]
    assert macos_keep.main(["belt-down"], tools.run, tmp_path) == 0
    assert macos_keep.main(["belt-down"], tools.run, tmp_path) == 0
    assert tools.state["pf"]["tokens"] == [4711]


# Browsers.


@pytest.mark.parametrize("form", [plistlib.FMT_XML, plistlib.FMT_BINARY])
def test_policies_are_laid_into_what_is_there_in_its_own_form(form: plistlib.PlistFormat):
    old = plistlib.dumps({"HomepageLocation": "https://site.test/", "QuicAllowed": True}, fmt=form)
    machine = replace(MACHINE, lists=(Browser(Vendor.CHROME, "app", "/Library/x.plist", old),))
    (file,) = [s for s in macos.plan(machine, Wish()).steps if isinstance(s, File) and s.path == "/Library/x.plist"]
    assert file.content.startswith(old[:6])
    got = plistlib.loads(file.content)
    assert got["HomepageLocation"] == "https://site.test/"
    assert got["DnsOverHttpsMode"] == "off"


def test_firefox_needs_its_switch():
    said = ours(Vendor.FIREFOX, BrowserWish())
    assert said["EnterprisePoliciesEnabled"] is True
    assert said["DNSOverHTTPS"] == {"Enabled": False, "Locked": True}


@pytest.mark.parametrize("content", [b"", b"bplist00", b"<plist>", b"\xff\xfe", b"bplist00" + b"\xff" * 40])
def test_what_is_no_property_list_is_left_alone_and_told(content: bytes):
    assert parsed(content) is None
    made = macos.plan(replace(MACHINE, lists=(Browser(Vendor.EDGE, "app", "/Library/e.plist", content),)), Wish())
    assert not [step for step in made.steps if getattr(step, "path", "") == "/Library/e.plist"]
    assert any("/Library/e.plist" in note for note in made.notes)


# New services, and the way out.


def test_a_service_that_comes_later_asks_us_and_gets_its_own_back(tmp_path: Path):
    tools = MAC.begin(tmp_path)
    applier = Applier(tmp_path, tools.run)
    applier.apply(MAC.plan(tools).steps)
    applier.manifest.finish()
    tools.state["services"].append(["iPhone USB", True, ["203.0.113.1"]])
    assert macos_keep.main(["network", "127.0.0.1", "::1"], tools.run, tmp_path) == 0
    assert tools.state["services"][-1][2] == ["127.0.0.1", "::1"]
    assert applier.manifest.finished()
    ran = len(tools.ran)
    assert macos_keep.main(["network", "127.0.0.1", "::1"], tools.run, tmp_path) == 0
    assert not [words for words in tools.ran[ran:] if "-setdnsservers" in words], "written only where it differs"
    applier.undo(data=True, tell=lambda _: None)
    assert tools.state["services"][-1] == ["iPhone USB", True, ["203.0.113.1"]]


def test_a_service_that_was_taken_away_since_is_told_and_the_rest_comes_back(tmp_path: Path):
    tools = MAC.begin(tmp_path)
    Applier(tmp_path, tools.run).apply(MAC.plan(tools).steps)
    del tools.state["services"][1]
    said: list[str] = []
    assert Applier(tmp_path, tools.run).undo(data=True, tell=said.append) == []
    assert [servers for _, _, servers in tools.state["services"]] == [[], ["198.51.100.1"], []]
    assert len(said) == 1
    assert "USB 10/100/1000 LAN" in said[0]


def test_without_an_install_the_watch_changes_nothing(tmp_path: Path):
    tools = MAC.begin(tmp_path)
    assert macos_keep.main(["network", "127.0.0.1"], tools.run, tmp_path) == 0
    assert not [words for words in tools.ran if "-setdnsservers" in words]


def test_a_service_that_cannot_be_set_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tools = MAC.begin(tmp_path)
    Applier(tmp_path, tools.run).manifest.begin()

    def run(words: object) -> tuple[int, str]:
        refused = isinstance(words, tuple) and words[1:3] == ("-setdnsservers", "Wi-Fi")
        return (14, "requires admin privileges") if refused else tools.run(words)  # type: ignore[arg-type]

    assert macos_keep.main(["network", "127.0.0.1", "::1"], run, tmp_path) == 1
    assert "Wi-Fi asked its network: could not be set: requires admin privileges" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["network"], ["belt"], ["belt-up", "x"]])
def test_a_wrong_call_is_told(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert macos_keep.main(words, lambda _: (1, ""), tmp_path) == 2
    assert "usage:" in capsys.readouterr().err


def test_the_manifest_holds_names_of_any_kind(tmp_path: Path):
    tools = MAC.begin(tmp_path)
    applier = Applier(tmp_path, tools.run)
    applier.apply(MAC.plan(tools).steps)
    undos = applier.manifest.undos()
    assert [from_json(to_json(undo)) for undo in undos] == undos
    assert any("Bürgernetz 'Büro'" in undo.command for undo in undos)
