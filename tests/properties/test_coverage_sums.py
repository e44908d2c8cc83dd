"""A simulated machine that sleeps, is killed, frozen, cut off and set to wrong times: coverage against the truth.

The machine keeps its true history; the signs it leaves are those that the real program records. Coverage never claims
more than the truth, tiles every period, and finds the gaps.
"""

from dataclasses import dataclass, field
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockerd.report.coverage import Boot, Sign, State, Stretch, What, is_hole, minutes, stretches, total, within
from blockerd.report.period import Day, midnight
from blockerd.report.signs import BEAT_US, MARK_US

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
MARK = 30 * SECOND
START = 1_795_000_000 * SECOND
BOOTING = 20 * SECOND


@dataclass
class Machine:
    """A machine with true time `now`; `truth` is what really happened, `signs` what blockerd wrote down."""

    now: int = START
    step: int = 0
    boot: int = 0
    run: int = 0
    booted: int = START
    slept: int = 0
    running: bool = False
    truth: list[Stretch] = field(default_factory=list)
    signs: list[Sign] = field(default_factory=list)
    boots: list[Boot] = field(default_factory=list)
    unclean: int = 0
    mark: Sign | None = None
    beat_at: int = 0
    awake: int = START

    def sign(self, what: What) -> Sign:
        boottime = self.now - self.booted
        return Sign(self.now + self.step, f"b{self.boot}", self.run, boottime, boottime - self.slept, what)

    def add(self, length: int, state: State) -> None:
        if length:
            self.truth.append(Stretch(self.now, self.now + length, state))
            self.now += length
        if state != State.ASLEEP:
            self.awake = self.now + self.step

    def start(self) -> None:
        self.run += 1
        if self.mark:
            last = self.mark
            self.signs.append(
                Sign(last.wall_us, last.boot, last.run, last.boottime_us, last.monotonic_us, What.UNCLEAN)
            )
        self.signs.append(self.sign(What.START))
        self.mark, self.running = self.signs[-1], True
        self.beat_at = self.now + BEAT_US

    def power_on(self) -> None:
        self.boot += 1
        self.booted, self.slept = self.now, 0
        self.add(BOOTING, State.OFF)

    def power_off(self, length: int) -> None:
        """The system's own record of a boot ends with the last moment in which something could write it."""
        self.boots.append(Boot(f"b{self.boot}", self.booted + self.step, self.awake))
        self.add(length, State.OFF)

    def on(self, length: int) -> None:
        """Awake time: monitored in steps of a mark, or not at all."""
        if not self.running:
            self.add(length, State.UNMONITORED)
            return
        end = self.now + length
        while self.now < end:
            self.add(min(MARK, end - self.now), State.MONITORED)
            self.tick()

    def tick(self) -> None:
        """What the program does every 30 s."""
        now = self.sign(What.MARK)
        assert self.mark
        if is_hole(self.mark, now):
            last = self.mark
            self.signs.append(Sign(last.wall_us, last.boot, last.run, last.boottime_us, last.monotonic_us, What.MARK))
            self.signs.append(self.sign(What.AGAIN))
        if self.now >= self.beat_at:
            self.signs.append(self.sign(What.BEAT))
            self.beat_at = self.now + BEAT_US
        self.mark = now

    def sleep(self, length: int) -> None:
        self.add(length, State.ASLEEP)
        self.slept += length

    def freeze(self, length: int) -> None:
        """SIGSTOP: the machine runs, the program does not."""
        self.add(length, State.UNMONITORED)

    def kill(self) -> None:
        if self.running:
            self.unclean += 1
        self.running = False

    def stop(self) -> None:
        if self.running:
            self.signs.append(self.sign(What.STOP))
            self.mark = None
        self.running = False

    def of(self, state: State) -> int:
        return sum(part.end_us - part.start_us for part in self.truth if part.state == state)


