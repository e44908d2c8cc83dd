"""Reads the picture of this Windows machine; changes nothing. What cannot be read is left out, never guessed.

PowerShell is asked four times; an answer that is no JSON counts as none, and a registry that cannot be read makes no
picture at all, for former values would be lost. Called by `system.choose`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from blockerd.system import windows_picture as picture
from blockerd.system.look import holders
from blockerd.system.picture import Resolv
from blockerd.system.plan import PlanError
from blockerd.system.registry import Value, powershell
from blockerd.system.trust import PLACE, root_of
from blockerd.system.windows import LOOKED_AT
from blockerd.system.windows_picture import Windows

Runner = Callable[[Sequence[str]], tuple[int, str]]
_T = TypeVar("_T")

_HOSTS = "C:\\Windows\\System32\\drivers\\etc\\hosts"


def look(root: Path, run: Runner, state: str = "", *, live: bool = True) -> Windows:
    """The machine that `run` asks; `root` is where its hosts file is looked for, `state` where the proxy's root lies.

    Raises:
        PlanError: the registry cannot be read.
    """
    exist, running = _asked(run, picture.SERVICES, picture.services, (frozenset[str](), frozenset[str]()))
    certificate = "\\".join((state, *PLACE))
    return Windows(
        system="windows",
        resolv=Resolv.MISSING,
        holders=holders() if live else (),
        files=(("/etc/hosts", found),) if (found := _bytes(root, _HOSTS)) is not None else (),
        adapters=_asked(run, picture.ADAPTERS, picture.adapters, ()),
        rules=_asked(run, picture.RULES, picture.rules, ()),
        services=exist,
        running=running,
        keys=_keys(run),
        root=root_of(certificate, _bytes(root, certificate)),
    )


def _asked(run: Runner, script: str, read: Callable[[str], _T], otherwise: _T) -> _T:
    code, said = run(powershell(script))
    with suppress(ValueError):
        return read(said) if code == 0 else otherwise
    return otherwise


def _keys(run: Runner) -> tuple[tuple[str, tuple[Value, ...]], ...]:
    code, said = run(powershell(picture.values_script(LOOKED_AT)))
    if code:
        last = said.splitlines()[-1] if said else f"powershell.exe ended with {code}"
        raise PlanError(f"the registry cannot be read, so former values could not come back: {last}")
    try:
        return picture.keys(said)
    except ValueError as error:
        raise PlanError(f"the registry cannot be read, so former values could not come back: {error}") from None


def _bytes(root: Path, path: str) -> bytes | None:
    try:
        return (root / path).read_bytes()
    except OSError:
        return None
