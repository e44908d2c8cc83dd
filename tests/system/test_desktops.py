"""The plans for macOS and Windows done and undone on imitations of their tools: whatever happens in between, taking
back gives the machine back, and at no command are programs led to a filter that does not run.
"""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from blockerd.system.apply import Applier, ApplyError, Moment
from blockerd.system.steps import Command, Step
from blockerd.system.wish import Way
from tests.system.desktops import MAC, WINDOWS, Cut, Desktop, Executables, points, snapshots

DESKTOPS = {desktop.kind: desktop for desktop in (MAC, WINDOWS)}


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where that is possible: thousands of synced writes say nothing more on a disk."""
    with TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as name:
        yield Path(name)


@pytest.fixture(params=DESKTOPS)
def desktop(request: pytest.FixtureRequest) -> Desktop:
    return DESKTOPS[request.param]


def quiet(_: str) -> None:
    """What is told on the way back is of no interest."""


def test_after_a_cut_at_each_moment_uninstalling_gives_the_machine_back(desktop: Desktop, folder: Path):
    before = desktop.seen(desktop.begin(folder / "before"))
    for at, tools in enumerate(snapshots(desktop, folder)):
        assert Applier(tools.root, tools.run).undo(data=True, tell=quiet) == []
        assert desktop.seen(tools) == before, f"cut at moment {at}"
        assert "dark" not in tools.state, f"cut at moment {at}"


def test_a_cut_at_each_step_of_uninstalling_is_made_good_by_uninstalling_again(desktop: Desktop, folder: Path):
    before = desktop.seen(desktop.begin(folder / "before"))
    *_, installed = snapshots(desktop, folder)
    for at in range(len(Applier(installed.root).manifest.undos())):
        tools = desktop.copied(installed, folder / f"back-{at}")
        left = at

        def watch(_number: int, moment: Moment) -> None:
            nonlocal left
            if moment is Moment.BACK:
                if not left:
                    raise Cut
                left -= 1

        with pytest.raises(Cut):
            Applier(tools.root, tools.run, watch).undo(data=True, tell=quiet)
        assert Applier(tools.root, tools.run).undo(data=True, tell=quiet) == []
        assert desktop.seen(tools) == before, f"cut after {at + 1} steps back"
        assert "dark" not in tools.state


def test_each_command_that_is_refused_ends_the_install_and_all_is_taken_back(desktop: Desktop, folder: Path):
    tools = desktop.begin(folder / "machine")
    before, steps = desktop.seen(tools), desktop.plan(tools).steps
    tried = [step for step in steps if isinstance(step, Command) and step.forward and not step.may_fail]
    for step in tried:

        def run(words: Sequence[str], step: Command = step) -> tuple[int, str]:
            return (1, "no\nthe system says no") if tuple(words) == step.forward else tools.run(words)

        with pytest.raises(ApplyError, match="the system says no"):
            Applier(tools.root, run).apply(steps)
        assert Applier(tools.root, tools.run).undo(data=True, tell=quiet) == []
        assert desktop.seen(tools) == before, step.title
    assert len(tried) > 12
    assert "dark" not in tools.state


def test_a_filter_that_does_not_answer_changes_nothing_for_programs(desktop: Desktop, folder: Path):
    """Neither resolvers nor belt nor policies were touched when the install ends."""
    tools = desktop.begin(folder)
    before = copy.deepcopy(tools.state)

    def run(words: Sequence[str]) -> tuple[int, str]:
        return (1, "no answer") if "blockerd.system.answers" in words else tools.run(words)

    with pytest.raises(ApplyError, match="the filter answers"):
        Applier(tools.root, run).apply(desktop.plan(tools).steps)
    own = {"loaded", "services", "acl", "built"} if desktop is WINDOWS else {"loaded", "built"}
    assert {k: v for k, v in tools.state.items() if k not in own} == {k: v for k, v in before.items() if k not in own}


def test_installing_again_keeps_what_there_was_before_the_first_time(desktop: Desktop, folder: Path):
    tools = desktop.begin(folder)
    before = desktop.seen(tools)
    for _ in range(2):
        applier = Applier(tools.root, tools.run)
        applier.apply(desktop.plan(tools).steps)
        applier.manifest.finish()
    tools.state.pop("dark", None)  # the filter was started again
    assert Applier(tools.root, tools.run).undo(data=True, tell=quiet) == []
    assert desktop.seen(tools) == before
    assert "dark" not in tools.state


def test_nothing_points_at_the_filter_before_it_answers(desktop: Desktop, folder: Path):
    tools = desktop.begin(folder)
    words = [step.forward for step in desktop.plan(tools).steps if isinstance(step, Command)]
    answers = next(n for n, one in enumerate(words) if "blockerd.system.answers" in one)
    leads = [n for n, one in enumerate(words) if _leads(one)]
    assert leads
    assert min(leads) > answers


def _leads(words: tuple[str, ...]) -> bool:
    text = " ".join(words)
    return "setdnsservers" in text or "Add-DnsClientNrptRule" in text or "-ServerAddresses" in text


# The tools as programs of their own, found by PATH.


@pytest.mark.soak
def test_programs_in_path_do_and_undo_the_whole_plan_cut_at_each_step(desktop: Desktop, folder: Path):
    first = Executables(desktop, folder, desktop.fresh(), desktop.begin(folder / "machine").root)
    steps = desktop.plan(desktop.tools(first.state, first.root)).steps
    clean = desktop.seen(desktop.tools(first.state, first.root))
    assert desktop.look(first.root, first.run) == desktop.look(
        first.root, desktop.tools(first.state, first.root).run
    ), "the programs say what the functions say"
    ends: list[Executables] = []

    def watch(number: int, moment: Moment) -> None:
        if moment is Moment.DONE:
            root = folder / f"cut-{number}"
            shutil.copytree(first.root, root, symlinks=True)
            ends.append(Executables(desktop, folder, first.state, root))

    Applier(first.root, first.run, watch).apply(steps)
    assert len(ends) == len(steps)
    for number, cut in enumerate(ends):
        assert Applier(cut.root, cut.run).undo(data=True, tell=quiet) == []
        assert desktop.seen(desktop.tools(cut.state, cut.root)) == clean, f"cut after step {number}"
    assert Applier(first.root, first.run).undo(data=True, tell=quiet) == []
    assert desktop.seen(desktop.tools(first.state, first.root)) == clean


_INSTALL = """
import json, os, signal, sys
from pathlib import Path
from blockerd.system.apply import Applier, Moment
from tests.system import desktops
desktop = {"mac": desktops.MAC, "windows": desktops.WINDOWS}[sys.argv[1]]
folder, at = Path(sys.argv[2]), int(sys.argv[3])
tools = desktops.Executables(desktop, folder, json.loads((folder / "machine.json").read_text()), folder / "machine")
steps = desktops.choose.plan(desktop.look(tools.root, tools.run), desktop.wish).steps
seen = 0
def watch(number, moment):
    global seen
    if seen == at:
        os.kill(os.getpid(), signal.SIGKILL)
    seen += 1
