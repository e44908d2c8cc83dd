"""`export`, `backup`, `import` and `log erase`: the record in other forms, in one file, on another machine, or gone.

The person's own data, for the person: nothing is masked. Nothing here sends anything anywhere. `import` needs the
daemon to be stopped; `erase` asks it where it runs.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from blockerd import clock
from blockerd.cli.output import Stop, dump, say, settings_of, warn
from blockerd.cli.owner import as_oneself, may_read
from blockerd.cli.reading import moment, view
from blockerd.cli.time_record import name_of
from blockerd.journal import backup as copies
from blockerd.journal import export, forget, rotation
from blockerd.journal.append import Journal
from blockerd.journal.log import open_log
from blockerd.journal.outcome import DrainState
from blockerd.journal.schema import JournalError
from blockerd.journal.spool import Level
from blockerd.process import AlreadyRunning, Instance, control_socket, running_pid, spool_folder
from blockerd.screentime import store
from blockerd.settings import Settings

FORMATS = ("jsonl", "csv", "activitywatch", "leaves")
_FORMATS = "jsonl has everything, csv the attempts, leaves the log's hashes alone, which a reader's checker takes"
_ERASE_SECONDS = 600.0


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands of this file but `log erase`."""
    out = commands.add_parser("export", help="your record as JSON Lines, CSV or ActivityWatch", allow_abbrev=False)
    out.add_argument("--format", choices=FORMATS, default="jsonl", help=_FORMATS)
    out.add_argument("--since", metavar="WHEN", help="from then on: 7d (ago), 2026-11-22, 2026-11-22T18:00:00Z")
    out.add_argument("--until", metavar="WHEN", help="up to then; a date means to the end of that day")
    out.add_argument("--out", metavar="FILE", help="a new file, for you alone; without it standard output")
    out.set_defaults(run=run_export)
    backup = commands.add_parser("backup", help="the whole journal as one file", allow_abbrev=False)
    backup.add_argument("file", nargs="?", help="a new file; without it one in the state folder")
    backup.set_defaults(run=run_backup)
    back = commands.add_parser("import", help="take the journal from a backup", allow_abbrev=False)
    back.add_argument("file", help="a file that `blockerd backup` wrote, here or on another machine")
    back.set_defaults(run=run_import)


def add_erase(log: argparse.ArgumentParser) -> "argparse._SubParsersAction[Any]":
    """Adds `erase` to the command `log`, and gives what further words are added to."""
    words = log.add_subparsers(dest="word", metavar="WORD")
    gone = words.add_parser("erase", help="forget everything that was recorded, now", allow_abbrev=False)
    gone.add_argument("--yes", action="store_true", help="do not ask")
    gone.set_defaults(run=run_erase)
    return words


def run_export(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 the journal cannot be read, 2 a time or file that cannot be."""
    settings = settings_of(args)
    zone, now = ZoneInfo(settings.time.zone), clock.now_us()
    since = moment("--since", args.since, zone, now) if args.since else 0
    until = moment("--until", args.until, zone, now, whole_day=True) if args.until else 1 << 62
    try:
        with _out(args.out) as file, view(settings) as record:
            if args.format == "leaves":
                _write(file, _leaves(record.query))
                return 0
            attempts, screen = record.attempts(since, until), list(store.records(record.query, since, until))
            users = {agent: name_of(uid) for agent, (uid, _) in store.agents(record.query).items()}
            if args.format == "csv":
                _write(file, export.csv_lines(attempts))
            elif args.format == "jsonl":
                _write(file, export.json_lines(attempts, record.entries(since, until), screen, users))
            else:
                json.dump(export.activitywatch(attempts, screen, users, platform.node(), now), file, ensure_ascii=False)
                file.write("\n")
    except JournalError as error:
        raise Stop(str(error), 1) from None
    if args.out:
        say(f"written to {args.out}, for you alone; it holds names in full")
    return 0


def run_backup(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 there is nothing to copy or it cannot be read, 2 the file is there or cannot be made."""
    settings = settings_of(args)
    target = Path(args.file) if args.file else _default(settings)
    try:
        if not args.file:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with as_oneself() if args.file else nullcontext():
            state = copies.backup(_journal(settings), target)
    except JournalError as error:
        raise Stop(str(error), 1) from None
    except FileExistsError:
        raise Stop(f"{target}: is there already; name a new file") from None
    except OSError as error:
        raise Stop(f"{target}: {error.strerror or error}; name a place that you may write to") from None
    if args.json:
        dump({"file": str(target), "log": state.log, "leaves": state.size, "root": state.root.hex()})
    else:
        say(f"{target}: {state.size:,} entries of log {state.log}")
        if args.file:
            say("`blockerd log erase` does not reach copies that lie elsewhere: delete them when their time comes.")
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 the file is no sound backup, 2 the daemon runs or a file cannot be written."""
    settings = settings_of(args)
    hold(settings, "import")
    try:
        with _readable(Path(args.file), _journal(settings)) as source:
            state = copies.restore(_journal(settings), source, clock.now_us())
    except JournalError as error:
        raise Stop(str(error), 1) from None
    except OSError as error:
        raise Stop(f"{settings.state.dir}: {error.strerror or error}; the journal stays as it was") from None
    if args.json:
        dump({"log": state.log, "leaves": state.size, "root": state.root.hex()})
    else:
        say(f"taken: log {state.log} goes on with {state.size:,} entries; that it was moved or restored is one of them")
    if _signed_elsewhere(settings, state.log):
        key = rotation.key_file(settings.state.dir, state.log)
        warn(f"its key is not in a backup: copy {key.name} from the old machine's state folder to {key.parent}")
        warn("Without it the next mail says that the record does not continue.")
    return 0


def run_erase(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 it could not be done now, 2 not confirmed."""
    settings = settings_of(args)
    if not args.yes:
        _confirm()
    if running_pid(settings, "control"):
        kinds = _asked(settings)
    else:
        hold(settings, "log erase")
        kinds = _erased(settings)
    if args.json:
        dump({"removed": kinds})
    else:
        told = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items())) or "nothing was there"
        say(f"Forgotten: {told}. The next note says how many entries were removed, and nothing else about them.")
    return 0


