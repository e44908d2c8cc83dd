"""Starts, pins, watches and ends the processes of a run: servers on one core, load and stub on the other.

CPU is the kernel's process clock (user and system, all threads, in ns), summed over a process and its children.
Called by every benchmark; Linux only, and says so.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
LOAD_CORE, SERVER_CORE = "0", "1"
BUILD = Path(os.environ.get("BLOCKERD_BENCH_DIR", HERE / "build"))


class BenchError(Exception):
    """One line for the person who runs the benchmark: what went wrong, and where to look."""


def compiled(name: str) -> str:
    """Compile bench/<name>.c where it is newer than its binary; return the binary's path."""
    source, target = HERE / f"{name}.c", BUILD / name
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return str(target)
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BenchError("bench: no C compiler found; install gcc")
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run([compiler, "-O2", "-o", str(target), str(source)], check=True)
    return str(target)


def pinned(core: str, command: Sequence[str]) -> list[str]:
    """The command bound to one core, where the machine has more than one; an empty `core` leaves it free."""
    return ["taskset", "-c", core, *command] if core and (os.cpu_count() or 1) > 1 else [*command]


def spawn(
    command: Sequence[str], folder: Path, core: str, env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in its own session below `folder`; what it says goes to `folder`/output."""
    with (folder / "output").open("ab") as out:
        return subprocess.Popen(
            pinned(core, command),
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes], patience: float = 10.0) -> None:
    """Ask the process to end, then make it and its group."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def stub(port: int) -> Iterator[None]:
    """The upstream of all resolvers, running while the block runs."""
    BUILD.mkdir(parents=True, exist_ok=True)
    process = spawn([compiled("stub"), str(port)], BUILD, LOAD_CORE)
    try:
        yield
    finally:
        end(process)


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for parent in found:
        for task in _tasks(parent):
            found += [int(child) for child in _read(task / "children").split()]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the process and its living descendants."""
    total = 0.0
    for member in family(pid):
        try:
            total += time.clock_gettime(~member << 3 | 2)  # as clock_getcpuclockid(3) makes it
        except OSError:
            continue
    return total


def waits(pid: int) -> int:
    """How often the threads of the process and its descendants went to sleep: queries a sleep show the batching."""
    return sum(_field(task / "status", "voluntary_ctxt_switches") for member in family(pid) for task in _tasks(member))


def memory_kb(pid: int) -> dict[str, int]:
    """VmRSS, RssAnon and RssFile in kB, summed over the process and its descendants."""
    keys = ("VmRSS", "RssAnon", "RssFile")
    return {key: sum(_field(Path(f"/proc/{member}/status"), key) for member in family(pid)) for key in keys}


def say(text: str) -> None:
    """Progress for whoever waits; results never go here."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _tasks(pid: int) -> list[Path]:
    try:
        return [*Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _field(path: Path, key: str) -> int:
    for line in _read(path).splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0
