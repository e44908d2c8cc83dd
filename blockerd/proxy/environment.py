"""The proxy's own virtualenv: where it is, what belongs into it, and how it is made.

mitmproxy pins old versions of libraries that the rest of blockerd needs new, so the two never share one. What is
installed is mitmproxy and blockerd's base dependencies; blockerd itself is linked in, so that both are always the same
version. Called by `proxy setup` and by the process that starts the proxy; refuses Python before 3.11.
"""

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import blockerd
from blockerd.settings import Settings

OLD, NEW = "mitmproxy==11.0.2", "mitmproxy>=12.2.3,<13"
"""For Python 3.11, and for 3.12 and later."""
LOCK = "locks/proxy.txt"
"""What is installed, by digest: in a checkout and in an installed package alike."""
_FROM = "made-from"
_RELEASE = re.compile(r"(\d+)\.(\d+)")


class SetupError(Exception):
    """The environment could not be made; the message is one line."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtualenv in `folder`."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def mitmdump(self) -> Path:
        """Its mitmdump."""
        return self.folder / "bin" / "mitmdump"

    def made_from(self, lock: Path | None) -> bool:
        """True where it was made from this very lock, and nothing is missing since."""
        try:
            return self.ready and (self.folder / _FROM).read_text("ascii") == _digest(lock)
        except OSError:
            return False

    @property
    def ready(self) -> bool:
        """True where both are there and blockerd can be imported."""
        return self.mitmdump.exists() and any(self.folder.glob("lib/python3.*/site-packages/blockerd/__init__.py"))


def package_folder() -> Path:
    """Where this blockerd lies."""
    return Path(blockerd.__file__).resolve().parent


def find(settings: Settings) -> Environment | None:
    """The environment in use: that of the state folder, else that of the checkout (`make setup-proxy`)."""
    for folder in (settings.state.dir / "proxy" / "venv", checkout_folder()):
        if folder and Environment(folder).ready:
            return Environment(folder)
    return None


def checkout_folder(release: tuple[int, int] = (sys.version_info[0], sys.version_info[1])) -> Path | None:
    """`.venvs/proxy-<release>` of the checkout this runs from; None in an installed package."""
    root = package_folder().parent
    return root / ".venvs" / f"proxy-{release[0]}.{release[1]}" if (root / "pyproject.toml").exists() else None


def shipped_lock() -> Path | None:
    """The lock that came with this blockerd; None where there is none."""
    inside = package_folder()
    return next((path for path in (inside / LOCK, inside.parent / LOCK) if path.is_file()), None)


def declared() -> list[str]:
    """What belongs into the environments of all Pythons, with markers: what `make lock` locks.

    Raises:
        SetupError: this blockerd was not installed, so nothing says what it is based on.
    """
    lines = [(OLD, "python_version < '3.12'"), (NEW, "python_version >= '3.12'")]
    return [*(f"{what} ; {where}" for what, where in lines), *requirements((3, 11))[1:]]


def requirements(release: tuple[int, int]) -> list[str]:
    """What belongs into an environment of Python `release`.

    Raises:
        SetupError: this blockerd was not installed, so nothing says what it is based on.
    """
    try:
        declared = metadata.requires("blockerd") or []
    except metadata.PackageNotFoundError:
        raise SetupError("blockerd itself is not installed here; run: make setup, or pip install it") from None
    base = [one for one in declared if "extra ==" not in one]
    return [OLD if release < (3, 12) else NEW, *base]


def make(folder: Path, python: Path, tell: Callable[[str], None], lock: Path | None = None) -> Environment:
    """Makes the environment with the interpreter `python`; with `lock` exactly what that file says, by digest.

    Raises:
        SetupError: a step did not end well.
    """
    release = release_of(python)
    if release < (3, 11):
        raise SetupError(f"{python}: Python {release[0]}.{release[1]} is too old; name 3.11 or newer with --python")
    tell(f"making {folder} with Python {release[0]}.{release[1]}")
    _run([str(python), "-m", "venv", "--clear", str(folder)])
    made = Environment(folder)
    wanted = ["--require-hashes", "-r", str(lock)] if lock else requirements(release)
    tell(f"installing {'what ' + lock.name + ' says' if lock else wanted[0] + ' and what blockerd is based on'}")
    _run([str(made.python), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install", *wanted])
    link(made)
    _run([str(made.python), "-c", "import mitmproxy.version, blockerd.proxy.gate, blockerd.proxy.ca"])
    note(made, lock)
    return made


def note(made: Environment, lock: Path | None) -> None:
    """Keeps beside the environment what it was made from."""
    (made.folder / _FROM).write_text(_digest(lock), "ascii")


def _digest(lock: Path | None) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock else "no lock"


def link(made: Environment) -> None:
    """Shows this blockerd to the environment, and nothing else of where it lies.

    Raises:
        SetupError: the environment has no folder for packages.
    """
    folders = sorted(made.folder.glob("lib/python3.*/site-packages"))
    if not folders:
        raise SetupError(f"{made.folder}: no environment; run: blockerd proxy setup")
    place = folders[0] / "blockerd"
    if place.is_symlink():
        place.unlink()
    place.symlink_to(package_folder(), target_is_directory=True)


def release_of(python: Path) -> tuple[int, int]:
    """Major and minor version of an interpreter.

    Raises:
        SetupError: it does not run.
    """
    said = _run([str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    found = _RELEASE.match(said.strip())
    if not found:
        raise SetupError(f"{python}: no Python; name one with --python")
    return int(found[1]), int(found[2])


def version(made: Environment) -> str:
    """The version of mitmproxy in it.

    Raises:
        SetupError: it cannot be asked.
    """
    return _run([str(made.python), "-c", "from mitmproxy import version; print(version.VERSION)"]).strip()


def _run(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        raise SetupError(f"{words[0]}: {error.strerror}") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise SetupError(f"{Path(words[0]).name} {' '.join(words[1:4])}: {last}")
    return done.stdout