Applier(tools.root, tools.run, watch).apply(steps)
"""


@pytest.mark.once
@pytest.mark.parametrize("desktop", ["mac", pytest.param("windows", marks=pytest.mark.soak)], indirect=True)
def test_a_killed_install_is_taken_back_by_another_process(desktop: Desktop, folder: Path):
    """The process itself, killed late: what it had written is all that the next one has."""
    tools = desktop.begin(folder / "machine")
    before, at = desktop.seen(tools), points(desktop.plan(tools).steps) - 2
    (folder / "machine.json").write_text(json.dumps(tools.state))
    words = [sys.executable, "-c", _INSTALL, desktop.kind, str(folder), str(at)]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    later = Executables(desktop, folder, json.loads((folder / "machine.json").read_text()), tools.root)
    assert Applier(later.root, later.run).undo(data=True, tell=quiet) == []
    assert desktop.seen(desktop.tools(later.state, later.root)) == before


def test_the_way_is_told_by_the_picture(folder: Path):
    tools = WINDOWS.begin(folder)
    assert WINDOWS.plan(tools).way is Way.WINDOWS
    tools.state["group"] = [{"Namespace": [".corp.test"], "Comment": ""}]
    assert WINDOWS.plan(tools).way is Way.ADAPTERS


def test_titles_say_what_is_done_without_words_of_blame(desktop: Desktop, folder: Path):
    steps: tuple[Step, ...] = desktop.plan(desktop.begin(folder)).steps
    assert all(step.title and step.title[0] not in " :" for step in steps)
