"""Does a plan step by step and takes it back: each change is in the manifest before it is made.

Works on files under `root`, "/" on the machine itself, and hands commands to a runner. Refuses to overwrite a file that
changed since the plan was made. Called by `cli.install` and `cli.setup`; what follows an ApplyError is theirs to say.
"""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from pathlib import Path

from blockerd.system.manifest import Manifest
from blockerd.system.merge import taken_out
from blockerd.system.steps import Before, Command, File, Folder, Foreign, Link, Owned, Step, Undo, digest

Runner = Callable[[Sequence[str]], tuple[int, str]]
"""Runs a command of the system: exit code (127 where there is no such command) and what it said."""

MARK = b"blockerd"
"""Stands in the first line of every text file we write whole."""

_BESIDE = ".blockerd-new"
_SECONDS = 90.0


class Moment(Enum):
    """Where in a step the work is; a test ends the process at each of them."""

    LOOKED = "nothing kept yet"
    KEPT = "the way back is kept"
    HALF = "the new content lies beside"
    DONE = "changed"
    BACK = "taken back"


Watch = Callable[[int, Moment], None]


class ApplyError(Exception):
    """A step could not be done; the text names it and the reason in one line."""


def run(words: Sequence[str], seconds: float = _SECONDS) -> tuple[int, str]:
    """Runs a command in the C locale for at most `seconds`.

    A start that systemd refuses only because there were five in ten seconds (systemd.unit(5), StartLimitBurst=) is made
    all the same: a resolver that it leaves dead would leave the machine without names.
    """
    code, said = _ran(words, seconds)
    if code and words[0] == "systemctl" and words[1] in _STARTS and _too_often(words[-1], seconds):
        _ran(("systemctl", "reset-failed", words[-1]), seconds)
        code, said = _ran(("systemctl", "restart", words[-1]), seconds)
    return code, said


_STARTS = ("start", "restart", "try-restart", "try-reload-or-restart")


def _too_often(unit: str, seconds: float) -> bool:
    return _ran(("systemctl", "show", "--property=Result", "--value", unit), seconds) == (0, "start-limit-hit")


