"""A real Debian with a running systemd, in namespaces of this machine: booted in a second, unplugged in none.

A room is a stack of layers: a base made by debootstrap once, what was installed into it, and a fresh layer that takes
all writes, so that what a run has changed is exactly what lies in it. It has no network but what a test builds inside.
Needs root, debootstrap and a kernel with overlayfs; POSSIBLE says whether. Called by the tests of this folder.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BEGIN = Path(__file__).with_name("begin.sh")
STORE = Path(os.environ.get("BLOCKERD_ROOMS", "/var/tmp/blockerd-rooms"))
LEAST = "ca-certificates,systemd,systemd-sysv,dbus,iproute2,python3"
PACKAGES = (
    "systemd-resolved libnss-resolve python3-venv procps network-manager nftables isc-dhcp-client dnsmasq-base adduser"
)
UNSHARE = ("unshare", "--fork", "--pid", "--mount", "--net", "--ipc", "--uts", "--cgroup")
WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""A room ends with whoever made it, however that ended."""

VOLATILE = (
    *("/var/log", "/var/cache", "/var/lib/systemd", "/var/lib/NetworkManager", "/var/lib/dhcp", "/var/lib/private"),
    *("/var/tmp", "/tmp", "/run", "/dev", "/proc", "/sys", "/etc/machine-id", "/root", "/var/spool", "/.lan"),
    *("/etc/ld.so.cache",),
)
"""What a running system writes by itself."""

OURS_IN_RUN = ("run/blockerd*", "run/*/*.d/*blockerd*", "run/*/*/*.d/*blockerd*")
"""Folders of its services, and drop-ins."""

CLEAN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


def _groups() -> Path | None:
    """The control group (version 2) of this process, where groups of its own can be made; None without such."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text("utf-8").splitlines())
    at = next((words[1] for words in mounts if words[2] == "cgroup2"), None)
    own = [line[3:] for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines() if line.startswith("0::")]
    return Path(at, own[0].lstrip("/")) if at and own else None


JOIN = ("bash", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"')
"""Joins a control group, then runs a command."""


def _possible() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("debootstrap") is None:
        return False
    if _groups() is None:
        return False
    if "overlay" not in Path("/proc/filesystems").read_text("ascii"):
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


POSSIBLE = _possible()


@contextmanager
def _alone(suite: str) -> Iterator[None]:
    """One maker of a release's layers at a time, on the whole machine."""
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / f"{suite}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def base(suite: str) -> list[Path]:
    """The base layers of a Debian release, topmost first, made where missing (a minute)."""
    least, more = STORE / suite, STORE / f"{suite}-more"
    if not (more / ".made").exists():
        for folder in (least, more):
            shutil.rmtree(folder, ignore_errors=True)
        STORE.mkdir(parents=True, exist_ok=True)
        _said(["debootstrap", "--variant=minbase", f"--include={LEAST}", suite, str(least)])
        shutil.copy("/etc/resolv.conf", least / "etc/resolv.conf")
        for unit in ("systemd-modules-load.service", "apt-daily.timer", "apt-daily-upgrade.timer"):
            (least / "etc/systemd/system" / unit).symlink_to("/dev/null")
        done = prepared([least], more, "sh", "-c", f"{_apt(PACKAGES)}true", network=True)
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
        (more / ".made").touch()
    return [more / "upper", least]


@dataclass(frozen=True, slots=True)
class Kit:
    """Layers called `name`, and the Debian packages that are there beside blockerd's: while that is built, and then."""

    name: str
    build: str = ""
    run: str = ""


PLAIN = Kit("program")
SCREEN = Kit("screen", "gcc libc6-dev python3-dev libxcb1-dev", "libpam-systemd dbus-user-session xvfb openbox xterm")
"""With all that screen time on X11 takes: the package's own part, sessions, an X server, a window manager, an app."""


def program(suite: str, kit: Kit = PLAIN) -> list[Path]:
    """The layers with blockerd's package installed; built once a set of locked versions, the code as it is now."""
    with _alone(suite):
        return _program(suite, kit)


def _program(suite: str, kit: Kit) -> list[Path]:
    layers = base(suite)
    stamp = hashlib.sha256()
    for path in (*sorted((ROOT / "locks").glob("*.txt")), ROOT / "pyproject.toml", *sorted(PACKAGING.rglob("*"))):
        stamp.update(path.read_bytes() if path.is_file() else b"")
    stamp.update(f"{kit.build} {kit.run}".encode() if kit is not PLAIN else b"")
    made = STORE / f"{suite}-{kit.name}-{stamp.hexdigest()[:12]}"
    if not (made / ".made").exists():
        shutil.rmtree(made, ignore_errors=True)
        debs = made / "upper/var/lib/debs"
        debs.mkdir(parents=True)
        made_there = _package(suite, layers, kit.build)
        shutil.copy(made_there, debs)
        shutil.rmtree(made_there.parents[2])
        if kit.run:
            _fetched(layers, made, kit.run)
        done = prepared(layers, made, "bash", "-c", "dpkg -i /var/lib/debs/*.deb")
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
        (made / ".made").touch()
    return [_current(suite, layers, made), made / "upper", *layers]


