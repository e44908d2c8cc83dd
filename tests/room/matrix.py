"""Each kind of machine, on each release: killed at every moment of installing and of uninstalling, and taken off.

After each kill `blockerd uninstall` must leave the tree as it was before `setup`, to the byte, and names must resolve.
Writes the table of docs/install-matrix.md. Seven minutes for each kind: `python -m tests.room.matrix
[--only SUITE:KIND ...] [--beside N]`, as root; `make soak` has a kill at each moment of one kind.
"""

import argparse
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from blockerd import clock
from tests.room import homes
from tests.room.room import ROOT, STORE, Room, program

SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
RESULT = ROOT / "docs/install-matrix.md"
CELLS = 7
MARK = "<!-- what follows is written by the run -->"
PYTHON = "/opt/blockerd/bin/python"
OFF = ("blockerd", "uninstall", "--send", "nothing", "--data", "remove")


@dataclass(slots=True)
class Found:
    """One kind on one release: kills that were made, and what was not as it should be after them."""

    suite: str
    kind: str
    day: str = ""
    at: str = "steps"
    installing: int = 0
    uninstalling: int = 0
    seconds: float = 0.0
    troubles: list[str] = field(default_factory=list)


def judge(room: Room, before: dict[str, str], where: str) -> Iterator[str]:
    """Takes blockerd off; what is wrong then, in lines."""
    done = room.try_run(*OFF)
    if done.returncode:
        yield f"{where}: uninstall ended with {done.returncode}: {done.stdout[-200:]}{done.stderr[-200:]}"
    if not homes.resolves(room):
        yield f"{where}: no name resolves"
    for path, (then, now) in homes.left_behind(room, before).items():
        yield f"{where}: {path} was {then}, is {now}"


def trial(suite: str, kind: str, work: Path, at: str) -> Found:
    """All kills of one kind on one release, in one room."""
    found = Found(suite, kind, at=at)
    cut = ("env", f"KILL_AT={at}", PYTHON, "/tmp/cut.py")
    began = time.monotonic()
    room = Room(program(suite), work)
    try:
        homes.furnish(room, homes.home_of(kind))
        before = room.snapshot()
        number = 0
        while True:
            number += 1
            homes.set_up(room)
            done = room.try_run(*cut, "install", str(number), homes.WAYS[kind])
            if done.returncode not in (0, -9, 137):
                found.troubles.append(f"installing, moment {number}: {done.stderr[-300:]}")
            found.troubles += judge(room, before, f"installing, moment {number}")
            if done.returncode == 0:
                break
            found.installing = number
        number = 0
        while True:
            number += 1
            homes.set_up(room)
            room.run(*cut, "install", "0", homes.WAYS[kind])
            done = room.try_run(*cut, "uninstall", str(number))
            found.troubles += judge(room, before, f"uninstalling, step {number}")
            if done.returncode == 0:
                break
            found.uninstalling = number
    except AssertionError as error:
        found.troubles.append(f"ended early: {str(error)[:300]}")
    finally:
        room.unplug()
        shutil.rmtree(work, ignore_errors=True)
    found.seconds = time.monotonic() - began
    return found


def kept(text: str) -> Iterator[Found]:
    """What the document says of earlier runs, so that a long run can be made in pieces."""
    suites = {said: suite for suite, said in SUITES.items()}
    kinds = {said: kind for kind, said in homes.KINDS.items()}
    for line in text.split(MARK)[-1].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == CELLS and cells[2].isdigit():
            release, kind, there, back, left, day, seconds = cells
            number, at = back.rstrip(")").split(" (")
            troubles = [] if left == "none" else ["told in that run"] * int(left)
            yield Found(suites[release], kinds[kind], day, at, int(there), int(number), float(seconds), troubles)


def table(found: Sequence[Found]) -> str:
    """The part of the document that a run writes."""
    by_place = {(one.suite, one.kind): one for one in found}  # the newest of each
    places = [(suite, kind) for suite in SUITES for kind in homes.KINDS]
    results = [by_place[place] for place in places if place in by_place]
    rows = [
        f"| {SUITES[one.suite]} | {homes.KINDS[one.kind]} | {one.installing} | {one.uninstalling} "
        f"({one.at}) | {len(one.troubles) or 'none'} | {one.day} | {one.seconds:.0f} |"
        for one in results
    ]
    rows += [
        f"| {SUITES[suite]} | {homes.KINDS[kind]} | | | not run yet | | |"
        for suite, kind in places
        if (suite, kind) not in by_place
    ]
    kills = sum(one.installing + one.uninstalling for one in results)
    left = sum(len(one.troubles) for one in results)
    return "\n".join([
        f"{kills} kills; things left behind: {left or 'none'}.",
        "",
        "| release | kind of machine | kills installing | kills uninstalling | left behind | day | seconds |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
    ])  # fmt: skip


def main(words: list[str]) -> int:
    """Exit 1 if anything was left behind anywhere."""
    parser = argparse.ArgumentParser(prog="python -m tests.room.matrix", allow_abbrev=False)
    parser.add_argument("--only", metavar="SUITE:KIND", action="append")
    parser.add_argument("--beside", type=int, default=1, metavar="N", help="rooms at a time")
    parser.add_argument("--at", choices=["steps", "moments"], default="steps", help="after each step, or between too")
    args = parser.parse_args(words)
    pairs = [(suite, kind) for suite in SUITES for kind in homes.KINDS]
    pairs = [pair for pair in pairs if not args.only or ":".join(pair) in args.only]
    writing = threading.Lock()
    for suite in dict.fromkeys(suite for suite, _ in pairs):
        program(suite)

    def one(pair: tuple[str, str]) -> Found:
        found = trial(*pair, STORE / "runs" / f"matrix-{'-'.join(pair)}", args.at)
        found.day = clock.utc(clock.now()).date().isoformat()
        with writing:
            text = RESULT.read_text("utf-8")
            head = text.split(MARK)[0]
            RESULT.write_text(f"{head}{MARK}\n\n{table([*kept(text), found])}", "utf-8")
        return found

    with ThreadPoolExecutor(args.beside) as pool:
        results = list(pool.map(one, pairs))
    for found in results:
        for line in found.troubles:
            sys.stderr.write(f"{found.suite} {found.kind}: {line}\n")
    return 1 if any(found.troubles for found in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
