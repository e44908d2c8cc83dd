"""kill -9 under load, and upstreams that are dead: no refused question is lost or counted twice, no answer waits.

The load asks distinct listed names, so the log can be compared with the answers name by name.
"""

import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.install import NXDOMAIN, SERVFAIL, Install, kill, packet, wait_until
from tests.e2e.stub import Stub

NAMES = 6_000
KILLS = 4


class Load:
    """Asks name after name over UDP, at most WINDOW waiting, until told to end; `answered` are those refused.

    `rate` is a bound on questions a second, 0 for none.
    """

    WINDOW = 16

    def __init__(self, port: int, names: int = NAMES, rate: int = 0) -> None:
        self.answered: set[int] = set()
        self.asked = 0
        self._port = port
        self._names = names
        self._pause = self.WINDOW / rate if rate else 0.002
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def end(self) -> None:
        self._end.set()
        self._thread.join(10)

    def _ask(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.1)
            sock.connect(("127.0.0.1", self._port))
            began, windows = time.monotonic(), 0
            while not self._end.is_set() and self.asked < self._names:
                burst = range(self.asked, self.asked + self.WINDOW)
                self.asked += self.WINDOW
                for number in burst:
                    self._quietly(sock.send, packet(f"n{number}.test", number=number & 0xFFFF))
                for _ in burst:
                    if not self._quietly(self._take, sock):
                        break
                windows += 1
                time.sleep(max(0.0, began + windows * self._pause - time.monotonic()))

    def _take(self, sock: socket.socket) -> None:
        data = sock.recv(512)
        if data[3] & 15 == NXDOMAIN:
            label = data[13 : 13 + data[12]]
            self.answered.add(int(label[1:]))

    @staticmethod
    def _quietly(do: object, argument: object) -> bool:
        assert callable(do)
        try:
            do(argument)
        except OSError:  # nobody listens at this moment
            return False
        return True


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    install = Install(tmp_path, 9)
    text = "".join(f"n{n}.test\n" for n in range(NAMES))
    install.configure(install.add_list("mine", text) + '[privacy]\nlevel = "name"\n')
    yield install
    install.end()
    assert "Traceback" not in install.said()


def test_what_was_refused_is_in_the_log_once_whoever_is_killed_when(install: Install):
    process = install.run()
    chance = random.Random(7)
    load = Load(install.port)
    kills = 0
    for _ in range(KILLS):
        before = len(load.answered)
        wait_until(lambda before=before: len(load.answered) > before + 20, 5, install.said)  # type: ignore[misc]
        time.sleep(chance.random() * 0.15)
        victim = chance.choice(["dns", "control"])
        if pid := install.pid(victim):
            kill(pid, signal.SIGKILL)
            kills += 1
            wait_until(lambda v=victim, p=pid: install.pid(v) not in (0, p), 5, install.said)  # type: ignore[misc]
    load.end()
    assert kills >= KILLS // 2
    assert len(load.answered) > 500
    _matches(install, load.answered, load.asked)
    process.kill()
    wait_until(lambda: not install.pid("dns") and not install.pid("control"), 2)
    install.run()
    _matches(install, load.answered, load.asked)


@pytest.mark.soak
def test_fifty_kills_at_a_thousand_questions_a_second_lose_and_double_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
):
    """T50 with everything real: every refused question is in the log once, the log verifies, restarts take 2 s."""
    names, kills = 150_000, 50
    install = Install(tmp_path, 9)
    text = "".join(f"n{n}.test\n" for n in range(names))
    install.configure(install.add_list("mine", text) + '[privacy]\nlevel = "name"\n')
    chance, longest, killed = random.Random(50), {"dns": 0.0, "control": 0.0}, 0
    try:
        install.run()
        load = Load(install.port, names, 1000)
        while killed < kills:
            before = len(load.answered)
            wait_until(lambda before=before: len(load.answered) > before + 100, 10, install.said)  # type: ignore[misc]
            time.sleep(chance.random() * 0.5)
            victim = "control" if killed % 2 else "dns"
            pid = install.pid(victim)
            kill(pid, signal.SIGKILL)
            began, killed = time.monotonic(), killed + 1
            wait_until(lambda v=victim, p=pid: install.pid(v) not in (0, p), 5, install.said)  # type: ignore[misc]
            if victim == "dns":
                install.wait_answering(5)
            else:
                wait_until(lambda: install.call("status").returncode == 0, 5, install.said)
            longest[victim] = max(longest[victim], time.monotonic() - began)
        load.end()
        _matches(install, load.answered, load.asked)
        assert install.call("log", "check").returncode == 0
    finally:
        install.end()
    record_property("refused questions", len(load.answered))
    record_property("longest restart of dns, seconds", round(longest["dns"], 2))
    record_property("longest restart of control, seconds, a status command included", round(longest["control"], 2))
    assert max(longest.values()) <= 2.0


def test_sigterm_under_load_loses_and_doubles_nothing(install: Install):
    asked = 0
    for _ in range(2):
        process = install.run()
        load = Load(install.port)
        wait_until(lambda load=load: len(load.answered) > 300, 5)  # type: ignore[misc]
        process.terminate()
        assert process.wait(2.0) == 0
        load.end()
        asked = max(asked, load.asked)  # the record has both loads, and either may be the longer one
        _matches(install, load.answered, asked, more=2)


def _matches(install: Install, answered: set[int], asked: int, more: int = 1) -> None:
    """Every refused name is there; none more often than it was asked; a question without answer may be there too."""
    counts: dict[int, int] = {}
    for row in install.log():
        if row["source"] == "mine":
            assert len(row["names"]) == 1
            number = int(row["names"][0][1:].partition(".")[0])
            counts[number] = counts.get(number, 0) + row["count"]
    assert answered - counts.keys() == set()
    assert {number: count for number, count in counts.items() if count > more} == {}
    assert max(counts) < asked


def test_with_dead_upstreams_refusals_are_as_fast_and_others_get_servfail_within_5_seconds(tmp_path: Path):
    with Stub(silent=True) as stub:
        install = Install(tmp_path, stub.port)
        install.configure(install.add_list("mine", "listed.test\n"))
        try:
            install.run()
            before = _median(install)
            waiting = [_Waiting(install, f"open{n}.test") for n in range(20)]
            wait_until(lambda: stub.asked >= 20, 2)
            during = _median(install)
            replies = [one.reply() for one in waiting]
        finally:
            install.end()
    assert {rcode for rcode, _ in replies} == {SERVFAIL}
    assert max(seconds for _, seconds in replies) < 5.0
    assert during < max(4 * before, 0.01)


def test_with_nobody_at_the_upstream_others_get_servfail_within_5_seconds(tmp_path: Path):
    install = Install(tmp_path, 1)
    try:
        install.run()
        assert install.ask("open.test", timeout=5).rcode == SERVFAIL
        assert install.rcode("blocked.example") == NXDOMAIN
    finally:
        install.end()


def _median(install: Install) -> float:
    times = sorted(install.ask("listed.test").seconds for _ in range(101))
    return times[50]


class _Waiting:
    """A question whose answer is fetched later."""

    def __init__(self, install: Install, name: str) -> None:
        self._got: list[tuple[int, float]] = []
        self._thread = threading.Thread(target=self._ask, args=(install, name))
        self._thread.start()

    def _ask(self, install: Install, name: str) -> None:
        reply = install.ask(name, timeout=6)
        self._got.append((reply.rcode, reply.seconds))

    def reply(self) -> tuple[int, float]:
        self._thread.join(10)
        return self._got[0]
