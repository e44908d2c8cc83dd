"""`status`, `healthcheck`, `version`: is this machine's filter answering, and by what policy."""

import argparse
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import blockerd
from blockerd import clock
from blockerd.cli import owner
from blockerd.cli.output import bold, columns, dump, path_of, say, settings_of
from blockerd.cli.portal import duration
from blockerd.control.networks import read_state
from blockerd.dns import front
from blockerd.lists.snapshot import read_pointer
from blockerd.lists.watch import notes
from blockerd.model import TEST_NAME
from blockerd.policy.name import from_text
from blockerd.process import boot_id, control_socket, running_pid
from blockerd.proxy import standing
from blockerd.settings import SYSTEM_FILE, ConfigError, ConfigUnreadable, Endpoint, Settings, load
from blockerd.system import selfprobe
from blockerd.system.manifest import Manifest

USUAL: tuple[Endpoint, ...] = (Endpoint("127.0.0.1", 53), Endpoint("::1", 53))
"""Where an installed filter listens, for whoever may not read its settings."""

HIDDEN = "settings and record are for the service and root: sudo blockerd status says the rest"


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands of this file."""
    status = commands.add_parser("status", help="is the filter protecting; exit 1 if not", allow_abbrev=False)
    status.set_defaults(run=run_status)
    health = commands.add_parser(
        "healthcheck", help="for containers: exit 0 if it answers and blocks", allow_abbrev=False
    )
    health.set_defaults(run=run_health)
    version = commands.add_parser("version", help="the version", allow_abbrev=False)
    version.set_defaults(run=run_version)


def run_version(args: argparse.Namespace) -> int:
    """Prints the version."""
    if args.json:
        dump({"version": blockerd.__version__})
    else:
        say(f"blockerd {blockerd.__version__}")
    return 0


def run_health(args: argparse.Namespace) -> int:
    """Asks every address for the test name over UDP."""
    settings = settings_of(args)
    results = {str(endpoint): blocks(endpoint) for endpoint in settings.dns.listen}
    if args.json:
        dump({"healthy": any(results.values()), "addresses": results})
    else:
        for address, good in results.items():
            say(f"{address}: {'blocks the test name' if good else 'does not answer as it should'}")
    return 0 if any(results.values()) else 1


def run_status(args: argparse.Namespace) -> int:
    """Says whether the filter is protecting, and the figures behind it."""
    if listen := _hidden(args):
        return _from_outside(args, listen)
    settings = settings_of(args)
    report = _report(settings)
    if args.json:
        dump(report)
        return 0 if report["protecting"] else 1
    say(bold("Protecting." if report["protecting"] else "Not protecting: the filter does not answer."))
    counters = report["counters"]
    rows = [
        ("Addresses", ", ".join(report["listen"])),
        ("Blocked categories", ", ".join(settings.lists.categories) or "none"),
        ("Policy", f"{report['generation']}, change {report['state']}" if report["generation"] else "none yet"),
        ("Processes", ", ".join(f"{name} {pid or 'not running'}" for name, pid in report["pids"].items())),
        *([("Pages", _pages(settings, report["proxy"]))] if settings.proxy.enabled else []),
        ("Since start", f"{counters.get('queries', 0):,} questions" if counters else "unknown"),
        ("Journal", report["journal"] or "in order"),
        *(
            [("Account", "another one is in front: filtered, not recorded (is it yours too? name it in agent.users)")]
            if report["another_account"]
            else []
        ),
        *_roads(report["portal"], report["vpn"]),
        *([("Notes", report["mail"])] if report["mail"] else []),
    ]
    for line in columns(rows):
        say(line)
    for note in (report["problem"], report["proxy"].get("problem", ""), *report["notes"]):
        if note:
            say(f"Note: {note}")
    return 0 if report["protecting"] else 1


def _hidden(args: argparse.Namespace) -> Sequence[Endpoint]:
    """Where the filter listens, where settings or state are not for this user; empty where they are."""
    try:
        settings = load(path_of(args), os.environ, Path.cwd())
    except ConfigUnreadable:
        return USUAL
    except ConfigError:
        return ()
    return () if may_look(settings.state.dir) else settings.dns.listen


def may_look(state: Path) -> bool:
    """False where the state is there and this user may not look into it."""
    try:
        os.listdir(state / "run")
    except PermissionError:
        return False
    except OSError:
        return True
    return True


def _from_outside(args: argparse.Namespace, listen: Sequence[Endpoint]) -> int:
    """What everybody on this machine can see: whether the filter answers, and whether it is asked."""
    report = {
        "protecting": any(blocks(endpoint) for endpoint in listen),
        "listen": [str(endpoint) for endpoint in listen],
        "probe_seconds": None if (probed := selfprobe.read()) is None else max(0.0, clock.now() - probed.at / 1e6),
        "notes": [HIDDEN],
        "version": blockerd.__version__,
    }  # fmt: skip
    if args.json:
        dump(report)
        return 0 if report["protecting"] else 1
    say(bold("Protecting." if report["protecting"] else "Not protecting: the filter does not answer."))
    say(f"Addresses  {', '.join(map(str, listen))}")
    say(f"Note: {HIDDEN}")
    return 0 if report["protecting"] else 1


def _report(settings: Settings) -> dict[str, Any]:
    pointer = read_pointer(settings.state.dir)
    also = ("proxy",) if settings.proxy.enabled else ()
    pids = {name: running_pid(settings, name) for name in ("dns", "control", *also)}
    live = _dns_status(settings) if pids["dns"] else {}
    control = _ask_control(settings) if pids["control"] else {"trouble": "control is not running"}
    around = read_state(settings)
    return {
        "protecting": any(blocks(endpoint) for endpoint in settings.dns.listen),
        "listen": [str(endpoint) for endpoint in settings.dns.listen],
        "generation": live.get("generation") or (pointer.generation if pointer else 0),
        "state": live.get("state") or (pointer.number if pointer else 0),
        "pids": pids,
        "counters": live.get("counters", {}),
        "problem": live.get("problem", ""),
        "journal": control.get("trouble", ""),
        "mail": control.get("notes", ""),
        "proxy": standing.live(settings) if pids.get("proxy") else {},
        "notes": [*notes(settings), *standing.lacks(settings, clock.now()), *_another(settings)],
        "portal": {key: around[key] for key in ("open", "seconds", "why")},
        "vpn": around["vpn"],
        "another_account": clock.boottime_us() < front.read(settings.state.dir / "run" / front.FILE, boot_id()),
        "version": blockerd.__version__,
    }


def _another(settings: Settings) -> list[str]:
    """A word where this is not the blockerd that was installed in the system."""
    if settings.path in (None, SYSTEM_FILE) or owner.is_root() or owner.became() or not Manifest(Path("/")).exists():
        return []
    return [f"this is about {settings.path}; about the blockerd installed in this system: sudo blockerd status"]


def _roads(portal: dict[str, Any], vpn: list[str]) -> list[tuple[str, str]]:
    """Lines about what is asked elsewhere; none where nothing is."""
    found = []
    if portal["open"]:
        left = duration(portal["seconds"])
        found.append(("Sign-in window", f"open for {left} ({portal['why']}); listed names stay shut"))
    if vpn:
        found.append(("VPN", f"{', '.join(vpn)} is up; its hours are recorded"))
    return found


def _pages(settings: Settings, live: dict[str, Any]) -> str:
    counted = live.get("counters", {})
    if not counted:
        return f"{settings.proxy.listen}, not running"
    what = ("passed untouched", counted["passed"]), ("opened", counted["opened"]), ("withheld", counted["blocked"])
    return f"{settings.proxy.listen}: " + ", ".join(f"{number:,} {word}" for word, number in what)


def _dns_status(settings: Settings) -> dict[str, Any]:
    try:
        got = json.loads((settings.state.dir / "run" / "dns.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return got if isinstance(got, dict) else {}


def _ask_control(settings: Settings) -> dict[str, Any]:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(2)
            sock.connect(str(control_socket(settings)))
            sock.sendall(b'{"do": "status"}\n')
            got = json.loads(sock.makefile("rb").readline())
    except (OSError, ValueError):
        return {"trouble": "control does not answer"}
    return got if isinstance(got, dict) else {}


def blocks(endpoint: Endpoint, timeout: float = 1.0) -> bool:
    """True if the resolver at `endpoint` withholds the test name, asked over UDP as any program would."""
    query = _ASKED + from_text(TEST_NAME) + b"\x00\x01\x00\x01" + _EDNS
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.connect((endpoint.host, endpoint.port))
            sock.send(query)
            answer = sock.recv(1500)
    except OSError:
        return False
    return len(answer) > 12 and answer[:2] == query[:2] and any(error in answer for error in _FILTERED)


_ASKED = b"\x42\x44\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"
_EDNS = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
_FILTERED = (b"\x00\x0f\x00\x02\x00\x11", b"\x00\x0f\x00\x02\x00\x04")
"""Extended DNS Errors 17 and 4 (RFC 8914): what tells our answer from that of any resolver, for which the name does not
exist either."""