def _current(suite: str, layers: Sequence[Path], made: Path) -> Path:
    """A layer with the code as it is now in place of what was packed, compiled like a package's."""
    stamp = hashlib.sha256(made.name.encode())
    for name in ("blockerd", "blocklists"):
        for path in sorted((ROOT / name).rglob("*.*")):
            if path.is_file() and "__pycache__" not in path.parts:
                stamp.update(f"{path}\n".encode() + path.read_bytes())
    code = STORE / f"{suite}-code-{stamp.hexdigest()[:12]}"
    if not (code / ".made").exists():
        shutil.rmtree(code, ignore_errors=True)
        packed = next((made / "upper/opt/blockerd/lib").glob("python3*")) / "site-packages/blockerd"
        at = packed.relative_to(made / "upper")
        site = code / "upper" / at
        site.parent.mkdir(parents=True)
        shutil.copytree(ROOT / "blockerd", site, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "blocklists", site / "blocklists")
        os.setxattr(site, "trusted.overlay.opaque", b"y")  # what was packed does not shine through
        done = prepared([made / "upper", *layers], code, "python3", "-m", "compileall", "-q", f"/{at}")
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
        (code / ".made").touch()
    return code / "upper"


def _fetched(layers: Sequence[Path], made: Path, packages: str) -> None:
    """Installs `packages` into the layer `made`; the file by which names are looked up meanwhile does not stay."""
    resolv = made / "upper/etc/resolv.conf"
    resolv.parent.mkdir(parents=True)
    shutil.copy("/etc/resolv.conf", resolv)
    done = prepared(layers, made, "sh", "-c", f"{_apt(packages)}true", network=True)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    resolv.unlink()


def _apt(packages: str) -> str:
    """The beginning of a script that installs `packages`."""
    if not packages:
        return ""
    apt = "apt-get -qq update && apt-get -qq install --no-install-recommends -y"
    return f"export DEBIAN_FRONTEND=noninteractive; {apt} {packages} && apt-get clean && "


def _package(suite: str, layers: Sequence[Path], needs: str) -> Path:
    """Builds the package in a layer that is thrown away, with this machine's own way to the package registries."""
    work = STORE / f"{suite}-build-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    _copy_sources(work / "upper/src")
    for name in ("etc/resolv.conf", "etc/pip.conf", "etc/ssl/certs/ca-certificates.crt"):
        if Path("/", name).exists():
            (work / "upper" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("/", name), work / "upper" / name)
    script = f"{_apt(needs)}cd /src && bash packaging/build-deb /debs"
    done = prepared(layers, work, "bash", "-c", script, network=True)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    return next((work / "upper/debs").glob("*.deb"))


PACKAGING = ROOT / "packaging"
_SOURCES = ("blockerd", "blocklists", "locks", "packaging", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")


def _copy_sources(into: Path) -> None:
    into.mkdir(parents=True)
    for name in _SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, into / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, into / name)


def ready(suite: str) -> bool:
    """True if a room of this release can be booted without making anything first."""
    return (
        POSSIBLE and (STORE / f"{suite}-more" / ".made").exists() and bool(list(STORE.glob(f"{suite}-program-*/.made")))
    )


