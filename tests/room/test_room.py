"""On a booted Debian with systemd: installed, it filters; after a restart too; taken off, nothing is left of it.

Each plan, on Debian 12 and 13, killed at each of its moments as well. The long part is `make soak`'s; a short one runs
with the suite where rooms were made before. Nothing here reaches this machine's own services or files.
"""

import json
import sys

import pytest

from blockerd.system.resolved import FALLBACK
from tests.conftest import CI
from tests.room import homes
from tests.room.conftest import SUITES, Make, long_run
from tests.room.room import POSSIBLE, Room, ready

KINDS = tuple(homes.WAYS)
short_run = pytest.mark.needs_kernel(
    "a Debian in namespaces: root, debootstrap, overlayfs; made once by `make soak`, in CI at once",
    POSSIBLE and (CI or ready("bookworm")),
)
RESOLVED = "resolvectl dns | grep Global; resolvectl domain | grep Global"
PROBE = "from blockerd.system.probe import filtered; print(filtered('{}', 'blocked.example').name)"


def install(room: Room, kind: str, *more: str) -> None:
    way = homes.WAYS.get(kind, "auto")
    room.run("blockerd", "install", "--yes", *(() if way == "auto" else ("--way", way)), *more)


def filters(room: Room) -> None:
    """Programs ask blockerd, by every way they have."""
    assert homes.resolves(room)
    assert not homes.resolves(room, "blocked.example")
    for address in ("127.0.0.1", "::1", "192.0.2.1", "2001:db8:1::1"):
        homes.wait(lambda address=address: reaches(room, address), f"answer at {address}", 15)
    assert "blocked.example" not in homes.asked(room)


def reaches(room: Room, address: str) -> bool:
    """True if blockerd answers what is sent to `address`; an IPv6 address that was just given may need a moment."""
    said = room.run("/opt/blockerd/bin/python", "-c", PROBE.format(address)).strip()
    assert said != "OPEN", f"{address} is asked past the filter"
    return said == "FILTERED"


def whole_story(room: Room, kind: str) -> None:
    """Set up, installed, restarted, taken off."""
    home = homes.home_of(kind)
    before = room.snapshot()
    homes.set_up(room)
    install(room, kind)
    filters(room)
    assert room.try_run("blockerd", "status").returncode == 0
    assert homes.said_of_ntp(room) in ("yes", "no")
    room.unplug()
    room.boot()
    homes.connect(room, home)
    filters(room)
    said = room.run("blockerd", "uninstall", "--send", "nothing", "--data", "remove")
    assert "Everything is as it was." in said
    assert homes.resolves(room)
    assert homes.resolves(room, "blocked.example"), "the router knows every name"
    assert homes.left_behind(room, before) == {}


@pytest.mark.once
@short_run
def test_a_desktop_is_filtered_over_a_restart_and_left_as_it_was(make: Make):
    whole_story(make("bookworm", "desktop"), "desktop")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suite", SUITES)
class TestEachPlan:
    """Debian 12 and 13, each way."""

    pytestmark = long_run

    def test_filters_over_a_restart_and_leaves_nothing(self, suite: str, kind: str, make: Make):
        whole_story(make(suite, kind), kind)

    def test_killed_at_each_moment_it_is_taken_back(self, suite: str, kind: str, make: Make):
        room = make(suite, kind)
        homes.set_up(room)
        before = room.snapshot()
        python = "/opt/blockerd/bin/python"
        at, number = 0, 1
        while number:
            at += 1
            done = room.try_run(python, "/tmp/cut.py", "install", str(at), homes.WAYS[kind])
            assert done.returncode in (0, -9, 137), done.stderr
            number = 0 if done.returncode == 0 else at
            said = room.try_run("blockerd", "uninstall", "--send", "nothing", "--data", "keep")
            assert homes.resolves(room), f"no names after a cut at {at}: {said.stdout}{said.stderr}"
            changed = {
                path for path in room.changed(before) if not path.startswith(("/var/lib/blockerd", "/etc/blockerd"))
            }
            assert changed == set(), f"after a cut at {at}: {said.stdout}{said.stderr}"
        assert at > 50


