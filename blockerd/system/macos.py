"""The plan for a Mac: every network service names blockerd, launchd keeps it running, pf is the second belt. Pure.

Written from Apple's documentation and tried on imitations of its tools, never on a real machine; the plan says so
first. Each service's own resolvers are read before and stand in the inverse; "empty" gives a service back to its
network. Called by `system.choose`.
"""

import plistlib
import shlex
from pathlib import PurePosixPath
from typing import Any

from blockerd.system.macos_belt import belt
from blockerd.system.macos_browsers import parsed, policies
from blockerd.system.macos_picture import Mac, Service
from blockerd.system.plan import Plan, PlanError, in_the_way
from blockerd.system.resolved import asked
from blockerd.system.steps import Command, File, Folder, Step
from blockerd.system.trust import Root
from blockerd.system.wish import Way, Wish

DNS, CONTROL, PROXY = "org.blockerd.dns", "org.blockerd.control", "org.blockerd.proxy"
NETWORK, BELT, AGENT = "org.blockerd.network", "org.blockerd.belt", "org.blockerd.agent"
DAEMONS = (DNS, CONTROL, PROXY, NETWORK, BELT)
OWNER = "root:wheel"
LOGS = "/var/log/blockerd"
AGENT_FOLDER = "/var/db/blockerd-agent"
"""Where `control` hears the agent of the person, who may not look into its state."""

KEYCHAIN = "/Library/Keychains/System.keychain"
WATCHED = ("/Library/Preferences/SystemConfiguration/preferences.plist", "/var/run/resolv.conf")
NEVER = (
    "this plan was never run on a real machine: it is written from Apple's documentation and tried on imitations of "
    "its tools; `blockerd uninstall` takes back what it did, and `blockerd rescue-network` the resolvers alone"
)


def plan(machine: Mac, wish: Wish) -> Plan:
    """All steps of an install on a Mac.

    Raises:
        PlanError: something is in the way.
    """
    _refuse(machine, wish)
    steps = (
        *_folders(wish),
        *_daemons(machine, wish),  # ends with the filter answering
        *_resolvers(machine, wish),  # only now does anything point at it
        *(_belt(machine, wish) if wish.belt else ()),
        *policies(machine, wish),
        *(trust(machine.root) if wish.proxy and machine.root else ()),
        *_watch(machine, wish),
        *_agent(machine, wish),
    )
    return Plan(Way.MACOS, steps, tuple(_notes(machine, wish)))


def set_servers(service: str, servers: tuple[str, ...]) -> tuple[str, ...]:
    """The command that gives a service its resolvers; none: those of its network."""
    return ("networksetup", "-setdnsservers", service, *(servers or ("empty",)))


def unset(machine: Mac, wish: Wish) -> tuple[Service, ...]:
    """The services that do not ask blockerd, as after a new network adapter."""
    ours = asked(wish)
    return tuple(service for service in machine.services if service.servers != ours)


def trust(root: Root) -> tuple[Step, ...]:
    """The proxy's root among the roots of the whole Mac, for TLS alone. macOS asks an administrator on the screen.

    On the way back the trust goes before the certificate that it speaks of.
    """
    remove = ("security", "delete-certificate", "-Z", root.sha1, KEYCHAIN)
    add = ("security", "add-trusted-cert", "-d", "-r", "trustRoot", "-p", "ssl", "-k", KEYCHAIN, root.path)
    return (
        Command("the root of the page filter leaves the keychain", inverse=remove),
        Command("the root of the page filter is trusted", add, ("security", "remove-trusted-cert", "-d", root.path)),
    )


def daemon_path(label: str) -> str:
    """Where launchd reads a job of the system."""
    return f"/Library/LaunchDaemons/{label}.plist"


def agent_path() -> str:
    """Where launchd reads the job of each login session."""
    return f"/Library/LaunchAgents/{AGENT}.plist"


def python(wish: Wish) -> str:
    """The interpreter beside the `blockerd` command."""
    return str(PurePosixPath(wish.places.program).with_name("python"))


