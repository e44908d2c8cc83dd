"""How long `lists build` takes over every published list at hand with two million generated names, and how much memory.

`python -m bench.lists_all [FOLDER]`. The folder holds published lists, gzip or plain; without one the section is not
written. Wall time and peak resident memory are those of the build process as the kernel counts them.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.names import generate
from bench.process import BenchError, say
from bench.results import spread, table, write

GENERATED, BUILDS = 2_000_000, 3
SECONDS_GOAL, PEAK_GOAL_MB = 20, 400
FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "lists"


@dataclass(frozen=True, slots=True)
class Build:
    """One build: wall and processor time in seconds, peak resident memory and snapshot in MB, and what it said."""

    wall: float
    cpu: float
    peak: float
    snapshot: float
    told: str


def run(lists: Path) -> None:
    """Measure and write the section."""
    files = sorted(path for path in lists.glob("*.txt*") if path.is_file())
    if not files:
        raise BenchError(f"lists_all: no lists in {lists}: name a folder with published lists")
    with tempfile.TemporaryDirectory(prefix="blockerd-bench-") as temporary:
        config = _config(Path(temporary), files)
        builds = [_build(config) for _ in range(BUILDS)]
    write("lists_all", "Building from every published list", _body(files, builds))


def _config(folder: Path, files: Sequence[Path]) -> Path:
    """A configuration with each list, and the generated names, as a source of category adult."""
    generated = folder / "generated.txt"
    with generated.open("w", encoding="ascii") as out:
        out.writelines(f"{name}\n" for name in generate(GENERATED))
    config = folder / "b.toml"
    sources = "".join(_source(path) for path in (*files, generated))
    config.write_text(f'[state]\ndir = "var"\n[lists]\nstarter = false\n{sources}')
    return config


def _source(path: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", path.name.removesuffix(".gz").removesuffix(".txt").lower())
    return f'[[lists.source]]\nid = "{name}"\ncategory = "adult"\npath = "{path}"\n'


def _build(config: Path) -> Build:
    """One build from nothing, in a process of its own."""
    state = config.parent / "var"
    for path in state.glob("policy*"):
        path.unlink()
    told = config.parent / "told"
    began = time.monotonic()
    with told.open("wb") as out:
        actions = [(os.POSIX_SPAWN_DUP2, out.fileno(), fd) for fd in (1, 2)]
        command = [sys.executable, "-m", "blockerd", "--config", str(config), "lists", "build"]
        pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
        _, status, used = os.wait4(pid, 0)
    wall = time.monotonic() - began
    text = told.read_text(encoding="utf-8").strip()
    if status:
        raise BenchError(f"lists_all: lists build ended with {os.waitstatus_to_exitcode(status)}: {text[-200:]}")
    size = sum(path.stat().st_size for path in state.glob("policy-*.snapshot"))
    line = next(line for line in text.splitlines() if line.startswith("policy "))
    made = Build(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, size / 1e6, line)
    say(f"build {made.wall:.2f} s, peak {made.peak:.0f} MB: {line}")
    return made


def _body(files: Sequence[Path], builds: Sequence[Build]) -> Iterator[str]:
    rows = [
        ("seconds", spread([build.wall for build in builds]), f"≤ {SECONDS_GOAL}"),
        ("seconds of processor time", spread([build.cpu for build in builds]), "–"),
        ("peak memory, MB", spread([build.peak for build in builds], 0), f"≤ {PEAK_GOAL_MB}"),
        ("snapshot, MB", spread([build.snapshot for build in builds], 1), "–"),
    ]
    yield from table(("`lists build`", "median (least–largest)", "goal"), rows)
    yield ""
    yield f"- {len(files)} published lists and {GENERATED:,} generated names; {builds[-1].told}."


def main() -> int:
    """The benchmark alone; 0 done, 1 it could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER, help="folder with published lists")
    try:
        run(parser.parse_args().folder.resolve())
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