def _ran(words: Sequence[str], seconds: float) -> tuple[int, str]:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
    path = f"{environment.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"
    try:
        done = subprocess.run(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
            errors="replace", timeout=seconds, check=False, env={**environment, "PATH": path},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 124, f"no end within {seconds:.0f} s"
    except OSError as error:
        return 127, str(error.strerror)
    return done.returncode, done.stdout.strip()


def no_commands(words: Sequence[str]) -> tuple[int, str]:
    """The runner for a tree that is no running machine: a command is taken as done."""
    del words
    return 0, ""


def _nobody(step: int, moment: Moment) -> None:
    del step, moment


class Applier:
    """Does and undoes steps on the files under `root`."""

    def __init__(self, root: Path, runner: Runner = run, watch: Watch = _nobody) -> None:
        self.root = root
        self.manifest = Manifest(root)
        self._run = runner
        self._watch = watch

    def at(self, path: str) -> Path:
        """The path of the machine under this root."""
        return self.root / path.lstrip("/")

    def apply(self, steps: Sequence[Step]) -> None:
        """Does every step; the caller notes the end with `manifest.finish` once it has looked that all is well.

        Raises:
            ApplyError: one could not be done; those before it are done and in the manifest.
        """
        try:
            self.manifest.begin()
        except OSError as error:
            raise ApplyError(f"{self.manifest.folder}: {error.strerror}; nothing was changed") from None
        for number, step in enumerate(steps):
            try:
                self._step(number, step)
            except OSError as error:
                where = error.filename or ""
                raise ApplyError(f"{step.title}: {where}: {error.strerror}") from None

    def _step(self, number: int, step: Step) -> None:
        undo = self._look(step)
        self._watch(number, Moment.LOOKED)
        self.manifest.add(undo)
        self._watch(number, Moment.KEPT)
        match step:
            case File():
                self._write(step, undo, lambda: self._watch(number, Moment.HALF))
            case Link():
                _make_folders(self.root, undo.made)
                _put_link(self.at(step.path), step.target)
            case Folder():
                _make_folders(self.root, undo.made)
                if undo.before.kind == "absent":
                    self.at(step.path).mkdir(exist_ok=True)
                    self.at(step.path).chmod(step.mode)
            case Owned():
                self._hand_over(step, undo)
            case Command():
                self._command(step)
        self._watch(number, Moment.DONE)

    def _look(self, step: Step) -> Undo:
        """What takes `step` back.

        Raises:
            ApplyError: the file is not the one the plan was made for.
        """
        if isinstance(step, Command):
            beside = tuple((path, look(self.at(path))) for path in step.beside)
            return Undo(step.title, "command", beside=beside, command=step.inverse, data=step.data)
        if isinstance(step, Owned):
            return Undo(step.title, "owners" if step.below else "owner", step.path, owner_of(self.at(step.path)))
        before = look(self.at(step.path))
        made = _missing(self.root, step.path)
        if isinstance(step, Folder):
            return Undo(step.title, "folder", step.path, before, made=made, data=step.data)
        if isinstance(step, Link):
            return Undo(
                step.title, "link", step.path, before, made=made, ours=step.target, foreign=step.foreign, data=step.data
            )
        now = digest(before.content) if before.kind == "file" else ""
        if step.expect is not None and now != step.expect:
            raise ApplyError(f"{step.title}: {step.path} has changed since the look; start again")
        added = step.content.decode("utf-8") if step.foreign is Foreign.UNMERGE else ""
        return Undo(
            step.title, "file", step.path, before, made=made, ours=digest(step.content), added=added,
            foreign=step.foreign, data=step.data,
        )  # fmt: skip

    def _write(self, step: File, undo: Undo, half: Callable[[], None]) -> None:
        _make_folders(self.root, undo.made)
        path = self.at(step.path)
        _put_file(path, step.content, step.mode, lambda at: _own(self.root, at, step.owner), half)

    def _hand_over(self, step: Owned, undo: Undo) -> None:
        if undo.before.kind == "absent":
            return
        uid, gid = _numbers(self.root, step.owner, self.at(step.path))
        _give(self.at(step.path), replace(undo.before, mode=step.mode, uid=uid, gid=gid), below=step.below)

    def _command(self, step: Command) -> None:
        if not step.forward:
            return
        code, said = self._run(step.forward)
        if code and not step.may_fail:
            why = self._why(step.forward, said) or f"ended with {code}"
            raise ApplyError(f"{step.title}: {' '.join(step.forward)}: {why}")

    def _why(self, words: Sequence[str], said: str) -> str:
        """The last line of what a command said. systemctl's only says where to read on, so of a service that does not
        start it is the first, with what the service itself said last.
        """
        lines = said.splitlines() or [""]
        if words[0] != "systemctl" or len(lines) < 2:
            return lines[-1]
        _, own = self._run((*_LAST_WORDS, f"_SYSTEMD_UNIT={words[-1]}"))
        return " ".join([lines[0], *own.splitlines()[-1:]])

    def undo(
        self,
        *,
        data: bool,
        tell: Callable[[str], None],
        only: Callable[[Undo], bool] = lambda _: True,
        forget: bool = True,
        since: int = 0,
    ) -> list[Undo]:
        """Takes back what the manifest has, last first, and returns what could not be; goes on whatever happens.

        With `data` False what belongs to the person stays, and so does the part of the manifest that speaks of it.
        `only` picks a part; with `forget` False the manifest stays whole, and all of it can be taken back again.
        What the manifest had before the one number `since` stays: an install before this one.

        Raises:
            ManifestError: the manifest cannot be read.
        """
        undos = self.manifest.undos()
        self.manifest.make_room()
        left, troubles = set(range(since)), []
        for number, undo in reversed(list(enumerate(undos))[since:]):
            if (undo.data and not data) or not only(undo):
                left.add(number)
                continue
            try:
                self._undo(undo, tell)
            except OSError as error:
                tell(f"{undo.title}: {error.filename or undo.path}: {error.strerror}")
                left.add(number)
                troubles.append(undo)
            self._watch(number, Moment.BACK)
        if forget:
            os.sync()  # what came back may lie on another filesystem, and must be there before the manifest goes
            self.manifest.keep_only((undo for number, undo in enumerate(undos) if number in left), since)
        return troubles

    def _undo(self, undo: Undo, tell: Callable[[str], None]) -> None:
        if undo.kind == "command":
            self._undo_command(undo, tell)
            return
        path = self.at(undo.path)
        if undo.kind in ("owner", "owners"):
            if undo.before.kind == owner_of(path).kind != "absent":
                _give(path, undo.before, below=undo.kind == "owners")
            return
        with suppress(FileNotFoundError):
            _beside(path).unlink()
        if undo.kind == "folder":
            if undo.before.kind == "absent":
                shutil.rmtree(path, ignore_errors=False) if path.exists() else None
            else:
                restore(path, undo.before)
        elif self._may_restore(undo, path, tell):
            restore(path, undo.before)
        for folder in reversed(undo.made):
            with suppress(OSError):
                self.at(folder).rmdir()

    def _undo_command(self, undo: Undo, tell: Callable[[str], None]) -> None:
        failed = None
        if undo.command:
            code, said = self._run(undo.command)
            failed = OSError(code, said.splitlines()[-1] if said else f"ended with {code}", " ".join(undo.command))
        self._restore_beside(undo)
        if failed and _left(undo.command, failed.errno):
            raise failed
        if failed and failed.errno:
            tell(f"{undo.title}: {failed.filename}: {failed.strerror}")

    def _restore_beside(self, undo: Undo) -> None:
        """Times of what the command made as it was, copies that such commands keep, and empty files that it made."""
        now = [(path, before, look(self.at(path))) for path, before in undo.beside]
        new = {path for path, before, found in now if before.kind == "absent" and found.content}
        there = [(path, before, found) for path, before, found in now if before.kind != "absent"]
        alike = all(same(found, before) for path, before, found in there if not _is_copy(path))
        for path, before, found in now:
            copy = alike and _is_copy(path) and path[:-1] not in new
            if copy or same(found, before) or (before.kind == "absent" and path not in new):
                restore(self.at(path), before)

    def _may_restore(self, undo: Undo, path: Path, tell: Callable[[str], None]) -> bool:
        """False where what is there now belongs to somebody else and stays."""
        now = look(path)
        ours = now.target == undo.ours if now.kind == "link" else digest(now.content) == undo.ours
        if ours or now.kind == "absent" or same(now, undo.before) or undo.foreign is Foreign.RESTORE:
            return True
        if undo.foreign is Foreign.UNMERGE and now.kind == "file":
            rest = _unmerged(now.content, undo)
            if rest is not None:
                _put_file(path, rest, now.mode, lambda at: _chown(at, now.uid, now.gid))
                tell(f"{undo.path}: changed since; only what blockerd had added was taken out")
                return False
        elif undo.foreign is Foreign.LEAVE and MARK not in now.content:
            tell(f"{undo.path}: written by another program since; left as it is")
            return False
        return True


_LAST_WORDS = ("journalctl", "--quiet", "--since=-3min", "--lines=1", "--output=cat", "_TRANSPORT=stdout")


_GONE = {"userdel": 6, "systemctl": 5}
"""The exit code that says that what should go is gone: no such user (userdel(8)), no such unit (systemctl(1))."""


def _left(words: Sequence[str], code: int | None) -> bool:
    """True if a command of the way back has left something that trying again may take away."""
    return bool(code) and words[0] in _GONE and code != _GONE[words[0]]


def _is_copy(path: str) -> bool:
    """True for what the tools that change accounts keep as the state before: it is ours to restore if accounts are."""
    return path.endswith("-")


def look(path: Path) -> Before:
    """A path as it is.

    Raises:
        OSError: it cannot be read, or is neither file, link nor folder.
    """
    try:
        info = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Before("absent")
    mode, owner = stat.S_IMODE(info.st_mode), (info.st_uid, info.st_gid)
    if stat.S_ISLNK(info.st_mode):
        return Before("link", target=os.readlink(path), mode=mode, uid=owner[0], gid=owner[1])
    if stat.S_ISDIR(info.st_mode):
        return Before("folder", mode=mode, uid=owner[0], gid=owner[1])
    if stat.S_ISREG(info.st_mode):
        return Before("file", path.read_bytes(), "", mode, *owner, info.st_mtime_ns)
    raise OSError(22, "is neither a file, a link nor a folder", str(path))


def owner_of(path: Path) -> Before:
    """Mode and owner of a file or folder, behind a link too; `kind` is absent or there.

    Raises:
        OSError: it cannot be seen.
    """
    try:
        info = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Before("absent")
    return Before("there", mode=stat.S_IMODE(info.st_mode), uid=info.st_uid, gid=info.st_gid)


def same(one: Before, other: Before) -> bool:
    """True if content, mode and owner agree."""
    return (one.kind, one.content, one.target, one.mode, one.uid, one.gid) == (
        other.kind, other.content, other.target, other.mode, other.uid, other.gid,
    )  # fmt: skip


def restore(path: Path, before: Before) -> None:
    """Makes `path` what it was, with the time of its last change.

    Raises:
        OSError: it cannot be written.
    """
    now = look(path)
    if same(now, before):
        if before.kind == "file" and now.mtime_ns != before.mtime_ns:
            os.utime(path, ns=(before.mtime_ns, before.mtime_ns))
    elif before.kind == "absent":
        path.unlink(missing_ok=True)
    elif before.kind == "link":
        path.parent.mkdir(parents=True, exist_ok=True)
        _put_link(path, before.target)
    elif before.kind == "folder":
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(before.mode)
        _chown(path, before.uid, before.gid)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        _put_file(path, before.content, before.mode, lambda at: _chown(at, before.uid, before.gid))
        os.utime(path, ns=(before.mtime_ns, before.mtime_ns))


def _unmerged(content: bytes, undo: Undo) -> bytes | None:
    """The JSON in `content` without what we added; None where either is not JSON."""
    try:
        before = json.loads(undo.before.content) if undo.before.kind == "file" else {}
        return taken_out(content, json.loads(undo.added), before)
    except ValueError:
        return None


def _put_file(
    path: Path, content: bytes, mode: int, own: Callable[[Path], None], half: Callable[[], None] = lambda: None
) -> None:
    """Writes a file beside and puts it in place; in place where it cannot be replaced (a mount point, a full disk)."""
    beside = _beside(path)
    try:
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(fd, mode)
            own(beside)
            os.fsync(fd)
        half()
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        if path.is_symlink() or not path.is_file():
            raise
        if error.errno not in _IN_PLACE:
            raise
        path.write_bytes(content)
        path.chmod(mode)
        own(path)


_IN_PLACE = (16, 28)
"""EBUSY: a mount point cannot be replaced; ENOSPC: what is shorter fits where something stands already."""


def _put_link(path: Path, target: str) -> None:
    beside = _beside(path)
    with suppress(FileNotFoundError):
        beside.unlink()
    beside.symlink_to(target)
    beside.replace(path)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + _BESIDE)


