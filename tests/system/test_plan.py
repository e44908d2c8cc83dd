"""Which way a machine gets, what is refused with its reason, and the order that keeps a machine from losing DNS."""

from dataclasses import replace

import pytest

from blockerd.system import nftables, notice, units
from blockerd.system.picture import Holder, Machine, NetLink, Resolv
from blockerd.system.plan import PlanError, choose, plan, shown
from blockerd.system.resolved import DROP_IN, FALLBACK, RESOLV
from blockerd.system.steps import Command, File, Link, Owned
from blockerd.system.wish import Places, Way, Wish
from tests.system.machines import DESKTOP, MACHINES, PLAIN, SERVER, TOOLS, WSL, again

UPLINK = Machine(resolv=Resolv.UPLINK, units=frozenset({"systemd-resolved.service"}), tools=TOOLS)
BESIDE = Machine(
    resolv=Resolv.FILE, resolv_text="nameserver 192.0.2.1\n", units=frozenset({"systemd-resolved.service"}), tools=TOOLS
)


@pytest.mark.parametrize(
    ("machine", "way"),
    [
        pytest.param(DESKTOP, Way.RESOLVED, id="resolved's stub"),
        pytest.param(SERVER, Way.RESOLVED, id="networkd"),
        pytest.param(UPLINK, Way.RESOLVED, id="resolved's uplinks"),
        pytest.param(BESIDE, Way.PLAIN, id="resolved runs and nobody asks it"),
        pytest.param(PLAIN, Way.PLAIN, id="no resolved"),
        pytest.param(WSL, Way.PLAIN, id="wsl"),
    ],
)
def test_the_way_follows_what_programs_ask(machine: Machine, way: Way):
    assert choose(machine) is way


@pytest.mark.parametrize("name", MACHINES)
def test_nothing_points_at_the_filter_before_it_answers(name: str):
    steps = plan(MACHINES[name], Wish(fallback="192.0.2.9")).steps
    started = max(
        at for at, step in enumerate(steps) if isinstance(step, Command) and step.forward[-1:] == (units.DNS,)
    )
    pointing = [
        at
        for at, step in enumerate(steps)
        if isinstance(step, File | Link) and step.path in ("/etc/resolv.conf", DROP_IN, nftables.RULES)
    ]
    (answers,) = [
        at for at, step in enumerate(steps) if isinstance(step, Command) and "blockerd.system.answers" in step.forward
    ]
    assert pointing
    assert min(pointing) > answers > started


@pytest.mark.parametrize("name", MACHINES)
def test_no_second_resolver_is_named_anywhere(name: str):
    for step in plan(MACHINES[name], Wish(fallback="192.0.2.9")).steps:
        if isinstance(step, File) and step.path in (RESOLV, DROP_IN):
            assert b"192.0.2" not in step.content
            assert b"127.0.0.1" in step.content


@pytest.mark.parametrize("later", [False, True], ids=["at once", "by a later install"])
@pytest.mark.parametrize(
    ("machine", "way"),
    [
        pytest.param(DESKTOP, Way.RESOLVED, id="resolved"),
        pytest.param(DESKTOP, Way.STUB_OFF, id="stub off"),
        pytest.param(BESIDE, Way.PLAIN, id="beside resolved"),
    ],
)
def test_on_the_way_back_the_fallback_goes_between_the_guard_and_systemd_resolved(
    machine: Machine, way: Way, later: bool
):
    wish = Wish(fallback="192.0.2.9", way=way)
    steps = plan(machine, replace(wish, fallback="") if later else wish).steps
    steps += tuple(again(machine, wish)) if later else ()
    back = [step.inverse for step in reversed(steps) if isinstance(step, Command) and step.inverse]
    gone = back.index(("rm", "-rf", FALLBACK, units.GUARD_FOLDER))
    assert back.index(("systemctl", "stop", units.WATCHDOG)) < gone
    assert ("systemctl", "restart", "systemd-resolved.service") in back[gone:]


