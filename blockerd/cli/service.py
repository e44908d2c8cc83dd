"""`service dns` and `service control`: the same processes, and systemd hears when they are ready and whether they live.

A thread of the process asks the process itself, from outside as any program would, and tells the service manager only
what it saw: a loop that stands still is not alive. Started by the units of `system.units`.
"""

import argparse
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from blockerd.cli.output import settings_of
from blockerd.process import control_socket, share_heap
from blockerd.settings import OF_THE_RESOLVER, Settings
from blockerd.system import probe
from blockerd.system.drift import Answer
from blockerd.system.notify import Notifier

_ASK_EVERY = 0.2
_NAME = "alive.home.arpa"
"""Answered by the resolver itself, never recorded."""


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command of this file."""
    service = commands.add_parser("service", help="dns or control as a unit of systemd starts it", allow_abbrev=False)
    service.add_argument("process", choices=["dns", "control"])
    service.set_defaults(run=run_service)


def run_service(args: argparse.Namespace) -> int:
    """Runs the process to its end."""
    from blockerd.cli.processes import run_control, run_dns

    args.tables = OF_THE_RESOLVER if args.process == "dns" else None
    settings = settings_of(args)
    notifier = Notifier.from_environment(os.environ)
    share_heap()
    alive = {"dns": dns_alive, "control": control_alive}[args.process]
    threading.Thread(target=watch, args=(notifier, lambda: alive(settings)), daemon=True).start()
    return run_dns(args) if args.process == "dns" else run_control(args)


def watch(notifier: Notifier, alive: Callable[[], bool], pause: Callable[[float], None] = time.sleep) -> None:
    """Tells of readiness once, then of life at half the watchdog's time; a look that saw none is made again soon, so
    that one answer that came late ends nobody."""
    while not alive():
        pause(_ASK_EVERY)  # for its own first answer; the unit's TimeoutStartSec bounds the wait
    heard = notifier.tell("READY=1")
    seen = True
    while heard and notifier.every:
        pause(notifier.every if seen else _ASK_EVERY)
        seen = alive() and notifier.tell("WATCHDOG=1")


def dns_alive(settings: Settings) -> bool:
    """True if the resolver answers on its first address."""
    endpoint = settings.dns.listen[0]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(endpoint.host, endpoint.host)
    return probe.filtered(host, _NAME, endpoint.port) is not Answer.NONE


def control_alive(settings: Settings) -> bool:
    """True if `control` answers on its socket."""
    return "pid" in ask_control(settings)


def ask_control(settings: Settings) -> dict[str, Any]:
    """What `control` says of itself; empty where it says nothing."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(5)
            sock.connect(str(control_socket(settings)))
            sock.sendall(b'{"do": "status"}\n')
            got = json.loads(sock.makefile("rb").readline())
    except (OSError, ValueError):
        return {}
    return got if isinstance(got, dict) else {}
