"""`run`, `dns`, `control`: the daemon in the foreground, or one of its processes alone."""

import argparse
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from blockerd.cli import owner
from blockerd.cli.output import Stop, bold, path_of, say, settings_of, warn
from blockerd.process import ENV_LIFE, AlreadyRunning, Instance, Lifeline, share_heap
from blockerd.settings import OF_THE_RESOLVER, Endpoint, Settings, load


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands of this file."""
    run = commands.add_parser("run", help="the daemon in the foreground: DNS filter and journal", allow_abbrev=False)
    run.set_defaults(run=run_daemon)
    dns = commands.add_parser("dns", help="the DNS process alone", allow_abbrev=False)
    dns.set_defaults(run=run_dns, tables=OF_THE_RESOLVER)
    control = commands.add_parser("control", help="the journal and control process alone", allow_abbrev=False)
    control.set_defaults(run=run_control)


def run_daemon(args: argparse.Namespace) -> int:
    """Builds the policy where it is missing or out of date, then supervises dns, control and the proxy."""
    settings = settings_of(args)
    _log()
    _only(settings, "run")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the supervisor listens: the build reads everything anyway
    _build(settings)
    _tell_what_happens(settings)
    from blockerd.supervisor import PROXY, Supervisor

    arguments = ["--config", str(settings.path)] if settings.path else []
    with owner.as_oneself():  # each child gives root up by itself, once it has its ports
        return Supervisor(arguments, warn, [PROXY] if settings.proxy.enabled else []).run()


def run_dns(args: argparse.Namespace) -> int:
    """One resolver process."""
    settings = settings_of(args)
    _log()
    for problem in settings.passed:
        warn(f"{problem} (names are answered all the same; nothing else starts before it is mended)")
    _only(settings, "dns")
    from blockerd.dns.process import main
    from blockerd.dns.sockets import BindError, bind
    from blockerd.lists.guard import GuardError

    def listen(endpoints: Sequence[Endpoint]) -> list[tuple[socket.socket, socket.socket]]:
        with owner.as_oneself():
            pairs = bind(endpoints)
        owner.for_good(settings.state.dir)
        return pairs

    try:
        main(settings, _reload(args), Lifeline.from_environment(), listen)
    except GuardError as error:
        raise Stop(str(error)) from None
    except BindError as error:
        raise Stop(
            f"{error.strerror}{_holders(settings)}; choose another in dns.listen or end the other program"
        ) from None
    return 0


def run_control(args: argparse.Namespace) -> int:
    """One control process."""
    settings = settings_of(args)
    _log()
    owner.for_good(settings.state.dir)
    _only(settings, "control")
    share_heap()
    from blockerd.control.process import main

    main(settings, _reload(args), Lifeline.from_environment())
    return 0


def _reload(args: argparse.Namespace) -> Callable[[], Settings]:
    """Reads the configuration again, as at the start.

    Raises (when called):
        ConfigError: it is missing or not readable now.
    """
    return lambda: load(path_of(args), os.environ, Path.cwd())


def _log() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)


def _only(settings: Settings, what: str) -> Instance:
    """Holds the one instance for as long as the process lives.

    Raises:
        Stop: another one runs, or the state folder takes no file.
    """
    try:
        # A supervised child follows another, which may not have ended yet, and a unit may meet a look at who runs.
        follows = {ENV_LIFE, "NOTIFY_SOCKET"} & os.environ.keys()
        instance = Instance(settings, what, 2.5 if follows else 0.1)
    except AlreadyRunning as error:
        raise Stop(f"{error}; state folder {settings.state.dir}; stop that one first") from None
    except OSError as error:
        raise Stop(f"{settings.state.dir}: {error.strerror}; name a folder you may write to in state.dir") from None
    _HELD.append(instance)
    return instance


_HELD: list[Instance] = []
"""Locks of this process: kept until it ends."""


def _build(settings: Settings) -> None:
    from blockerd.lists.build import inputs_changed
    from blockerd.lists.guard import GuardError

    try:
        changed = inputs_changed(settings)
    except GuardError as error:
        raise Stop(str(error)) from None
    except OSError:
        changed = True  # `lists build` meets the same and tells it
    words = [sys.executable, "-m", "blockerd", "lists", "build", *([] if changed else ["--quiet"])]
    if settings.path:
        words += ["--config", str(settings.path)]
    if _wait_for(subprocess.Popen(words, stdout=sys.stderr)):
        warn("the lists could not be built; the last good policy is used where there is one")


def _wait_for(process: subprocess.Popen[bytes]) -> int:
    """The exit code of `process`; SIGTERM ends it together with this one."""

    def end(*_: object) -> None:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        return process.wait()
    except SystemExit:
        process.terminate()
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell_what_happens(settings: Settings) -> None:
    """The first words of a start: what is recorded, where, and that nothing is sent to anyone."""
    say(bold("blockerd") + " filters names on " + ", ".join(map(str, settings.dns.listen)))
    say(f"Blocked: {', '.join(settings.lists.categories) or 'nothing but the test name'}. Other questions go to "
        + ", ".join(map(str, settings.dns.upstreams)) + ".")  # fmt: skip
    if settings.proxy.enabled:
        say(f"Pages are filtered for programs that use the proxy {settings.proxy.listen} ({settings.proxy.mode}).")
    level = settings.privacy.level
    say(f"Recorded on this machine, in {settings.state.dir}: attempts at listed sites, at level {level}.")
    say(said_to_be_shared(settings))
    say("Look at it with `blockerd log` and `blockerd report preview`; end with Ctrl-C.")
    sys.stdout.flush()


def said_to_be_shared(settings: Settings) -> str:
    """Who may read notes; nobody without the person's consent."""
    from blockerd.report import consent

    names = ", ".join(one.name for one in settings.report.partner)
    try:
        if not names or consent.read(settings.state.dir) is None:
            return "Nothing is shared with anyone."
    except OSError as error:
        return f"Nothing is shared while {error.filename} cannot be read: {error.strerror}."
    return f"Notes go to {names}, as far as they said yes: blockerd partner ls."


def _holders(settings: Settings) -> str:
    """Who listens on our ports, where the system shows it: ", held by NAME (pid N)"."""
    try:
        import psutil
    except ImportError:
        return ""
    found: list[str] = []
    try:
        for connection in psutil.net_connections("inet"):
            local = connection.laddr
            if local and connection.pid and _ours(settings.dns.listen, local.ip, local.port):
                text = f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
                if text not in found:
                    found.append(text)
    except psutil.Error:
        return ""
    return f", held by {', '.join(found)}" if found else ""


def _ours(endpoints: Sequence[Endpoint], address: str, port: int) -> bool:
    return any(port == endpoint.port and address in (endpoint.host, "0.0.0.0", "::") for endpoint in endpoints)