def _missing(root: Path, path: str) -> tuple[str, ...]:
    """The folders above `path` that do not exist, outermost first."""
    parts = Path(path.lstrip("/")).parts[:-1]
    folders = ["/" + "/".join(parts[: n + 1]) for n in range(len(parts))]
    return tuple(folder for folder in folders if not (root / folder.lstrip("/")).exists())


def _make_folders(root: Path, made: Iterable[str]) -> None:
    for folder in made:
        path = root / folder.lstrip("/")
        path.mkdir(exist_ok=True)
        path.chmod(0o755)


def _own(root: Path, path: Path, owner: str) -> None:
    """Gives `path` to "user:group" of the system under `root`; nobody but root can."""
    if owner and os.geteuid() == 0:
        _chown(path, *_numbers(root, owner, path))


def _numbers(root: Path, owner: str, path: Path) -> tuple[int, int]:
    """User and group of "user:group" in the system under `root`; `path` is whose owner they shall be."""
    user, _, group = owner.partition(":")
    of_user, of_group = _entry(root, "passwd", user), _entry(root, "group", group) or _entry(root, "passwd", group)
    if not of_user or not of_group:
        raise OSError(3, f"no user or group {owner}", str(path))
    return int(of_user[2]), int(of_group[2] if len(of_group) < 5 else of_group[3])


def _give(path: Path, to: Before, *, below: bool) -> None:
    """Gives `path` the mode and owner of `to`; with `below` the owner to all in it too, where no link is followed."""
    path.chmod(to.mode)
    if os.geteuid() != 0:
        return
    os.chown(path, to.uid, to.gid)
    for _, folders, files, at in os.fwalk(path) if below else ():
        for name in (*folders, *files):
            with suppress(FileNotFoundError):  # the services may be at work in it
                os.chown(name, to.uid, to.gid, dir_fd=at, follow_symlinks=False)


def _entry(root: Path, file: str, name: str) -> list[str]:
    """The fields of a line of /etc/passwd or /etc/group; empty where there is none."""
    try:
        lines = (root / "etc" / file).read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return next((fields for line in lines if (fields := line.split(":"))[0] == name and len(fields) > 3), [])


def _chown(path: Path, uid: int, gid: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, uid, gid, follow_symlinks=False)