def play(actions: list[tuple[str, int]]) -> Machine:
    """A history of `actions`, each with a length in seconds, ended by a minute of running."""
    machine = Machine()
    machine.power_on()
    machine.start()
    for name, seconds in actions:
        length = seconds * SECOND
        match name:
            case "run":
                machine.on(length)
            case "sleep":
                machine.sleep(length)
            case "freeze" if machine.running:
                machine.freeze(length)
                machine.tick()
            case "kill":
                machine.kill()
                machine.on(length)
                machine.start()
            case "stop":
                machine.stop()
                machine.on(length)
                machine.start()
            case "asleep unseen":
                machine.stop()
                machine.sleep(length)
                machine.on(MINUTE)
                machine.start()
            case "reboot":
                machine.stop()
                machine.power_off(length)
                machine.power_on()
                machine.start()
            case "cut":
                machine.kill()
                machine.power_off(length)
                machine.power_on()
                machine.start()
            case "unseen boot":
                machine.stop()
                machine.power_off(5 * MINUTE)
                machine.power_on()
                machine.on(length)
                machine.power_off(5 * MINUTE)
                machine.power_on()
                machine.start()
            case "step":
                machine.step += (seconds - 10_000) * 50 * SECOND
    machine.on(MINUTE)
    machine.stop()
    machine.power_off(0)
    return machine


STEADY = ("run", "sleep", "freeze", "kill", "stop", "reboot", "cut", "unseen boot", "asleep unseen")
LENGTH = st.integers(0, 20_000)
HISTORY = st.lists(st.tuples(st.sampled_from(STEADY), LENGTH), max_size=12)
CLOCKS = st.lists(st.tuples(st.sampled_from((*STEADY, "step", "step")), LENGTH), max_size=14)


def unseen(actions: list[tuple[str, int]]) -> int:
    """Standing still for less than one mark may last leaves no trace."""
    return sum(seconds * SECOND for name, seconds in actions if name == "freeze" and seconds * SECOND <= MARK_US)


def of(parts: tuple[Stretch, ...], state: State) -> int:
    return sum(part.end_us - part.start_us for part in parts if part.state == state)


def overlap(parts: tuple[Stretch, ...], truth: list[Stretch], claimed: State, real: State) -> int:
    """How long `parts` claim one state while another was real."""
    return sum(
        max(0, min(part.end_us, was.end_us) - max(part.start_us, was.start_us))
        for part in parts
        if part.state == claimed
        for was in truth
        if was.state == real
    )


def assert_tiles(parts: tuple[Stretch, ...], start: int, end: int) -> None:
    at = start
    for part in parts:
        assert part.start_us == at
        assert part.end_us > at
        at = part.end_us
    assert at == end
    counted = minutes(parts)
    assert sum(counted.values()) == (end - start) // MINUTE
    for state, count in counted.items():
        assert abs(count - of(parts, state) / MINUTE) < 1
        assert count or of(parts, state) < MINUTE


@given(HISTORY, st.booleans())
@settings(deadline=None)
def test_with_a_true_clock_coverage_is_the_truth(actions: list[tuple[str, int]], has_records: bool):
    machine = play(actions)
    boots = machine.boots if has_records else None
    parts = stretches(START, machine.now, machine.signs, boots, machine.now)
    assert_tiles(parts, START, machine.now)
    assert of(parts, State.MONITORED) <= machine.of(State.MONITORED) + unseen(actions)
    holes = sum(name in ("kill", "cut", "freeze", "sleep") for name, _ in actions)
    assert of(parts, State.MONITORED) >= machine.of(State.MONITORED) - holes * MARK
    assert overlap(parts, machine.truth, State.MONITORED, State.UNMONITORED) <= holes * MARK + unseen(actions)
    assert overlap(parts, machine.truth, State.MONITORED, State.OFF) == 0
    # A machine that never wakes from its sleep was, as far as anybody can tell, off.
    resting = machine.of(State.OFF) + machine.of(State.ASLEEP)
    shown = of(parts, State.OFF) + of(parts, State.ASLEEP)
    if has_records:
        assert of(parts, State.NOT_RUNNING) == 0
        assert abs(shown - resting) <= (len(actions) + 1) * 2 * MINUTE
    else:
        assert shown + of(parts, State.NOT_RUNNING) + (len(actions) + 1) * MINUTE >= resting


