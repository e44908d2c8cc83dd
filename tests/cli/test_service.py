"""What systemd hears of a process that it watches."""

import pytest

from blockerd.cli.service import watch
from blockerd.system.notify import Notifier


class Ear(Notifier):
    """Keeps what is told, and ends the watch with the last answer."""

    def __init__(self) -> None:
        super().__init__("@nobody", 15.0)
        self.told: list[str] = []

    def tell(self, state: str) -> bool:
        self.told.append(state)
        return True


def test_an_answer_that_came_too_late_once_ends_nobody():
    """Looks are 15 s apart and death comes 30 s after the last word: the look after one that failed follows at once."""
    ear, pauses = Ear(), list[float]()
    answers = iter([False, True, True, False, True])
    with pytest.raises(StopIteration):
        watch(ear, lambda: next(answers), pauses.append)
    assert ear.told == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
    assert pauses == [0.2, 15.0, 15.0, 0.2, 15.0]
