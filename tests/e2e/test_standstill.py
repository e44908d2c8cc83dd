"""A process of the daemon that stands still is ended, started again, and on record as such (T103)."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from blockerd.journal.log import open_log
from tests.e2e.install import Install, kill, wait_until


@pytest.mark.soak
def test_dns_and_control_that_stand_still_are_back_within_30_seconds_and_on_record(
    tmp_path: Path, record_property: Callable[[str, object], None]
):
    install = Install(tmp_path, 9)
    try:
        install.run()
        before = {name: install.pid(name) for name in ("dns", "control")}
        time.sleep(5)  # both have said that they live
        for pid in before.values():
            kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        wait_until(lambda: all(install.pid(name) not in (0, pid) for name, pid in before.items()), 30, install.said)
        install.wait_answering(30 - (time.monotonic() - began))
        record_property("seconds", round(time.monotonic() - began, 1))
        wait_until(lambda: len(_unclean(install)) == 2, 10, install.said)
    finally:
        install.end()
    assert _unclean(install) == {("control", "stood still and was ended"), ("dns", "stood still and was ended")}


def _unclean(install: Install) -> set[tuple[str, str]]:
    with open_log(install.var / "journal.sqlite") as log:
        assert log
        told = [json.loads(one.event) for one in log.openings(["unclean"])]
    return {(str(one["process"]), str(one["why"])) for one in told}
