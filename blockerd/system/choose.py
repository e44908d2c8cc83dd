"""Which picture and which plan this system has: one look, one plan, whatever the system is. Called by `cli.install`.

The plans for macOS and Windows were never run on a real machine and say so in their first note.
"""

import os
import platform
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from blockerd.system import look as linux
from blockerd.system import macos, macos_look, windows, windows_look
from blockerd.system import plan as planning
from blockerd.system.look import Runner
from blockerd.system.macos_picture import Mac
from blockerd.system.picture import Machine
from blockerd.system.plan import Plan
from blockerd.system.registry import STOP
from blockerd.system.steps import Command, Step, told
from blockerd.system.windows_picture import Windows
from blockerd.system.wish import Way, Wish


def look(root: Path, run: Runner, state: str = "", *, live: bool = True) -> Machine:
    """The machine whose files are under `root`; `state` is blockerd's own folder.

    Raises:
        PlanError: what must come back could not be read.
    """
    system = platform.system()
    if system == "Darwin":
        return macos_look.look(root, run, state, macos_look.installer(os.environ), live=live)
    if system == "Windows":
        return windows_look.look(root, run, state, live=live)
    return linux.look(root, run, live=live)


def plan(machine: Machine, wish: Wish) -> Plan:
    """All steps of an install on `machine`.

    Raises:
        PlanError: something is in the way.
    """
    if not wish.listen:
        raise planning.PlanError(
            "dns.listen names no address with port 53, where programs ask; write e.g. 127.0.0.1:53, nothing was changed"
        )
    if isinstance(machine, Mac):
        return macos.plan(machine, wish)
    if isinstance(machine, Windows):
        return windows.plan(machine, wish)
    return planning.plan(machine, wish)


def fitted(machine: Machine, wish: Wish) -> Wish:
    """`wish` with what differs by system: the command's name, and whether screen time can be measured."""
    if isinstance(machine, Mac):
        return replace(wish, agent=find_spec("Quartz") is not None)
    if isinstance(machine, Windows):
        program = wish.places.program
        named = program if program.lower().endswith(".exe") else f"{program}.exe"
        return replace(wish, agent=True, places=replace(wish.places, program=named))
    return wish


def not_yet(made: Plan) -> str:
    """Why a plan can be shown but not carried out; "" where it can."""
    return windows.NOT_YET if made.way in _WINDOWS else ""


def reads_tools(made: Plan) -> bool:
    """True if the way back was read from the system's tools, so that it must be read again right before beginning."""
    return made.way is Way.MACOS or made.way in _WINDOWS


def heading(made: Plan) -> str:
    """The first line of what is shown."""
    return f"The way: {made.way}." + (" Never run on a real machine: see the notes below." if reads_tools(made) else "")


def shown(made: Plan) -> list[tuple[str, str]]:
    """(what is done, how it is taken back) of each step; commands as a person could type them on that system."""
    if made.way is Way.MACOS:
        return [told(_typed(step, shlex.join)) for step in made.steps]
    if made.way in _WINDOWS:
        return [told(_typed(step, _of_windows)) for step in made.steps]
    return planning.shown(made)


def _of_windows(words: tuple[str, ...]) -> str:
    """A script of PowerShell as it is typed into its window."""
    if words[0] == "powershell.exe":
        return f"PS> {words[-1].removeprefix(STOP)}"
    return subprocess.list2cmdline(words)


_WINDOWS = (Way.WINDOWS, Way.ADAPTERS)


def _typed(step: Step, join: Callable[[tuple[str, ...]], str]) -> Step:
    """A command whose words are one line."""
    if not isinstance(step, Command):
        return step
    there, back = (((join(words),) if words else ()) for words in (step.forward, step.inverse))
    return Command(step.title, there, back, step.beside, step.may_fail, step.data)