def _folders(wish: Wish) -> tuple[Step, ...]:
    """The settings' folder only where it is ours by name: a file may lie anywhere."""
    parent = PurePosixPath(wish.places.config).parent
    own = parent.name == "blockerd"
    return (
        *((Folder("settings", str(parent), 0o755, data=True),) if own else ()),
        Folder("state and record", wish.places.state, 0o700, data=True),
        Folder("what the processes say", LOGS, 0o700),
        Folder("where screen time is handed over", AGENT_FOLDER, 0o755),
        File("logs do not grow for ever", "/etc/newsyslog.d/blockerd.conf", _ROTATION, owner=OWNER),
    )


def _daemons(machine: Mac, wish: Wish) -> tuple[Step, ...]:
    named = (DNS, CONTROL, *((PROXY,) if wish.proxy else ()))
    places = wish.places
    more: dict[str, dict[str, Any]] = {DNS: {"SoftResourceLimits": {"NumberOfFiles": 8192}}}
    if machine.person and wish.agent:
        hears = {"RUNTIME_DIRECTORY": AGENT_FOLDER, "BLOCKERD_PERSON": machine.person.name}
        more[CONTROL] = {"EnvironmentVariables": hears}
    files = [
        _file(
            f"the job {label}", daemon_path(label),
            _daemon(label, (places.program, label.rpartition(".")[2], "--config", places.config), more.get(label, {})),
        )
        for label in named
    ]  # fmt: skip
    return (
        *files,
        Command("the first policy", (places.program, "lists", "build", "--config", places.config)),
        *(step for label in named for step in _start(machine, label)),
        Command("the filter answers", (python(wish), "-m", "blockerd.system.answers", *asked(wish))),
    )


def _start(machine: Mac, label: str) -> tuple[Step, ...]:
    """launchd does not read a job twice: one that it has already is ended first. The way back of that one stands in the
    manifest already, below the resolvers', and must not come before them.
    """
    start, end = ("launchctl", "bootstrap", "system", daemon_path(label)), ("launchctl", "bootout", f"system/{label}")
    if label not in machine.loaded:
        return (Command(f"start {label}", start, end),)
    return (Command(f"end the {label} that runs", end, may_fail=True), Command(f"start {label}", start))


def _resolvers(machine: Mac, wish: Wish) -> tuple[Step, ...]:
    """A service that names us already is left: what it named before stands in the manifest of the first install."""
    ours = asked(wish)
    return (
        *(Command(f"old answers are forgotten ({words[0]})", inverse=words) for words in reversed(_FLUSH)),
        *(
            Command(f"{service.name} asks blockerd", set_servers(service.name, ours),
                    set_servers(service.name, service.servers))
            for service in machine.services if service.servers != ours
        ),
        *(Command(f"old answers are forgotten ({words[0]})", forward=words, may_fail=True) for words in _FLUSH),
    )  # fmt: skip


def _belt(machine: Mac, wish: Wish) -> tuple[Step, ...]:
    """Loaded now, and again at each start and every five minutes, for others load rules too."""
    job = _job(wish, BELT, ("belt-up",), {"StartInterval": 300})
    return (*belt(wish), _file("the second belt at each start", daemon_path(BELT), job), *_start(machine, BELT))


def _watch(machine: Mac, wish: Wish) -> tuple[Step, ...]:
    """A short job whenever the network's settings change, and each minute, for launchd may miss a change."""
    job = _job(wish, NETWORK, ("network", *asked(wish)), {"StartInterval": 60, "WatchPaths": list(WATCHED)})
    return (
        _file("new network services ask blockerd too", daemon_path(NETWORK), job),
        *_start(machine, NETWORK),
    )


def _agent(machine: Mac, wish: Wish) -> tuple[Step, ...]:
    """Screen time of the one who installs, never of others: launchd starts the job in each session, and in another's it
    ends at once. The frontmost app needs no permission, and titles are not read.
    """
    person = machine.person
    if not wish.agent or person is None:
        return ()
    words = shlex.join((wish.places.program, "agent", "--socket", f"{AGENT_FOLDER}/agent.sock"))
    job = _plist(
        {
            "Label": AGENT,
            "ProgramArguments": ["/bin/sh", "-c", f'[ "$(id -u)" = {person.uid} ] || exit 0; exec {words}'],
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "LimitLoadToSessionType": "Aqua",
            "ProcessType": "Background",
            "Umask": 0o077,
        }
    )
    return (
        _file(f"screen time, of {person.name} alone", agent_path(), job),
        Command(
            f"screen time of {person.name} begins", ("launchctl", "bootstrap", f"gui/{person.uid}", agent_path()),
            ("launchctl", "bootout", f"gui/{person.uid}/{AGENT}"), may_fail=True,
        ),
    )  # fmt: skip