@pytest.mark.parametrize("suite", SUITES)
class TestTrouble:
    """Daemon gone, package removed, ways past the filter."""

    pytestmark = long_run

    def test_installing_again_repairs_and_a_repair_that_fails_keeps_the_filter(self, suite: str, make: Make):
        """On a server whose network file names a resolver; settings stay first, and belong to no user that is gone."""
        room = make(suite, "server")
        room.sh("printf 'DNS=192.0.2.1\\nDomains=lan.example\\n' >>/etc/systemd/network/10-home.network; "
                "networkctl reload; networkctl reconfigure home0")  # fmt: skip
        homes.wait(lambda: "192.0.2.1" in room.sh("resolvectl dns home0"), "the file's resolver")
        homes.wait(lambda: homes.resolves(room), "names")
        before = room.snapshot()
        homes.set_up(room)
        install(room, "server")
        assert "192.0.2.1" not in room.sh("resolvectl dns home0")
        filters(room)
        room.sh("nft delete table inet blockerd")
        install(room, "server")
        filters(room)
        said = room.try_run("runuser", "-u", "nobody", "--", "blockerd", "doctor")
        assert (said.returncode, said.stderr) == (0, ""), said.stdout
        assert "sudo blockerd doctor" in said.stdout
        room.sh("mv $(command -v runuser) /tmp/runuser.kept; systemctl stop blockerd-probe")
        done = room.try_run("blockerd", "install", "--yes")
        assert done.returncode == 1
        assert "the first policy" in done.stderr
        filters(room)
        assert health(room, "install") == "good"
        room.sh("mv /tmp/runuser.kept /usr/sbin/runuser")
        room.run("blockerd", "uninstall", "--send", "nothing", "--data", "keep")
        assert homes.resolves(room, "blocked.example")
        owners = room.sh(
            "stat -c %U:%G /etc/blockerd /etc/blockerd/blockerd.toml /var/lib/blockerd /var/lib/blockerd/*"
        )
        assert set(owners.split()) == {"root:root"}
        assert health(room, "install") == "note"
        room.run("blockerd", "uninstall", "--send", "nothing", "--data", "remove")
        assert homes.left_behind(room, before) == {}

    @pytest.mark.parametrize("kind", ["desktop", "stub-off", "manager", "plain", "beside"])
    def test_a_dead_daemon_costs_at_most_ten_seconds_of_dns(self, suite: str, kind: str, make: Make):
        room = make(suite, kind)
        homes.set_up(room)
        install(room, kind, "--fallback", "192.0.2.1")
        filters(room)
        room.sh("systemctl kill -s KILL blockerd-dns; systemctl stop blockerd-dns")
        took = homes.wait(lambda: homes.resolves(room, "elsewhere.example"), "names by the fallback", 15)
        sys.stderr.write(f"without DNS for {took:.1f} s\n")
        assert took <= 10
        assert homes.resolves(room, "anywhere.example", "nobody"), "root alone is helped"
        room.sh("systemctl start blockerd-dns")
        homes.wait(lambda: homes.resolves(room) and not homes.resolves(room, "blocked.example"), "the filter", 15)
        room.sh(": >/tmp/lan/questions")
        filters(room)

    @pytest.mark.parametrize("kind", ["desktop", "stub-off", "beside"])
    def test_taken_off_while_the_fallback_is_asked_nothing_asks_it_any_more(self, suite: str, kind: str, make: Make):
        room = make(suite, kind)
        before, asked = room.snapshot(), room.sh(RESOLVED)
        homes.set_up(room)
        install(room, kind, "--fallback", "192.0.2.1")
        room.sh("systemctl kill -s KILL blockerd-dns; systemctl stop blockerd-dns")
        homes.wait(lambda: homes.resolves(room, "elsewhere.example"), "names by the fallback", 15)
        assert room.changed(before).keys() & {FALLBACK}, "the room sees what blockerd writes below /run"
        room.sh("systemctl kill -s KILL blockerd-watchdog; systemctl stop blockerd-watchdog")
        room.run("blockerd", "uninstall", "--send", "nothing", "--data", "remove")
        assert homes.left_behind(room, before) == {}
        assert room.sh(RESOLVED) == asked, "systemd-resolved goes on asking it"
        assert homes.resolves(room)

    def test_a_stopped_process_is_started_again_by_the_watchdog(self, suite: str, make: Make):
        room = make(suite, "desktop")
        homes.set_up(room)
        install(room, "desktop")
        room.sh("systemctl kill -s STOP blockerd-dns")
        homes.wait(lambda: homes.resolves(room, "again.example"), "names after the watchdog", 45)
        room.sh("systemctl kill -s KILL blockerd-dns")
        assert homes.wait(lambda: homes.resolves(room, "anew.example"), "names", 15) <= 6

    def test_the_service_can_bind_a_port_and_nothing_else(self, suite: str, make: Make):
        room = make(suite, "desktop")
        homes.set_up(room)
        install(room, "desktop")
        pid = room.sh("systemctl show -P MainPID blockerd-dns").strip()
        status = (room.tree / f"proc/{pid}/status").read_text("ascii")
        assert "CapEff:\t0000000000000400" in status
        assert "NoNewPrivs:\t1" in status
        tree = room.tree / f"proc/{pid}/root"
        flags = {
            line.split()[1]: line.split()[3] for line in (room.tree / f"proc/{pid}/mounts").read_text().splitlines()
        }
        assert flags["/"].startswith("ro"), tree
        assert flags["/var/lib/blockerd"].startswith("rw")

    def test_removing_the_package_takes_everything_back_first(self, suite: str, make: Make):
        room = make(suite, "desktop")
        homes.set_up(room)
        install(room, "desktop")
        manifest = "/var/lib/blockerd-install/manifest.jsonl"
        room.sh(f"cp -a {manifest} /tmp/whole; echo damaged >>{manifest}")
        done = room.try_run("dpkg", "--purge", "blockerd")
        assert done.returncode != 0
        assert "the package stays" in done.stderr
        filters(room)
        room.sh(f"cp -a /tmp/whole {manifest}")
        room.run("dpkg", "--remove", "blockerd")
        assert homes.resolves(room)
        assert homes.resolves(room, "blocked.example")
        assert not (room.tree / "opt/blockerd").exists()
        assert (room.tree / "var/lib/blockerd/journal.sqlite").exists(), "the record is the person's own"
        room.run("dpkg", "--purge", "blockerd")
        for left in ("etc/blockerd", "var/lib/blockerd", "var/lib/blockerd-install", "usr/bin/blockerd"):
            assert not (room.tree / left).exists()

    def test_rescue_network_gives_the_former_resolvers_for_good_until_install_comes_back(self, suite: str, make: Make):
        room = make(suite, "desktop")
        before = room.snapshot()
        homes.set_up(room)
        install(room, "desktop")
        room.sh("rm /var/lib/blockerd/policy.current; chmod 000 /etc/blockerd/blockerd.toml; "
                "systemctl stop blockerd-dns; systemctl mask --runtime blockerd-dns")  # fmt: skip
        room.run("blockerd", "rescue-network")
        assert homes.resolves(room, "blocked.example")
        room.unplug()
        room.boot()
        homes.connect(room, "desktop")  # waits until names resolve: the filter cannot start
        assert homes.resolves(room, "blocked.example")
        assert "OPEN" in room.run("/opt/blockerd/bin/python", "-c", PROBE.format("192.0.2.1")), "the belt is back"
        room.sh(": >/tmp/lan/questions")
        install(room, "desktop")
        filters(room)
        room.run("blockerd", "uninstall", "--send", "nothing", "--data", "remove")
        assert homes.resolves(room)
        assert homes.left_behind(room, before) == {}

    def test_a_vpn_gets_its_own_names_and_the_filter_comes_first(self, suite: str, make: Make):
        room = make(suite, "desktop")
        homes.set_up(room)
        install(room, "desktop")
        room.sh(VPN)
        homes.wait(lambda: "198.51.100.80" in room.try_run("getent", "ahosts", "x.corp.example").stdout, "VPN name", 40)
        assert not homes.resolves(room, "blocked.example"), "the VPN's resolver knows every name"
        assert "198.51.100.80" not in room.try_run("getent", "ahosts", "elsewhere.example").stdout
        homes.wait(lambda: ("resolver-path", "vpn") in homes.recorded(room), "the VPN on record", 90)
        room.sh("ip link del wg0")
        homes.wait(lambda: homes.recorded(room).count(("resolver-path", "vpn")) == 2, "its end on record", 90)

    def test_a_way_past_the_filter_is_on_record_within_five_minutes(self, suite: str, make: Make):
        room = make(suite, "desktop")
        homes.set_up(room)
        install(room, "desktop")
        room.sh("systemctl stop blockerd-watchdog; rm /etc/systemd/resolved.conf.d/50-blockerd.conf; "
                "systemctl restart systemd-resolved; resolvectl dns home0 192.0.2.1; resolvectl domain home0 '~.'; "
                "echo 192.0.2.5 site.test >>/etc/hosts; nft delete table inet blockerd")  # fmt: skip
        wanted = {("resolver-path", "elsewhere"), ("resolver-path", "belt-53"), ("bypass-sign", "hosts")}
        took = homes.wait(lambda: wanted <= set(homes.recorded(room)), "the findings on record", 300)
        assert took <= 300
        assert room.try_run("blockerd", "doctor").returncode == 1

    def test_a_new_version_goes_on_with_record_and_settings(self, suite: str, make: Make):
        room = make(suite, "desktop")
        homes.set_up(room)
        install(room, "desktop")
        assert not homes.resolves(room, "blocked.example")
        homes.wait(lambda: "blocked.example" in room.run("blockerd", "log", "--json"), "the attempt", 10)
        before = room.sh("sha256sum /etc/blockerd/blockerd.toml; cat /var/lib/blockerd/consent.json")
        room.sh(NEWER)
        homes.wait(lambda: room.try_run("blockerd", "status").returncode == 0, "status", 20)
        assert room.sh("dpkg-query -W -f '${Version}' blockerd").startswith("99:")
        assert room.sh("sha256sum /etc/blockerd/blockerd.toml; cat /var/lib/blockerd/consent.json") == before
        filters(room)
        assert "blocked.example" in room.run("blockerd", "log", "--json"), "what was recorded before is still there"
        assert [kind for kind, _ in homes.recorded(room)].count("start") >= 4, "both processes began twice, in one log"
        assert room.run("blockerd", "uninstall", "--send", "nothing", "--data", "remove")


