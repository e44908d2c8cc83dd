"""`portal open|close|status`: lets the sign-in page of a strange network come up, for some minutes, and nothing else.

The names by which systems notice a sign-in page, and those given here, are asked of the network's own resolver. Listed
names stay shut all the while. The window is on record, opened and closed, and shown by `status`.
"""

import argparse
import json
import socket
from typing import Any

from blockerd.cli.output import Stop, dump, say, settings_of
from blockerd.process import control_socket
from blockerd.settings import Settings


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command of this file."""
    portal = commands.add_parser("portal", help="a network's sign-in page may come up for a while", allow_abbrev=False)
    portal.add_argument("want", choices=["open", "close", "status"])
    portal.add_argument("names", nargs="*", metavar="NAME", help="with open: the sign-in page's own name")
    portal.set_defaults(run=run_portal)


def run_portal(args: argparse.Namespace) -> int:
    """Exit 0 done; `status` exits 1 while the window is closed."""
    if args.names and args.want != "open":
        raise Stop(f"portal {args.want}: names belong to `portal open`")
    got = _ask(settings_of(args), {"do": "portal", "want": args.want, "names": args.names})
    if "error" in got:
        raise Stop(f"portal {args.want}: {got['error']}")
    if args.json:
        dump(got)
    else:
        for line in lines(got):
            say(line)
    return 1 if args.want == "status" and not got["open"] else 0


def lines(got: dict[str, Any]) -> list[str]:
    """What a person reads."""
    if not got["open"]:
        return ["Sign-in window: closed. Every name goes the usual way."]
    found = [f"Sign-in window: open for {duration(got['seconds'])} ({got['why']}). Listed names stay shut."]
    if got["resolvers"]:
        found.append(f"Sign-in names are asked of {', '.join(got['resolvers'])}, which this network named.")
    else:
        found.append("This network has named no resolver, so sign-in names go the usual way too.")
    if got["names"]:
        found.append(f"Also asked there: {', '.join(got['names'])}")
    return found


def duration(seconds: int) -> str:
    """As a person says it: a minute at least counts as minutes."""
    minutes = (seconds + 59) // 60
    return f"{minutes} minute{'s' if minutes != 1 else ''}"


def _ask(settings: Settings, request: dict[str, Any]) -> dict[str, Any]:
    path = control_socket(settings)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(5)
            sock.connect(str(path))
            sock.sendall(json.dumps(request).encode() + b"\n")
            line = sock.makefile("rb").readline()
            got: dict[str, Any] = (
                json.loads(line) if line else {"error": "control hears the service user and root only"}
            )
            return got
    except PermissionError:
        raise Stop(f"{path}: this is for the service and root; try: sudo blockerd portal {request['want']}") from None
    except (OSError, ValueError):
        raise Stop("control does not answer; `blockerd status` says more", 1) from None
