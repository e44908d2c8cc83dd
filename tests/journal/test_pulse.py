"""Control's signs of life: what is recorded at a start, each quarter of an hour, at a stop, and when clocks are set."""

import json
from pathlib import Path
from typing import Any

import pytest

from blockerd.journal import clocks
from blockerd.journal.alive import AliveMark
from blockerd.journal.clocks import Clocks
from blockerd.journal.entry import decode, of_event
from blockerd.journal.pulse import BEAT_US, Facts, Pulse, machine_zone
from tests.journal.spooling import SECOND, START


class Machine:
    """A machine whose clocks and zones are set by the test."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.boot = "b1"
        self.now = Clocks(START, 1000 * SECOND, 900 * SECOND)
        self.zones = ("Europe/Berlin", "Europe/Berlin")
        self.said: list[dict[str, Any]] = []

    def pulse(self, environ: dict[str, str] | None = None):
        made = Pulse(
            self.folder, self.folder / "dns.alive", self.boot, self.said.append, lambda: self.now,
            lambda: Facts({"queries": 7}, "aa"), lambda: self.zones,
        )  # fmt: skip
        made.start(environ or {})
        return made

    def passes(self, seconds: float, *, asleep: float = 0, stepped: float = 0):
        awake, slept, step = (round(part * SECOND) for part in (seconds, asleep, stepped))
        wall, boottime, monotonic = self.now
        self.now = Clocks(wall + awake + slept + step, boottime + awake + slept, monotonic + awake)

    def kinds(self):
        kinds = [event["kind"] for event in self.said]
        self.said.clear()
        return kinds


@pytest.fixture
def machine(tmp_path: Path):
    return Machine(tmp_path)


def test_a_first_start_is_a_start_and_a_beat(machine: Machine):
    pulse = machine.pulse()
    start, beat = machine.said
    assert (start["kind"], start["run"], start["boot"], start["at"]) == ("start", 1, "b1", START)
    assert (beat["kind"], beat["counters"], beat["policy"], beat["mark"]) == ("beat", {"queries": 7}, "aa", {})
    assert pulse.run == 1


def test_all_signs_are_entries(machine: Machine):
    pulse = machine.pulse()
    machine.passes(5, stepped=100)
    machine.zones = ("", "UTC")
    pulse.look()
    machine.pulse()
    pulse.stop("told to")
    assert {decode(of_event(1, event)[2]).KIND for event in machine.said} == {  # type: ignore[union-attr]
        "start", "beat", "clock-step", "zone-step", "unclean", "stop"
    }  # fmt: skip


def test_a_stop_is_followed_by_a_start_of_the_next_run_and_nothing_else(machine: Machine):
    machine.pulse().stop("told to")
    assert (machine.said[-1]["kind"], machine.said[-1]["why"]) == ("stop", "told to")
    machine.kinds()
    assert machine.pulse().run == 2
    assert machine.kinds() == ["start", "beat"]


def test_an_end_without_a_stop_is_told_at_the_next_start_with_the_last_sign(machine: Machine):
    pulse = machine.pulse()
    machine.passes(120)
    pulse.look()
    last = machine.now
    machine.passes(30)
    machine.kinds()
    machine.pulse({"BLOCKERD_ENDED": "-9"})
    unclean = machine.said[0]
    assert (unclean["kind"], unclean["last"], unclean["boot"], unclean["run"]) == ("unclean", last.wall, "b1", 1)
    assert (unclean["boottime"], unclean["monotonic"], unclean["why"]) == (*last[1:], "killed (signal 9)")
    assert machine.kinds() == ["unclean", "start", "beat"]


def test_another_boot_without_a_stop_is_a_power_cut_or_reset(machine: Machine):
    machine.pulse()
    machine.boot, machine.now = "b2", Clocks(START + 3600 * SECOND, 5, 5)
    machine.pulse({"BLOCKERD_ENDED": "-9"})
    assert machine.said[2]["why"] == "power cut or reset"
    assert "clock-step" not in machine.kinds()


@pytest.mark.parametrize(
    ("environ", "note", "why"),
    [
        ("", None, "crash or kill"),
        ("-11", None, "killed (signal 11)"),
        ("1", "oom-kill killed KILL", "crash (code 1)"),
        ("hung", None, "stood still and was ended"),
        ("?", "", "crash or kill"),
        ("", "oom-kill killed KILL\n", "killed: the machine had no memory left"),
        ("", "watchdog killed KILL", "stood still and was ended"),
        ("", "signal killed TERM", "killed (signal TERM)"),
        ("", "core-dump dumped SEGV", "killed (signal SEGV)"),
        ("", "exit-code exited 1", "crash (code 1)"),
        ("", "success exited 0", "crash or kill"),
        ("", "\xff" * 9000, "crash or kill"),
    ],
)
def test_how_a_run_ended_is_told_as_far_as_the_starter_says(machine: Machine, environ: str, note: str | None, why: str):
    machine.pulse()
    (machine.folder / "run").mkdir()
    if note is not None:
        (machine.folder / "run" / "control.ended").write_text(note)
    machine.kinds()
    machine.pulse({"BLOCKERD_ENDED": environ})
    assert machine.said[0]["why"] == why
    assert not (machine.folder / "run" / "control.ended").exists()


def test_a_beat_comes_every_quarter_of_an_hour_and_carries_the_last_mark_of_dns(machine: Machine):
    pulse = machine.pulse()
    machine.kinds()
    AliveMark(machine.folder / "dns.alive").mark(START, 3, 2, "b1", 9)
    for _ in range(3 * BEAT_US // (10 * SECOND)):
        machine.passes(10)
        pulse.look()
    assert [event["mark"]["run"] for event in machine.said] == [9, 9, 9]
    assert machine.kinds() == ["beat"] * 3


def test_a_beat_follows_sleep_at_once_and_no_clock_step(machine: Machine):
    pulse = machine.pulse()
    machine.kinds()
    machine.passes(5, asleep=9 * 3600)
    pulse.look()
    assert machine.kinds() == ["beat"]


@pytest.mark.parametrize("step", [3, -3, 365 * 86_400, -365 * 86_400, 3600, -3600])
def test_a_clock_that_was_set_is_told_at_the_next_look_by_how_much(machine: Machine, step: int):
    """T60: its part for the record."""
    pulse = machine.pulse()
    machine.passes(10)
    pulse.look()
    machine.kinds()
    machine.passes(10, stepped=step)
    pulse.look()
    assert [event["step"] for event in machine.said] == [step * SECOND]
    assert pulse.doubted_at == machine.now.boottime
    machine.passes(10)
    pulse.look()
    assert machine.kinds() == ["clock-step"]


def test_steps_too_small_to_be_told_one_by_one_are_told_together(machine: Machine):
    pulse = machine.pulse()
    machine.kinds()
    for _ in range(10):
        machine.passes(10, stepped=1)
        pulse.look()
    steps = [event["step"] for event in machine.said if event["kind"] == "clock-step"]
    assert 8 * SECOND <= sum(steps) <= 10 * SECOND


def test_slewing_is_no_step(machine: Machine):
    pulse = machine.pulse()
    for _ in range(2 * 3600 // 10):
        machine.passes(10, stepped=0.005)
        pulse.look()
    assert "clock-step" not in machine.kinds()


def test_a_clock_set_while_control_was_down_is_told_at_the_start(machine: Machine):
    machine.pulse().stop("told to")
    machine.kinds()
    machine.passes(60, stepped=-7200)
    machine.pulse()
    assert machine.said[0]["step"] == -7200 * SECOND
    assert machine.kinds() == ["clock-step", "start", "beat"]


def test_a_zone_that_changed_is_told_once_also_over_a_restart(machine: Machine):
    pulse = machine.pulse()
    machine.kinds()
    machine.zones = ("America/New_York", "Europe/Berlin")
    pulse.look()
    pulse.look()
    assert machine.said[0]["where"] == "machine"
    assert machine.kinds() == ["zone-step"]
    pulse.stop("told to")
    machine.zones = ("America/New_York", "UTC")
    machine.kinds()
    machine.pulse()
    assert [(e["old"], e["new"]) for e in machine.said if e["kind"] == "zone-step"] == [("Europe/Berlin", "UTC")]


def test_an_unreadable_run_file_is_told_and_gives_a_number_never_used(machine: Machine):
    machine.pulse()
    (machine.folder / "journal-run.json").write_text("{")
    machine.kinds()
    assert machine.pulse().run == START // SECOND
    assert machine.kinds()[0] == "repair"


def test_a_folder_that_takes_no_file_ends_nothing(tmp_path: Path):
    machine = Machine(tmp_path)
    machine.folder = tmp_path / "gone"
    machine.pulse().stop("told to")
    assert machine.kinds() == ["start", "beat", "stop"]


def test_the_run_file_is_private(machine: Machine):
    machine.pulse()
    path = machine.folder / "journal-run.json"
    assert path.stat().st_mode & 0o077 == 0
    assert json.loads(path.read_text())["stopped"] is False


def test_the_machine_says_its_zone_where_it_has_one(tmp_path: Path):
    link = tmp_path / "localtime"
    assert machine_zone(link) == ""
    link.symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    assert machine_zone(link) == "Europe/Berlin"


def test_clocks_go_on_together():
    one, two = clocks.read(), clocks.read()
    assert all(later >= earlier for earlier, later in zip(one, two, strict=True))
    assert two.boottime >= two.monotonic - SECOND


@pytest.mark.parametrize(
    ("later", "doubted"),
    [(60, False), (8 * 3600, False), (3 * 86_400, True), (2 * 365 * 86_400, True), (-2 * 3600, True)],
)
def test_a_clock_far_from_where_the_last_run_left_it_is_in_doubt(machine: Machine, later: int, *, doubted: bool):
    """After another boot no step can be seen."""
    machine.pulse().stop("told to")
    machine.boot, machine.now = "b2", Clocks(START + later * SECOND, 10 * SECOND, 10 * SECOND)
    pulse = machine.pulse()
    leap = later * SECOND if doubted and later > 0 else 0
    assert (pulse.doubted_at is not None, pulse.leap) == (doubted, leap)


def test_a_first_start_is_not_in_doubt(machine: Machine):
    assert machine.pulse().doubted_at is None