@pytest.mark.parametrize("name", MACHINES)
def test_each_step_is_shown_with_its_inverse(name: str):
    rows = shown(plan(MACHINES[name], Wish()))
    assert all(does and back for does, back in rows)
    assert len(rows) > 20


def test_a_network_file_gets_a_drop_in_whoever_wrote_it():
    paths = {step.path for step in plan(SERVER, Wish()).steps if isinstance(step, File)}
    assert "/etc/systemd/network/10-lan.network.d/90-blockerd.conf" in paths
    assert "/etc/systemd/network/10-netplan-eth0.network.d/90-blockerd.conf" in paths


def test_resolvers_that_a_network_file_names_itself_are_cleared():
    for step in plan(SERVER, Wish()).steps:
        if isinstance(step, File) and step.path.startswith("/etc/systemd/network/"):
            (network,) = [part for part in step.content.decode().split("\n[") if part.startswith("Network]")]
            assert "DNS=" in network.splitlines()


@pytest.mark.parametrize(
    ("old", "added"),
    [
        pytest.param(b"hostname\n", True, id="no word of it"),
        pytest.param(b"#nohook resolv.conf\n", True, id="a remark"),
        pytest.param(b"interface eth0\n  nohook resolv.conf\n", True, id="for one interface"),
        pytest.param(b"nohook  resolv.conf\ninterface eth0\n", False, id="for all of them"),
    ],
)
@pytest.mark.parametrize("runs", [False, True])
def test_dhcpcd_leaves_the_file_alone_on_every_interface(old: bytes, added: bool, runs: bool):
    units = frozenset({"dhcpcd.service"} if runs else ())
    steps = plan(replace(PLAIN, files=(("/etc/dhcpcd.conf", old),), units=units), Wish()).steps
    at = [n for n, step in enumerate(steps) if isinstance(step, File) and step.path == "/etc/dhcpcd.conf"]
    told = [
        n for n, step in enumerate(steps) if isinstance(step, Command) and "dhcpcd" in (*step.forward, *step.inverse)
    ]
    assert len(at) == added
    assert told == ([at[0] - 1, at[0] + 1] if added and runs else [])
    for step in (steps[n] for n in at):
        assert isinstance(step, File)
        lines = step.content.splitlines()
        assert lines.index(b"nohook resolv.conf") == 1
        assert step.content.endswith(old)


def test_wsl_keeps_its_other_settings():
    (conf,) = [step for step in plan(WSL, Wish()).steps if isinstance(step, File) and step.path == "/etc/wsl.conf"]
    assert conf.content == b"[network]\ngenerateResolvConf = false\nhostname = box\n"


def test_who_holds_the_port_is_named():
    holder = Holder("udp", "0.0.0.0", 812, "dnsmasq", "dnsmasq.service")
    busy = Machine(tools=TOOLS, holders=(holder,))
    with pytest.raises(PlanError, match=r"udp 0.0.0.0: dnsmasq \(pid 812, dnsmasq.service\)"):
        plan(busy, Wish())


@pytest.mark.parametrize("address", ["127.0.0.53", "127.0.0.54", "192.168.122.1"])
def test_those_who_listen_elsewhere_are_in_nobodys_way(address: str):
    assert plan(Machine(tools=TOOLS, holders=(Holder("udp", address, 5, "x"),)), Wish()).steps


