"""Whose account is in front, as logind's own command tells it."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from blockerd.system.seats import Runner, glance, look

Sessions = dict[str, tuple[str, str]]


def logind(seats: dict[str, str], sessions: Sessions, broken: str = "") -> Runner:
    """`loginctl` with the active session of each seat, and (name, class) of each session."""

    def run(words: Sequence[str]) -> tuple[int, str]:
        assert words[0] == "loginctl"
        ask, *rest = [word for word in words[1:] if word != "--no-pager"]
        if ask == broken:
            return 1, "Failed to connect to bus"
        if ask == "list-seats":
            return 0, "".join(f"{seat}\n" for seat in seats)
        of, what = rest[0], rest[1].removeprefix("--property=")
        if ask == "show-seat":
            assert what == "ActiveSession"
            return 0, f"{seats[of]}\n"
        return 0, f"{sessions[of][('Name', 'Class').index(what)]}\n"

    return run


SESSIONS: Sessions = {
    "2": ("ann", "user"),
    "c1": ("gdm", "greeter"),
    "7": ("ben", "user-early"),
    "9": ("root", "manager"),
}


@pytest.mark.parametrize(
    ("seats", "people"),
    [
        ({}, set()),
        ({"seat0": ""}, set()),
        ({"seat0": "2"}, {"ann"}),
        ({"seat0": "c1"}, set()),
        ({"seat0": "9"}, set()),
        ({"seat0": "2", "seat1": "7"}, {"ann", "ben"}),
    ],
)
def test_people_are_those_whose_session_is_in_front_at_a_seat(seats: dict[str, str], people: set[str]):
    assert look(logind(seats, SESSIONS)) == people


@pytest.mark.parametrize("broken", ["list-seats", "show-seat", "show-session"])
def test_where_logind_does_not_answer_nobody_is_known(broken: str):
    assert look(logind({"seat0": "2"}, SESSIONS, broken)) == set()


def test_a_glance_differs_whenever_a_seat_has_changed(tmp_path: Path):
    assert glance(tmp_path) == ()
    seats = tmp_path / "run/systemd/seats"
    seats.mkdir(parents=True)
    (seats / "seat0").write_text("")
    before = glance(tmp_path)
    assert glance(tmp_path) == before != ()
    os.utime(seats / "seat0", ns=(1, 1))
    assert glance(tmp_path) != before
