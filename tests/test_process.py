"""One instance per state folder, and the tie between a child and its supervisor."""

import asyncio
import ctypes
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from blockerd import clock, process
from blockerd.process import ENV_LIFE, ENV_WORDS, AlreadyRunning, Instance, Lifeline, running_pid
from blockerd.settings import Settings, load
from tests.e2e.install import environment


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "b.toml").write_text("")
    return load(tmp_path / "b.toml", {}, tmp_path)


class MacLibrary:
    """Plays sysctlbyname(3) of macOS for the one name that is asked; `told` None: the kernel has no such name."""

    def __init__(self, told: bytes | None) -> None:
        self._told = told

    def sysctlbyname(self, name: bytes, text: Any, size: Any, _new: None, _length: Any) -> int:  # noqa: ANN401
        assert name == b"kern.bootsessionuuid"
        if self._told is None:
            return -1
        text.value = self._told
        size._obj.value = len(self._told) + 1
        return 0


@pytest.mark.parametrize(("told", "boot"), [(b"6F1C-22", "6F1C-22"), (None, "")])
def test_without_proc_the_boot_is_asked_of_the_kernel(monkeypatch: pytest.MonkeyPatch, told: bytes | None, boot: str):
    """Written from sysctl(3) of macOS and never run there."""
    monkeypatch.setattr(process, "_BOOT_ID", Path("/nowhere/boot_id"))
    assert process.boot_id() == "", "no such call in this C library"
    monkeypatch.setattr(ctypes, "CDLL", lambda _: MacLibrary(told))
    assert process.boot_id() == boot


def test_each_system_has_one_clock_that_runs_on_in_sleep(monkeypatch: pytest.MonkeyPatch):
    assert clock.boot_line("linux") == time.CLOCK_BOOTTIME
    assert clock.boot_line("darwin") == time.CLOCK_MONOTONIC_RAW
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert clock.boot_line("linux") is None


HOLD = """
import sys
from pathlib import Path
from blockerd.process import Instance
from blockerd.settings import load
held = Instance(load(Path(sys.argv[1]), {}, Path("/")), "dns")
print("held", flush=True)
sys.stdin.read()
"""


class Holder:
    """Another process that holds the instance `dns` of these settings."""

    def __init__(self, settings: Settings) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(settings.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=environment(),
        )  # fmt: skip
        assert self.process.stdout
        assert self.process.stdout.readline() == b"held\n"

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_a_second_instance_is_refused_with_the_pid_of_the_first(settings: Settings):
    with Holder(settings) as first:
        assert running_pid(settings, "dns") == first.pid
        with pytest.raises(AlreadyRunning, match=f"blockerd dns is already running with pid {first.pid}") as refused:
            Instance(settings, "dns")
        assert refused.value.pid == first.pid
        Instance(settings, "control")  # another kind of process may run
    assert running_pid(settings, "dns") == 0


def test_the_instance_ends_with_its_process_even_killed(settings: Settings):
    with Holder(settings) as first:
        first.kill()
        first.wait()
        Instance(settings, "dns", patience=0)
        assert running_pid(settings, "dns") == os.getpid()


def test_a_patient_instance_follows_one_that_is_ending(settings: Settings):
    with Holder(settings) as first:
        threading.Timer(0.3, first.kill).start()
        Instance(settings, "dns", patience=5)
        assert running_pid(settings, "dns") == os.getpid()


def test_looking_who_runs_never_refuses_a_start(settings: Settings):
    end = threading.Event()

    def look() -> None:
        while not end.is_set():
            running_pid(settings, "dns")

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(100):
            os.close(Instance(settings, "dns", patience=2.0)._fd)
    finally:
        end.set()
        looking.join()


def test_nobody_runs_where_there_is_no_file(settings: Settings):
    assert running_pid(settings, "dns") == 0
    assert not settings.state.dir.exists()


def test_a_lifeline_tells_when_the_other_end_is_gone(monkeypatch: pytest.MonkeyPatch):
    life_read, life_write = os.pipe()
    words_read, words_write = os.pipe()
    monkeypatch.setenv(ENV_LIFE, str(life_read))
    monkeypatch.setenv(ENV_WORDS, str(words_write))

    async def run() -> None:
        ended = asyncio.Event()
        lifeline = Lifeline.from_environment()
        lifeline.watch(asyncio.get_running_loop(), ended.set)
        lifeline.say("ready")
        await asyncio.sleep(0)
        assert not ended.is_set()
        os.close(life_write)
        async with asyncio.timeout(2):
            await ended.wait()

    asyncio.run(run())
    assert os.read(words_read, 100) == b"ready\n"
    assert ENV_LIFE not in os.environ
    for fd in (life_read, words_read, words_write):
        os.close(fd)


def test_a_process_without_a_supervisor_has_a_lifeline_that_does_nothing():
    lifeline = Lifeline.from_environment()
    lifeline.say("ready")
    loop = asyncio.new_event_loop()
    lifeline.watch(loop, lambda: pytest.fail("ended"))
    loop.close()


def test_words_to_a_supervisor_that_is_gone_are_dropped():
    read, write = os.pipe()
    os.close(read)
    Lifeline(-1, write).say("ready")
    os.close(write)


COUNT_HEAPS = """
import ctypes, sys, threading
from blockerd.process import share_heap
if sys.argv[1] == "shared":
    share_heap()
meet, libc = threading.Barrier(4), ctypes.CDLL(None)
def work():
    held = [bytearray(4000) for _ in range(100)]
    meet.wait()
    del held
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fdopen.restype = ctypes.c_void_p
out = libc.fdopen(1, b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fflush(ctypes.c_void_p(out))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has its own ways")
def test_threads_share_one_heap_once_told_to() -> None:
    def heaps(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", COUNT_HEAPS, how], capture_output=True, text=True, check=True)
        return done.stdout.count("<heap nr=")

    assert heaps("shared") == 1 < heaps("as they are")
