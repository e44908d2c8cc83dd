"""How the run of a process before this one ended, as far as whoever started this one says.

The supervisor leaves a word in the environment; a service manager leaves a line in a file, since it tells only a
command of its own (systemd: `ExecStopPost`, which knows SERVICE_RESULT, EXIT_CODE and EXIT_STATUS). Called once, at the
start of a process.
"""

from collections.abc import Mapping
from pathlib import Path

ENV_ENDED = "BLOCKERD_ENDED"  # as blockerd.process has it
HUNG = "hung"
"""What ENV_ENDED says where the supervisor ended a process that stood still; else it is as `subprocess` tells it."""

UNTOLD = "crash or kill"

_RESULTS = {
    "oom-kill": "killed: the machine had no memory left",
    "watchdog": "stood still and was ended",
    "timeout": "took too long and was ended",
    "resources": "the machine lacked something it needs",
}
_MOST = 200


def ending(environ: Mapping[str, str], note: Path | None = None) -> str:
    """In a few words: "killed (signal 9)", "crash (code 1)", "crash or kill" where nobody says.

    `note` is the file of the service manager, which is read and removed.
    """
    told = _taken(note).split() if note else []
    code = environ.get(ENV_ENDED, "")
    if code == HUNG:
        return _RESULTS["watchdog"]
    if code.startswith("-") and code[1:].isdecimal():
        return f"killed (signal {code[1:]})"
    if code.isdecimal():
        return f"crash (code {code})"
    return _by_manager(*told[:3]) if len(told) == 3 else UNTOLD


def note_of(folder: Path, process: str) -> Path:
    """The file in which a service manager notes how `process` ended; `folder` is that of run-time files."""
    return folder / f"{process}.ended"


def _by_manager(result: str, code: str, status: str) -> str:
    """From the three words that systemd gives to ExecStopPost (systemd.exec, "Environment Variables Set")."""
    if result in _RESULTS:
        return _RESULTS[result]
    if code in ("killed", "dumped"):
        return f"killed (signal {status})"
    return f"crash (code {status})" if code == "exited" and result != "success" else UNTOLD


def _taken(note: Path) -> str:
    try:
        with note.open("rb") as file:
            said = file.read(_MOST).decode("ascii", "replace")
        note.unlink()
    except OSError:
        return ""
    return said
