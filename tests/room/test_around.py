"""On a booted Debian: a login session with its agent, a strange network's sign-in page, a port that is taken.

Part of `make soak`; nothing here reaches this machine's own services or files.
"""

import json

import pytest

from tests.room import homes
from tests.room.conftest import SUITES, Make, long_run
from tests.room.room import SCREEN, Room

pytestmark = [*long_run, pytest.mark.parametrize("suite", SUITES)]


def test_the_agent_measures_the_session_of_the_one_who_installed_and_ends_with_it(suite: str, make: Make):
    room = make(suite, "desktop", SCREEN)
    room.sh(DESKS)
    before = room.snapshot()
    room.sh("systemctl start desk@ann")
    homes.wait(lambda: of(room, "ann", "is-active", "desk.target") == "active", "session of ann's", 60)
    homes.set_up(room)
    room.run("env", "SUDO_USER=ann", "blockerd", "install", "--yes")
    assert agent(room, "ann") == "active", "it begins in the session that is open"
    room.sh("systemctl start desk@ben")
    homes.wait(lambda: of(room, "ben", "is-active", "desk.target") == "active", "session of ben's", 60)
    homes.wait(lambda: ("bypass-sign", "doh-firefox") in homes.recorded(room), "word of what is set by hand", 30)
    assert agent(room, "ben") == "inactive"
    pid = of(room, "ann", "show", "-P", "MainPID", "blockerd-agent")
    status = (room.tree / f"proc/{pid}/status").read_text("ascii")
    assert ("NoNewPrivs:\t1" in status, "Seccomp:\t2" in status) == (True, True)
    homes.wait(lambda: measured(room) > 1, "a second of hers", 90)  # the agent tells what it measured now and then
    room.sh("systemctl stop desk@ann")
    homes.wait(lambda: not runs(room), "end of the agent", 30)
    assert measured(room) > 1
    assert json.loads(room.run("blockerd", "time", "--user", "ben", "--json"))["active_seconds"] == 0
    room.sh("systemctl start desk@ann")
    homes.wait(lambda: agent(room, "ann") == "active", "agent of the next session", 60)
    room.run("blockerd", "uninstall", "--send", "nothing", "--data", "remove")
    assert not runs(room)
    room.sh("systemctl stop desk@ann desk@ben")
    assert {path for path in homes.left_behind(room, before) if "/.cache" not in path} == set(), "more than openbox's"


def test_what_another_account_in_front_asks_is_filtered_and_not_recorded(suite: str, make: Make):
    """One seat, on which logind has one session in front at a time; who it is, `control` asks from its sandbox."""
    room = make(suite, "desktop", SCREEN)
    room.sh(DESKS)
    room.sh(AT_THE_SEAT)
    homes.set_up(room)
    room.run("env", "SUDO_USER=ann", "blockerd", "install", "--yes")
    for person, theirs in (("ann", False), ("ben", True), ("ann", False)):
        room.sh(f"systemctl start desk@{person}")
        homes.wait(lambda who=person: in_front(room) == who, f"session of {person}'s", 60)
        homes.wait(lambda is_so=theirs: another(room) is is_so, "word of who is in front")
        before = attempts(room)
        homes.wait(lambda: homes.resolves(room), "names")
        assert not homes.resolves(room, "blocked.example")
        if theirs:
            assert "another one is in front" in room.run("blockerd", "status")
        room.sh(f"systemctl stop desk@{person}")
        homes.wait(lambda is_so=theirs, n=before: is_so or attempts(room) > n, "record of it")
    assert homes.recorded(room).count(("resolver-path", "account")) == 2
    kept = attempts(room)
    assert not homes.resolves(room, "blocked.example"), "nobody in front: as ever"
    homes.wait(lambda: attempts(room) > kept, "record of it", 90)
    room.run("blockerd", "uninstall", "--send", "nothing", "--data", "remove")


AT_THE_SEAT = r"""
mkdir -p /etc/systemd/system/desk@.service.d
printf '[Service]\nEnvironment=XDG_SEAT=seat0\n' >/etc/systemd/system/desk@.service.d/seat.conf
systemctl daemon-reload
"""
"""The seat of a room has no consoles, so logind brings each new session to the front."""


def in_front(room: Room) -> str:
    """The login name of the session that logind has in front, "" for none."""
    session = room.try_run("loginctl", "show-seat", "seat0", "--property=ActiveSession", "--value").stdout.strip()
    shown = room.try_run("loginctl", "show-session", session, "--property=Name", "--value").stdout if session else ""
    return shown.strip()


def another(room: Room) -> bool:
    """Whether `status` says that another account is in front."""
    return bool(json.loads(room.try_run("blockerd", "status", "--json").stdout)["another_account"])