def health(room: Room, check: str) -> str:
    """What the doctor says to one check: good, note or bad."""
    checks = json.loads(room.try_run("blockerd", "doctor", "--json").stdout)["checks"]
    return next(str(one["health"]) for one in checks if one["check"] == check)


VPN = """ip link add wg0 type veth peer name far0; ip addr add 198.51.100.1/24 dev wg0
ip addr add 198.51.100.7/24 dev wg0; ip link set far0 up
ip link set wg0 up
cat >/tmp/vpn.conf <<CONF
listen-address=198.51.100.7
bind-interfaces
no-resolv
no-hosts
address=/#/198.51.100.80
pid-file=/tmp/vpn.pid
user=root
CONF
dnsmasq --conf-file=/tmp/vpn.conf
resolvectl dns wg0 198.51.100.7; resolvectl domain wg0 corp.example '~.'"""
"""A link as a VPN program makes it: a resolver that knows every name, for its own domain and for all others."""

NEWER = """cd /tmp; dpkg-deb -R /var/lib/debs/*.deb newer
cd newer/opt/blockerd/lib/python3*/site-packages; rm -r blockerd; cp -a ${PWD#/tmp/newer}/blockerd .; cd /tmp
sed -i 's/^Version: /Version: 99:/' newer/DEBIAN/control
dpkg-deb -Zgzip -z1 --build newer newer.deb >/dev/null; dpkg -i newer.deb >/dev/null"""
"""A package of a later version with the code as it is now; the one that lies there is as old as its layer."""