def _signed_elsewhere(settings: Settings, log: str) -> bool:
    """True if heads of this log were signed and the key that did it is not here."""
    with open_log(_journal(settings)) as taken:
        return bool(taken and taken.heads()) and not rotation.key_file(settings.state.dir, log).exists()


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise Stop("log erase: nobody to ask; add --yes")
    warn("This removes all recorded attempts, changes and daily figures from this machine. It cannot be taken back.")
    sys.stderr.write("Write erase to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != "erase":
        raise Stop("log erase: nothing was removed")


def _asked(settings: Settings) -> dict[str, int]:
    """What the running control removed."""
    return {str(kind): int(count) for kind, count in asked(settings, "erase", "log erase")["removed"].items()}


def asked(settings: Settings, do: str, what: str) -> dict[str, Any]:
    """The answer of the running control to `{"do": do}`; Stop, naming the command `what`, where it is no good one."""
    path = control_socket(settings)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_ERASE_SECONDS)
            sock.connect(str(path))
            sock.sendall(json.dumps({"do": do}).encode() + b"\n")
            got = json.loads(sock.makefile("rb").readline())
    except (OSError, ValueError) as error:
        raise Stop(f"{path}: no answer ({error}); end the daemon and try again", 1) from None
    if "error" in got:
        raise Stop(f"{what}: {got['error']}", 1)
    return dict(got)


def _erased(settings: Settings) -> dict[str, int]:
    spool = spool_folder(settings)
    try:
        journal = Journal(_journal(settings), clock.now_us)
        drained = journal.drain(spool, level=Level(settings.privacy.level))
        if drained.state != DrainState.OK:
            raise Stop(drained.message, 1)
        removed = forget.erase(journal, spool, clock.now_us())
        if not forget.scrub(journal):
            warn("another program still reads the old journal: what it holds goes when that program ends")
        journal.close()
    except (JournalError, OSError) as error:
        raise Stop(str(error), 1) from None
    if removed.left:
        raise Stop("; ".join(removed.left), 1)
    return removed.kinds


def hold(settings: Settings, what: str) -> None:
    """Holds the place of `control` until this command ends."""
    try:
        _HELD.append(Instance(settings, "control"))
    except AlreadyRunning as error:
        raise Stop(f"{what}: {error}; stop it first") from None


_HELD: list[Instance] = []
"""Locks of this process: kept until it ends."""


@contextmanager
def _readable(file: Path, journal: Path) -> Iterator[Path]:
    """`file`, or a copy of it beside the journal where root named one that the owner of the journal may not read."""
    if may_read(file):
        yield file
        return
    copy = journal.with_name(f"{journal.name}.taken")
    with as_oneself():
        source = file.open("rb")
    with source:
        copy.unlink(missing_ok=True)
        try:
            with copy.open("xb") as target:
                shutil.copyfileobj(source, target)
            yield copy
        finally:
            copy.unlink(missing_ok=True)


@contextmanager
def _out(name: str | None) -> Iterator[TextIO]:
    """A new file for its owner alone, or standard output."""
    if name is None:
        yield sys.stdout
        return
    try:
        with as_oneself():
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Stop(f"{name}: {error.strerror}; name a new file in a place that you may write to") from None
    try:
        with os.fdopen(fd, "w", encoding="utf-8", newline="") as file:
            yield file
    except BaseException:  # half of it is no export
        with as_oneself():
            os.unlink(name)
        raise


def _leaves(query: Callable[[str], Iterable[tuple[Any, ...]]]) -> Iterator[str]:
    """A line for each entry of the log, as `verify.py --leaves` reads it."""
    for at, (n, commitment) in enumerate(query("SELECT n, hash FROM commitments ORDER BY n")):
        if not at and n:
            warn(f"entries before number {n} are more than a year old: their hashes are gone, the checker needs them")
        yield f"{n} {bytes(commitment).hex()}\n"


def _write(file: TextIO, lines: Iterable[str]) -> None:
    for line in lines:
        file.write(line)


def _journal(settings: Settings) -> Path:
    return settings.state.dir / "journal.sqlite"


def _default(settings: Settings) -> Path:
    stamp = clock.utc(clock.now()).strftime("%Y%m%dT%H%M%SZ")
    return settings.state.dir / forget.BACKUPS / f"journal-{stamp}.sqlite"