def attempts(room: Room) -> int:
    """Questions on record that were refused."""
    lines = room.run("blockerd", "log", "--json").splitlines()
    return sum(int(json.loads(line)["count"]) for line in lines)


def test_a_sign_in_page_comes_up_and_nothing_else(suite: str, make: Make):
    """With NetworkManager alone, whose tool `control` asks from inside its sandbox; the upstream is another resolver
    than the network's."""
    room = make(suite, "manager")
    room.sh(CHOSEN)
    homes.set_up(room, [CHOSEN_AT if word == "192.0.2.1" else word for word in homes.TYPED])
    room.run("blockerd", "install", "--yes")
    homes.wait(lambda: window(room)["open"], "window", 30)
    assert (window(room)["why"], window(room)["resolvers"]) == ("network change", ["192.0.2.1", "2001:db8:1::1"])
    homes.wait(lambda: address(room, SIGN) == OF_NETWORK, "the network's own page")
    assert address(room, LOGIN) == address(room, "elsewhere.example") == OF_CHOSEN
    assert address(room, "blocked.example") == ""
    room.run("blockerd", "portal", "close")
    homes.wait(lambda: address(room, SIGN) == OF_CHOSEN, "the real page")
    assert (window(room)["open"], room.try_run("blockerd", "portal", "status").returncode) == (False, 1)
    room.run("blockerd", "portal", "open", LOGIN)
    homes.wait(lambda: address(room, LOGIN) == address(room, SIGN) == OF_NETWORK, "the named page")
    assert address(room, "elsewhere.example") == OF_CHOSEN
    room.run("blockerd", "portal", "close")
    room.sh("ip -n router link set lan0 down; ip -n router link set lan0 up")
    homes.wait(lambda: window(room)["open"], "window after the cable came again", 60)
    assert window(room)["why"] == "network change"
    homes.wait(lambda: homes.recorded(room).count(("resolver-path", "portal")) == 5, "record of each", 30)
    assert "blocked.example" not in homes.asked(room)
    assert "Traceback" not in room.run("journalctl", "-o", "cat", "-u", "blockerd-control")


def test_who_holds_the_port_is_named_and_nothing_is_changed(suite: str, make: Make):
    room = make(suite, "plain")
    homes.set_up(room)
    before = room.snapshot()
    for kind, at in (("udp", "127.0.0.1"), ("tcp", "127.0.0.1"), ("tcp", "0.0.0.0"), ("tcp", "::")):
        hold(room, kind, at)
        done = room.try_run("blockerd", "install", "--yes")
        assert done.returncode == 1
        assert f"{kind} {at}: python3" in done.stderr
        assert ("holder.service" in done.stderr, done.stderr.count("\n")) == (True, 1)
        assert room.changed(before) == {}
        room.sh("systemctl stop holder")


def test_a_port_that_no_look_can_see_taken_is_told_and_all_is_taken_back(suite: str, make: Make):
    """A socket that is bound and does not listen yet stands in no table of the kernel's."""
    room = make(suite, "plain")
    homes.set_up(room)
    before = room.snapshot()
    hold(room, "tcp", "127.0.0.1", listens=False)
    done = room.try_run("blockerd", "install", "--yes")
    assert done.returncode == 1
    assert "127.0.0.1:53: Address already in use" in done.stderr
    assert done.stderr.count("\n") == 1
    assert homes.resolves(room)
    changed = {path for path in room.changed(before) if not path.startswith(("/var/lib/blockerd", "/etc/blockerd"))}
    assert changed == set()
    room.sh("systemctl stop holder")
    room.run("blockerd", "install", "--yes")
    assert not homes.resolves(room, "blocked.example")


def hold(room: Room, kind: str, at: str, *, listens: bool = True) -> None:
    """A program takes port 53 for this transport."""
    family, sort = ("6" if ":" in at else ""), "DGRAM" if kind == "udp" else "STREAM"
    code = f"import socket, time; s = socket.socket(socket.AF_INET{family}, socket.SOCK_{sort}); s.bind(('{at}', 53)); "
    code += "s.listen(); " if kind == "tcp" and listens else ""
    told = "-p", "Type=notify", "-p", "NotifyAccess=all"  # it has the port when this returns
    ready = "import subprocess; subprocess.run(['systemd-notify', '--ready']); time.sleep(999)"
    room.run("systemd-run", "--unit=holder", *told, "python3", "-c", code + ready)


def of(room: Room, person: str, *words: str) -> str:
    """What the service manager of a person's own says."""
    script = 'XDG_RUNTIME_DIR=/run/user/$(id -u) exec systemctl --user "$@"'
    return room.try_run("runuser", "-u", person, "--", "sh", "-c", script, "sh", *words).stdout.strip()


def runs(room: Room) -> bool:
    """True if any agent runs."""
    return bool(room.try_run("pgrep", "-f", "blockerd agent").stdout)


