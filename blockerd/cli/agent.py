"""`agent`: measures screen time in this login session and shows notices. One runs in each session, as its user."""

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockerd.cli.output import Stop, dump, say, settings_of, warn

PATIENCE = 20.0
"""Seconds for which an agent waits for a `control` that is just starting; then systemd starts it again later."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an agent goes by: where it is heard and keeps its buffers, which titles it keeps, and the address of
    blockerd's own proxy ("" none), which is no way round the filter."""

    state: Path
    socket: Path
    titles: bool
    hide: tuple[str, ...]
    own_proxy: str


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command of this file."""
    agent = commands.add_parser("agent", help="measure screen time in this session", allow_abbrev=False)
    agent.add_argument("--check", action="store_true", help="say what can be measured here, and end")
    agent.add_argument("--socket", type=Path, help="where control hears it and tells its settings")
    agent.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 nothing can be measured here, an agent runs already, or `control` does not answer."""
    import logging

    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    try:
        return _check(args) if args.check else _run(args)
    except ImportError as error:
        raise Stop(f"{error.name or error} is missing: install blockerd[agent]", 1) from None


def _run(args: argparse.Namespace) -> int:
    from blockerd.screentime.probe import choose

    choice = choose(os.environ, sys.platform)
    if choice.name in ("windows", "macos"):
        raise Stop(f"the agent does not run on {choice.why} yet; `blockerd agent --check` tries its probe", 1)
    from blockerd.screentime.agent import Setup, folder, main, open_buffer, session_key
    from blockerd.screentime.buffer import InUse
    from blockerd.screentime.probe import ProbeError, open_probe
    from blockerd.screentime.titles import HIDDEN, Rules

    if choice.name == "unknown":
        warn(f"screen time is unknown here: {choice.why}")
    bounds = _bounds(args)
    base = folder(bounds.state, os.environ)
    try:
        buffer = open_buffer(base, session_key(os.environ))
        probe = open_probe(choice, titles=bounds.titles)
    except InUse as error:
        raise Stop(f"blockerd agent is already running in this session ({error})", 1) from None
    except ProbeError as error:
        raise Stop(str(error), 1) from None
    except OSError as error:
        raise Stop(f"{base}: {error.strerror or error}; the agent needs a folder it may write to", 1) from None
    rules, own = Rules(bounds.titles, (*HIDDEN, *bounds.hide)), bounds.own_proxy
    main(Setup(choice.name, bounds.socket, rules, signs=lambda: _signs(Path.home(), own)), probe, buffer)
    return 0


def _bounds(args: argparse.Namespace) -> Bounds:
    """From the settings; with --socket from `control`, since after an install they are not for this user to read."""
    if args.socket:
        return _told(args.socket)
    settings = settings_of(args)
    own = str(settings.proxy.listen) if settings.proxy.enabled else ""
    heard = settings.state.dir / "run" / "control.sock"
    return Bounds(settings.state.dir, heard, settings.agent.titles, settings.agent.hide, own)


def _told(socket: Path) -> Bounds:
    import asyncio

    from blockerd.screentime.link import ask
    from blockerd.system.wish import Places

    end = time.monotonic() + PATIENCE
    while True:
        try:
            got = asyncio.run(ask(socket, {"do": "bounds"}, 10))
            hide = tuple(str(pattern) for pattern in got["hide"])
            return Bounds(Path(Places().state), socket, got["titles"] is True, hide, str(got["proxy"]))
        except (OSError, ValueError, KeyError, TypeError, TimeoutError) as error:
            if time.monotonic() > end:
                why = getattr(error, "strerror", "") or str(error) or "no answer"
                raise Stop(f"{socket}: {why}; nothing is measured before it answers", 1) from None
        time.sleep(1)  # nothing tells when it begins to listen; `end` bounds the wait


def _signs(home: Path, own_proxy: str) -> dict[str, str]:
    from blockerd.system.byhand import findings

    return {one.key: one.text for one in findings(home, own_proxy)}


def _check(args: argparse.Namespace) -> int:
    """What `doctor` says about screen time."""
    from blockerd.screentime.probe import ProbeError, choose, open_probe

    choice = choose(os.environ, sys.platform)
    trouble, app, idle = "" if choice.name != "unknown" else choice.why, False, False
    if not trouble:
        try:
            probe = open_probe(choice, titles=False)
            sample = probe.sample()
            probe.close()
            app, idle = sample.window is not None, sample.idle is not None
        except ProbeError as error:
            trouble = str(error)
    if args.json:
        dump({"probe": choice.name, "experimental": choice.experimental, "app": app, "idle": idle, "trouble": trouble})
    elif trouble:
        say(f"Screen time is unknown here: {trouble}")
    else:
        note = " (experimental: never tried on a real one)" if choice.experimental else ""
        say(f"{choice.why}{note}: the app in front is {_known(app)}, idle time is {_known(idle)}.")
    return 0 if app and idle else 1


def _known(known: bool) -> str:
    return "known" if known else "unknown"