@given(HISTORY)
@settings(deadline=None)
def test_a_gap_of_unmonitored_time_is_found_to_a_minute(actions: list[tuple[str, int]]):
    """Each way to leave time unmonitored costs at most half a minute of exactness at its begin."""
    machine = play(actions)
    parts = stretches(START, machine.now, machine.signs, machine.boots, machine.now)
    real = machine.of(State.UNMONITORED)
    slack = sum(name != "run" for name, _ in actions) * MINUTE
    missing = overlap(parts, machine.truth, State.OFF, State.UNMONITORED)
    assert real - slack <= of(parts, State.UNMONITORED) + of(parts, State.UNKNOWN) + missing
    assert of(parts, State.UNMONITORED) <= real + slack
    assert missing <= len(actions) * 2 * MINUTE


@given(CLOCKS, st.booleans())
@settings(deadline=None)
def test_however_the_clock_is_set_no_minute_counts_twice(actions: list[tuple[str, int]], has_records: bool):
    machine = play(actions)
    now = machine.now + machine.step
    whole = (START - 30 * 86400 * SECOND, START + 60 * 86400 * SECOND)
    parts = stretches(*whole, machine.signs, machine.boots if has_records else None, now)
    assert_tiles(parts, whole[0], max(whole[0], min(whole[1], now)))
    assert of(parts, State.MONITORED) <= machine.of(State.MONITORED) + unseen(actions)
    assert of(parts, State.ASLEEP) <= machine.of(State.ASLEEP) + SECOND


@given(
    st.lists(
        st.builds(
            Sign,
            st.integers(START - HOUR, START + 40 * HOUR),
            st.sampled_from(("", "a", "b", "c")),
            st.integers(0, 4),
            st.integers(-5, 40 * HOUR),
            st.integers(-5, 40 * HOUR),
            st.sampled_from(What),
        ),
        max_size=12,
    ),
    st.none()
    | st.lists(
        st.builds(
            Boot,
            st.sampled_from(("", "a", "b", "d")),
            st.integers(START - HOUR, START + 40 * HOUR),
            st.integers(START - HOUR, START + 40 * HOUR),
        ),
        max_size=5,
    ),
    st.integers(START - HOUR, START + 40 * HOUR),
)
def test_senseless_signs_still_tile_the_period(signs: list[Sign], boots: list[Boot] | None, now: int):
    assert_tiles(stretches(START, START + 24 * HOUR, signs, boots, now), START, max(START, min(START + 24 * HOUR, now)))


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2026, 6, 1)])
@given(HISTORY)
@settings(deadline=None, max_examples=25)
def test_days_of_any_length_sum_to_the_whole(day: date, actions: list[tuple[str, int]]):
    zone = ZoneInfo("Europe/Berlin")
    days = [
        Day(d, midnight(d, zone), midnight(date.fromordinal(d.toordinal() + 1), zone)) for d in (day, day_after(day))
    ]
    machine = play(actions)
    moved = days[0].start - START + 20 * HOUR
    signs = [Sign(s.wall_us + moved, s.boot, s.run, s.boottime_us, s.monotonic_us, s.what) for s in machine.signs]
    whole = stretches(days[0].start, days[1].end, signs, None, days[1].end)
    parts = [within(whole, each.start, each.end) for each in days]
    for each, part in zip(days, parts, strict=True):
        assert_tiles(part, each.start, each.end)
        assert part == stretches(each.start, each.end, signs, None, days[1].end)
    summed = total(minutes(part) for part in parts)
    assert sum(summed.values()) == (days[1].end - days[0].start) // MINUTE
    for state in State:
        assert sum(of(part, state) for part in parts) == of(whole, state)


def day_after(day: date) -> date:
    return date.fromordinal(day.toordinal() + 1)