@pytest.mark.parametrize(
    ("machine", "wish", "text"),
    [
        pytest.param(Machine(), Wish(), "no systemctl", id="another init"),
        pytest.param(
            PLAIN,
            Wish(Places(program="/".join(("", "home", "me", "bin", "blockerd")))),
            "cannot read it there",
            id="home",
        ),
        pytest.param(
            PLAIN,
            Wish(Places(config="/".join(("", "home", "me", "blockerd.toml")))),
            "cannot read it there; put it at /etc",
            id="settings in a home",
        ),
        pytest.param(
            PLAIN,
            Wish(Places(state="/".join(("", "root", "var")))),
            "cannot read it there; set state.dir",
            id="record in a home",
        ),
        pytest.param(
            Machine(tools=TOOLS, fixed=frozenset({"/etc/resolv.conf"})), Wish(), "chattr", id="immutable resolv.conf"
        ),
        pytest.param(PLAIN, Wish(way=Way.MACOS), "no way of Linux", id="another system's way"),
        pytest.param(PLAIN, Wish(fallback="quad9"), "quad9 is no IP address", id="fallback by name"),
        pytest.param(PLAIN, Wish(fallback="none"), "none is no IP address", id="no fallback spelt out"),
        pytest.param(PLAIN, Wish(fallback="127.0.0.53"), "is this computer", id="fallback on loopback"),
        pytest.param(
            PLAIN, Wish(listen=("192.0.2.2",), fallback="192.0.2.2"), "is this computer", id="fallback is blockerd"
        ),
        pytest.param(PLAIN, Wish(fallback="fe80::1%eth0"), "one server", id="fallback on a link"),
        pytest.param(PLAIN, Wish(fallback="224.0.0.251"), "one server", id="fallback to many"),
    ],
)
def test_what_is_in_the_way_is_told_before_anything_is_changed(machine: Machine, wish: Wish, text: str):
    with pytest.raises(PlanError, match=text):
        plan(machine, wish)


def test_a_home_that_may_ask_gets_a_note_for_everybody():
    made = plan(PLAIN, Wish(listen=("127.0.0.1", "192.168.1.2")))
    assert any("everybody at home" in note for note in made.notes)
    assert not any("everybody at home" in note for note in plan(PLAIN, Wish()).notes)


def test_who_chooses_a_fallback_is_told_that_its_filter_is_not_checked():
    assert any(
        "192.0.2.9; what that withholds is not checked" in note
        for note in plan(PLAIN, Wish(fallback="192.0.2.9")).notes
    )


def test_a_vpn_that_is_up_is_told():
    machine = Machine(tools=TOOLS, links=(NetLink("wg0", kind="wireguard"),))
    assert any("wg0" in note for note in plan(machine, Wish()).notes)


def test_logins_are_told_that_there_is_a_filter():
    notes = [step for step in plan(PLAIN, Wish()).steps if isinstance(step, File) and "login" in step.title]
    assert len(notes) == 2
    assert all(b"blockerd uninstall" in step.content for step in notes)


def test_a_folder_that_is_not_ours_keeps_its_owner_and_mode():
    def folders(config: str) -> set[str]:
        steps = plan(PLAIN, Wish(Places(config=config))).steps
        return {step.path for step in steps if isinstance(step, Owned)}

    assert "/etc/blockerd" in folders("/etc/blockerd/blockerd.toml")
    assert "/etc" not in folders("/etc/blockerd.toml")


@pytest.mark.parametrize(
    ("person", "tools", "owner"),
    [("ann", {"loginctl"}, "ann"), ("root", {"loginctl"}, ""), ("", {"loginctl"}, ""), ("ann", set(), "")],
)
def test_whoever_logs_in_reads_whose_requests_are_recorded(person: str, tools: set[str], owner: str):
    made = plan(replace(DESKTOP, tools=DESKTOP.tools | tools), Wish(person=person))
    told = {step.path: step.content.decode() for step in made.steps if isinstance(step, File)}
    for path, name in ((notice.MOTD, owner), (notice.ISSUE, owner and "the owner")):
        assert "names of porn, cam and sex-chat sites are refused" in told[path]
        assert ("not while another account" in told[path]) is bool(owner)
        assert f"another account than {name}'s" in told[path] or not owner
    assert any(note.startswith(f"the record is that of {owner}:") for note in made.notes) is bool(owner)
    assert "ann" not in told[notice.ISSUE]