def agent(room: Room, person: str) -> str:
    """How the agent's unit is."""
    return of(room, person, "is-active", "blockerd-agent")


def measured(room: Room) -> int:
    """Seconds of ann's with her terminal in front."""
    hours = json.loads(room.run("blockerd", "time", "--user", "ann", "--json"))
    return sum(int(one["seconds"]) for one in hours["apps"] if one["app"] == "xterm")


def window(room: Room) -> dict[str, object]:
    """What `portal status` says."""
    got: dict[str, object] = json.loads(room.try_run("blockerd", "portal", "status", "--json").stdout)
    return got


def address(room: Room, name: str) -> str:
    """The IPv4 address that programs find, "" for none."""
    return room.try_run("getent", "ahostsv4", name).stdout.partition(" ")[0]


DESKS = r"""
for name in ann ben; do
  useradd --create-home --shell /bin/bash $name
  mkdir -p /home/$name/.mozilla/firefox/own
  echo 'user_pref("network.trr.mode", 3);' >/home/$name/.mozilla/firefox/own/prefs.js
  chown -R $name: /home/$name
done
cat >/etc/pam.d/desk <<TEXT
account required pam_permit.so
session required pam_unix.so
session required pam_systemd.so
TEXT
cat >/etc/systemd/system/desk@.service <<TEXT
[Unit]
After=systemd-logind.service systemd-user-sessions.service
[Service]
User=%i
PAMName=desk
WorkingDirectory=~
Environment=XDG_SESSION_TYPE=x11
ExecStart=bash /usr/local/bin/desk
TEXT
cat >/etc/systemd/user/desk.target <<TEXT
[Unit]
BindsTo=graphical-session.target
After=graphical-session.target
TEXT
cat >/usr/local/bin/desk <<'TEXT'
trap 'systemctl --user stop desk.target; kill $(jobs -p)' TERM
mkfifo "$XDG_RUNTIME_DIR/display"
Xvfb -displayfd 6 -nolisten tcp 6>"$XDG_RUNTIME_DIR/display" &
read -r number <"$XDG_RUNTIME_DIR/display"
export DISPLAY=:$number
openbox &
xterm -geometry 80x24+0+0 &
systemctl --user import-environment DISPLAY XDG_SESSION_TYPE
systemctl --user start desk.target
/opt/blockerd/bin/python /usr/local/bin/hand &
wait
TEXT
cat >/usr/local/bin/hand <<'TEXT'
import itertools, time, xcffib, xcffib.xtest
x = xcffib.connect()
root, by = x.get_setup().roots[0].root, x(xcffib.xtest.key)
for n in itertools.count():
    for kind, button in ((6, 0), (4, 1), (5, 1)):  # moves, presses, lets go, above the program
        by.FakeInput(kind, button, 0, root, 60 + n % 9, 60, 0)
    x.flush()
    time.sleep(1)
TEXT
systemctl daemon-reload
"""
"""Two accounts whose login is a session of its own, as a display manager makes it: an X server, a window manager, a
program, somebody who clicks on it each second, and the target that a desktop starts when it is up."""

CHOSEN_AT, OF_CHOSEN, OF_NETWORK = "198.51.100.7", "198.51.100.80", "192.0.2.80"
SIGN, LOGIN = "nmcheck.gnome.org", "login.hotel.example"
CHOSEN = f"""ip addr add {CHOSEN_AT}/32 dev lo
cat >/tmp/chosen.conf <<CONF
listen-address={CHOSEN_AT}
bind-interfaces
no-resolv
no-hosts
address=/#/{OF_CHOSEN}
pid-file=/tmp/chosen.pid
user=root
CONF
dnsmasq --conf-file=/tmp/chosen.conf"""
"""A resolver that somebody chose, far from this network; it knows another address of each name."""


def test_a_resolver_that_was_started_too_often_is_started_all_the_same(suite: str, make: Make):
    """systemd refuses starts beyond its limit (five in ten seconds; here one), and leaves the machine without names."""
    room = make(suite, "desktop")
    limit, again = "/run/systemd/system/systemd-resolved.service.d/limit.conf", "systemctl restart systemd-resolved"
    room.sh(
        f"mkdir -p $(dirname {limit}); printf '[Unit]\\nStartLimitIntervalSec=1h\\nStartLimitBurst=1\\n' >{limit}; "
        f"systemctl daemon-reload; {again}; ! {again}; systemctl reset-failed systemd-resolved; {again}"
    )
    homes.wait(lambda: homes.resolves(room), "names")
    homes.set_up(room)
    for words, goes_out in (("install --yes", False), ("uninstall --send nothing --data remove", True)):
        room.run("blockerd", *words.split())
        homes.wait(lambda: homes.resolves(room), "names")
        assert homes.resolves(room, "blocked.example") is goes_out
