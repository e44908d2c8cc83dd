"""What install, uninstall, doctor and setup ask of the machine: does the filter answer, do programs ask it, does a
name resolve.

Waits for a condition, with a limit. Changes nothing. Called by the commands beside it.
"""

import argparse
import os
import secrets
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from blockerd.model import TEST_NAME
from blockerd.settings import Settings
from blockerd.system import probe
from blockerd.system.drift import OURS, Answer
from blockerd.system.picture import Machine
from blockerd.system.wish import BrowserWish, Places, Way, Wish

REAL_NAME = probe.RESERVED


def wish_of(settings: Settings, args: argparse.Namespace, machine: Machine) -> Wish:
    """What the settings and the command line ask for."""
    del machine
    places, listen = Places(program=str(program())), Wish().listen  # before `setup`: as it would make them
    if settings.path is not None:
        places = replace(places, config=str(settings.path), state=str(settings.state.dir))
        listen = tuple(endpoint.host for endpoint in settings.dns.listen if endpoint.port == 53)
    return Wish(
        places=places,
        listen=listen,
        way=Way[args.way.upper()] if args.way else None,
        belt=not args.no_belt,
        chat_ports=args.chat_ports,
        fallback=args.fallback,
        proxy=settings.proxy.enabled,
        proxy_address=str(settings.proxy.listen) if settings.proxy.enabled else "",
        agent=find_spec("jeepney") is not None,
        person=os.environ.get("SUDO_USER", ""),
        browsers=None
        if args.no_browsers
        else BrowserWish(
            safe_search=settings.dns.safe_search, private_mode=args.private_mode, quic=settings.proxy.enabled
        ),
    )


def program() -> Path:
    """The `blockerd` command of this environment."""
    return Path(sys.executable).with_name("blockerd")


def proves(settings: Settings, seconds: float = 20.0) -> str:
    """ "" once the filter refuses the test name and programs ask it; else what is missing after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        trouble = _trouble(settings)
        if not trouble or time.monotonic() > end:
            return trouble


def _trouble(settings: Settings) -> str:
    for endpoint in settings.dns.listen:
        answer = probe.filtered(endpoint.host, TEST_NAME, endpoint.port)
        if answer is not Answer.FILTERED:
            time.sleep(0.2)  # nothing tells when it begins to answer; `proves` bounds the wait
            return f"{endpoint}: the filter does not refuse the test name ({answer})"
    said = probe.system_path(lambda: secrets.token_hex(8), 8.0)
    if any(each in OURS for each in said):
        return ""
    if all(each == "again" for each in said):
        return "programs get no answer from blockerd"
    return f"programs do not ask blockerd (a made-up name: {said[0]})"


def resolves(seconds: float = 5.0) -> bool:
    """True if REAL_NAME has an address, asked the way programs do, within `seconds`."""
    end = time.monotonic() + seconds
    while True:
        if probe.lookup([REAL_NAME], max(1.0, end - time.monotonic()))[0].startswith("there"):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.3)  # a network that is just coming back; `end` bounds the wait
