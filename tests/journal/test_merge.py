"""Which questions are one attempt, and which signs of life are one span."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.journal.merge import GAP_US, LONGEST_US, NAMES_PER_HOUR, SPAN_GAP_US, Marks, Merger, Question, Row, Span

T = 1_795_370_400_000_000 // LONGEST_US * LONGEST_US


class Store:
    """A journal in memory: what one Merger leaves is what the next one finds."""

    def __init__(self):
        self.rows: list[Row] = []

    def take(self, questions: Sequence[Question]):
        merger = Merger(self.find, self.known)
        merger.add(questions)
        for row in merger.rows:
            if row.key is None:
                row.key = len(self.rows)
                self.rows.append(row)
            row.before = row.count

    def find(self, keys: list[tuple[str, int]], since: int):
        return {(r.site, r.origin): r for r in self.rows if (r.site, r.origin) in set(keys) and r.last >= since}

    def known(self, site: str, origin: int, hour: int):
        own = [r for r in self.rows if (r.site, r.origin) == (site, origin) and r.first // LONGEST_US == hour]
        return {name for row in own for name in row.names}


def merged(*questions: tuple[int, str, int, str]):
    store = Store()
    store.take([Question(*q) for q in questions])
    return store.rows


def test_questions_up_to_a_minute_apart_are_one_attempt():
    (row,) = merged((T, "site.test", 1, ""), (T + GAP_US, "site.test", 1, ""), (T + 2 * GAP_US, "site.test", 1, ""))
    assert (row.first, row.last, row.count) == (T, T + 2 * GAP_US, 3)


def test_a_question_more_than_a_minute_later_is_a_new_attempt():
    assert [row.count for row in merged((T, "site.test", 1, ""), (T + GAP_US + 1, "site.test", 1, ""))] == [1, 1]


def test_sites_and_origins_are_kept_apart():
    assert len(merged((T, "a.test", 1, ""), (T, "b.test", 1, ""), (T, "a.test", 2, ""))) == 3


def test_an_attempt_ends_after_an_hour_without_a_pause():
    rows = merged(*((T + n * GAP_US, "site.test", 1, "") for n in range(61)))
    assert [(row.first, row.count) for row in rows] == [(T, 60), (T + LONGEST_US, 1)]


def test_a_clock_set_back_a_little_keeps_one_attempt_and_never_a_negative_length():
    (row,) = merged((T, "site.test", 1, ""), (T - GAP_US, "site.test", 1, ""))
    assert (row.first, row.last, row.count) == (T - GAP_US, T, 2)


def test_a_clock_set_back_far_begins_a_new_attempt():
    assert len(merged((T, "site.test", 1, ""), (T - GAP_US - 1, "site.test", 1, ""))) == 2


def test_names_of_one_site_and_hour_are_capped_and_then_only_counted():
    rows = merged(*((T + n, "site.test", 1, f"n{n}.site.test") for n in range(NAMES_PER_HOUR + 5)))
    assert [(len(row.names), row.more, row.count) for row in rows] == [(NAMES_PER_HOUR, 5, NAMES_PER_HOUR + 5)]


def test_the_cap_holds_across_attempts_of_the_same_hour_and_is_new_in_the_next():
    later = T + 10 * GAP_US
    rows = merged(
        *((T + n, "site.test", 1, f"n{n}.site.test") for n in range(NAMES_PER_HOUR)),
        (later, "site.test", 1, "other.site.test"),
        (later, "site.test", 1, "n0.site.test"),
        (T + LONGEST_US + GAP_US, "site.test", 1, "other.site.test"),
    )
    assert [(len(row.names), row.more) for row in rows] == [(NAMES_PER_HOUR, 0), (1, 1), (1, 0)]
    assert rows[1].names == ["n0.site.test"]


questions = st.lists(
    st.builds(
        Question,
        st.integers(0, 400).map(lambda tens: T + tens * 10_000_000),
        st.sampled_from(["a.test", "b.test"]),
        st.integers(1, 2),
        st.sampled_from(["", "x", "y", "z"]),
    ),
    max_size=60,
).map(sorted)


@given(questions, st.lists(st.integers(0, 60)))
def test_how_questions_are_batched_makes_no_difference(story: list[Question], cuts: list[int]):
    whole, parts = Store(), Store()
    whole.take(story)
    at = 0
    for cut in [*sorted(cuts), len(story)]:
        parts.take(story[at:cut])
        at = max(at, cut)
    assert [(r.first, r.last, r.site, r.origin, r.count, r.names) for r in parts.rows] == [
        (r.first, r.last, r.site, r.origin, r.count, r.names) for r in whole.rows
    ]


@given(questions)
def test_every_question_is_in_exactly_one_attempt(story: list[Question]):
    rows = merged(*story)
    assert sum(row.count for row in rows) == len(story)
    assert all(row.first <= row.last < row.first + LONGEST_US for row in rows)


def spans(*marks: tuple[int, str], find: Callable[[str, str | None], Span | None] = lambda process, boot: None):
    taken = Marks(find)
    for at, state in marks:
        taken.add(T + at * SPAN_GAP_US // 150, "dns", "b1", state)
    return [(span.first - T, span.last - T, span.ended) for span in taken.spans]


def test_signs_of_life_make_one_span_from_start_to_stop():
    assert spans((0, "start"), (60, "alive"), (120, "alive"), (130, "stop")) == [(0, 130_000_000, True)]


def test_a_hole_in_the_signs_is_not_filled():
    assert spans((0, "start"), (60, "alive"), (600, "alive"), (660, "alive")) == [
        (0, 60_000_000, False),
        (600_000_000, 660_000_000, False),
    ]


def test_a_start_begins_a_span_whatever_was_before():
    assert spans((0, "start"), (10, "start"), (20, "alive")) == [(0, 0, False), (10_000_000, 20_000_000, False)]


def test_nothing_lengthens_a_span_that_was_ended():
    assert spans((0, "start"), (60, "stop"), (61, "alive")) == [(0, 60_000_000, True), (61_000_000, 61_000_000, False)]


def test_a_span_written_before_is_lengthened():
    before = Span(5, "dns", "b1", T, T + 30_000_000)
    assert spans((60, "alive"), find=lambda process, boot: before) == [(0, 60_000_000, False)]
    assert before.key == 5


def test_a_clock_set_back_makes_a_new_span_and_never_a_negative_one():
    assert spans((100, "start"), (50, "alive")) == [(100_000_000, 100_000_000, False), (50_000_000, 50_000_000, False)]


def test_an_unknown_state_is_refused():
    with pytest.raises(ValueError, match="no state"):
        spans((0, "asleep"))