def _daemon(label: str, words: tuple[str, ...], more: dict[str, Any]) -> bytes:
    """A process that launchd starts again whenever it ends."""
    return _plist({
        "Label": label,
        "ProgramArguments": list(words),
        "RunAtLoad": True,
        "KeepAlive": True,
        "ExitTimeOut": 5,
        "ProcessType": "Interactive" if label == DNS else "Background",
        "StandardErrorPath": f"{LOGS}/{label.rpartition('.')[2]}.log",
        "Umask": 0o077,
        **more,
    })  # fmt: skip


def _job(wish: Wish, label: str, words: tuple[str, ...], when: dict[str, Any]) -> bytes:
    """Something short that launchd runs at its start and at certain times."""
    return _plist(
        {
            "Label": label,
            "ProgramArguments": [python(wish), "-m", "blockerd.system.macos_keep", *words],
            "RunAtLoad": True,
            "StandardErrorPath": f"{LOGS}/{label.rpartition('.')[2]}.log",
            "Umask": 0o077,
            **when,
        }
    )


def _file(title: str, path: str, content: bytes) -> File:
    """launchd takes no job that others than root may write."""
    return File(title, path, content, 0o644, OWNER)


def _plist(thing: dict[str, Any]) -> bytes:
    return plistlib.dumps(thing, sort_keys=False)


def _refuse(machine: Mac, wish: Wish) -> None:
    holders = [] if DNS in machine.loaded else in_the_way(machine, wish)
    if holders:
        named = "; ".join(dict.fromkeys(holder.named() for holder in holders))
        raise PlanError(
            f"port 53 is taken: {named}; switch Internet Sharing off or end that program, nothing was changed"
        )
    if not machine.services:
        raise PlanError("networksetup names no network service; nothing was changed")
    if wish.places.program.startswith(_PEOPLE):
        raise PlanError(
            f"{wish.places.program}: whoever can write there could act as root through it; make the environment "
            "under /opt or /Library/Application Support"
        )


def _notes(machine: Mac, wish: Wish) -> list[str]:
    off = [service.name for service in machine.services if not service.enabled]
    tunnels = [link.name for link in machine.links if link.tunnel]
    lines = [
        NEVER,
        "the filter runs as root: without a signed app macOS lets nobody else have port 53 on one address",
        "macOS may clear browser policies of an unmanaged Mac at a restart; chrome://policy shows what is in force",
    ]
    if wish.fallback:
        lines.append("--fallback has no effect on a Mac yet; launchd starts the filter again within 10 seconds")
    if tunnels:
        lines.append(f"a VPN names resolvers ({', '.join(tunnels)}): they answer first until it is reconnected, or off")
    unread = [browser.policy for browser in machine.lists if parsed(browser.content) is None]
    if unread:
        lines.append(f"no property list, left alone: {', '.join(unread)}")
    if off:
        lines.append(f"switched off, and set all the same for the day they are on: {', '.join(off)}")
    if wish.proxy and machine.root is None:
        lines.append("the page filter has no root yet: `blockerd proxy-ca install --by-hand` says how it is trusted")
    if wish.proxy and machine.root is not None:
        lines.append("macOS asks an administrator on the screen before it trusts the page filter's root")
    return lines


_FLUSH = (("dscacheutil", "-flushcache"), ("killall", "-HUP", "mDNSResponder"))
_PEOPLE = ("/Users/", "/home/", "/var/root/", "/private/")
_ROTATION = (
    b"# Written by blockerd; `blockerd uninstall` takes it away again.\n"
    b"# logfilename\t\tmode count size when flags\n"
    b"/var/log/blockerd/*.log\t600  3     512  *    GN\n"
)