def _said(words: Sequence[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def prepared(lower: Sequence[Path], into: Path, *words: str, network: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs a command in the layers without booting them; what it writes becomes the layer `into`/upper."""
    into.mkdir(parents=True, exist_ok=True)
    space = [word for word in UNSHARE if not (network and word == "--net")]
    command = [*space, "bash", str(BEGIN), str(into), ":".join(map(str, lower)), *words]
    ways = {name: value for name, value in os.environ.items() if network and name.lower().startswith(_WAYS)}
    return subprocess.run(command, capture_output=True, text=True, env=CLEAN | ways, timeout=900, check=False)


_WAYS = ("pip_index", "pip_extra_index", "pip_trusted", "pip_cert", "http_proxy", "https_proxy", "no_proxy")
"""How this machine reaches package registries."""


class Room:
    """A booted system over the layers `lower` (topmost first); `work` takes what it writes."""

    def __init__(self, lower: Sequence[Path], work: Path) -> None:
        self.lower = list(lower)
        self.work = work
        self.leader = 0
        self.group = Path()
        """Its control group. Two systems in one would end, and wait for, each other's services of the same name."""
        self.timeless: frozenset[str] = frozenset()
        """Files that a program of the room writes anew with the same content: their times say nothing."""
        self._outer: subprocess.Popen[bytes] | None = None

    def boot(self) -> "Room":
        """Starts it and waits until it is up."""
        self.work.mkdir(parents=True, exist_ok=True)
        groups = _groups()
        assert groups
        self.group = Path(tempfile.mkdtemp(prefix="blockerd-room-", dir=groups))
        self.group.chmod(0o755)  # its users have service managers too
        with (self.work / "console").open("ab") as console:
            begin = ("bash", str(BEGIN), str(self.work), ":".join(map(str, self.lower)))
            self._outer = subprocess.Popen(
                [*JOIN, self.group, *WITH_US, *UNSHARE, "--kill-child", *begin],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=CLEAN, start_new_session=True,
            )  # fmt: skip
        self._wait(lambda: self._child() > 0, "no first process")
        self.leader = self._child()
        self._wait(
            lambda: self.try_run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"), "boot"
        )
        return self

    def _child(self) -> int:
        assert self._outer is not None
        path = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        words = path.read_text("ascii").split() if path.exists() else []
        return int(words[0]) if words else 0

    def _wait(self, condition: object, what: str, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < end, f"{what}: {(self.work / 'console').read_text('utf-8', 'replace')[-2000:]}"
            time.sleep(0.05)

    def try_run(self, *words: str, stdin: str = "", timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Runs a command inside."""
        inside = [
            *JOIN, str(self.group), "nsenter", "-t", str(self.leader), "-m", "-p", "-n", "-i", "-u", "-C",
            f"--root=/proc/{self.leader}/root", f"--wd=/proc/{self.leader}/root",
        ]  # fmt: skip
        return subprocess.run(
            [*inside, *words], input=stdin, capture_output=True, text=True, env=CLEAN, timeout=timeout, check=False
        )

    def run(self, *words: str, stdin: str = "") -> str:
        """Runs a command that must succeed; what it said."""
        done = self.try_run(*words, stdin=stdin)
        assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def sh(self, script: str) -> str:
        """Runs a shell script that must succeed."""
        return self.run("bash", "-euc", script)

    @property
    def tree(self) -> Path:
        """Its files, seen from outside."""
        return Path(f"/proc/{self.leader}/root")

    def unplug(self) -> None:
        """Ends every process at once."""
        if self.leader:
            os.kill(self.leader, signal.SIGKILL)
        if self._outer:
            self._outer.wait(30)
        self.leader = 0
        for folder, _, _ in os.walk(self.group, topdown=False) if self.group.name else ():
            os.rmdir(folder)
        self.group = Path()

    def snapshot(self) -> dict[str, str]:
        """Each path of the write layer with what it is now in the whole; volatile ones are left out, but for what
        blockerd itself writes below /run.
        """
        paths = {*written(self.work / "upper"), *self._ours_in_run()}
        return {path: described(self.tree / path.lstrip("/")) for path in paths}

    def _ours_in_run(self) -> Iterable[str]:
        for pattern in OURS_IN_RUN:
            yield from (f"/{path.relative_to(self.tree)}" for path in self.tree.glob(pattern))

    def changed(self, before: dict[str, str]) -> dict[str, tuple[str, str]]:
        """Paths that are another than in `before`: (then, now)."""
        now = self.snapshot()
        found = {}
        for path in sorted(now.keys() | before.keys()):
            then = before.get(path) or self._in_lower(path)
            today = now.get(path) or described(self.tree / path.lstrip("/"))
            if path in self.timeless:
                then, today = then.rpartition(" ")[0], today.rpartition(" ")[0]
            if then != today:
                found[path] = (then, today)
        return found

    def _in_lower(self, path: str) -> str:
        for layer in self.lower:
            if (said := described(layer / path.lstrip("/"))) != "absent":
                return said
        return "absent"


def written(upper: Path) -> Iterable[str]:
    """Every path that lies in a write layer but for what is volatile."""
    for folder, names, files in os.walk(upper):
        at = "/" + Path(folder).relative_to(upper).as_posix().removeprefix(".")
        names[:] = [name for name in names if not _volatile(f"{at.rstrip('/')}/{name}")]
        yield from (path for name in (*names, *files) if not _volatile(path := f"{at.rstrip('/')}/{name}"))


def _volatile(path: str) -> bool:
    return any(path == one or path.startswith(one + "/") for one in VOLATILE)


def described(path: Path) -> str:
    """Kind, mode, owner and content of a path in one line."""
    try:
        info = path.lstat()
    except OSError:
        return "absent"
    head = f"{stat.S_IMODE(info.st_mode):o} {info.st_uid}:{info.st_gid}"
    if stat.S_ISLNK(info.st_mode):
        return f"link {os.readlink(path)}"
    if stat.S_ISDIR(info.st_mode):
        return f"folder {head}"
    if stat.S_ISREG(info.st_mode):
        return f"file {head} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]} {int(info.st_mtime)}"
    return "absent" if info.st_rdev == 0 else f"node {head}"
