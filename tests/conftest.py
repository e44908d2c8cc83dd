"""What every test gets: an empty environment, a reproducible hypothesis, and markers that say what a test needs.

Refuses silent skips: with CI=true a skipped test is an error, unless its reason begins with NOT_RUN, which is kept for
abilities of the kernel and listed at the end of the run. Called by pytest.
"""

import os
import shutil
import socket
from collections.abc import Generator, Iterator
from typing import TypeVar

import hypothesis
import pytest

NOT_RUN = "not run here: "
ONCE = (
    *("trials/", "scenarios/", "screentime/", "e2e/test_screentime.py", "e2e/test_home.py", "lists/test_offline.py"),
    *("report/test_verify_page.py", "report/test_verify_tampering.py", "report/test_mail_html.py"),
    *("report/test_compose.py", "journal/test_storm.py"),
    *("e2e/test_sharing.py", "e2e/test_quarter.py", "e2e/test_roads.py", "e2e/test_outage.py", "e2e/test_disk.py"),
    *("e2e/test_second_user.py", "e2e/test_without_linux.py", "control/test_reports_clock.py"),
    "report/test_quarter_journal.py",  # a quarter through SQLite and the checker, each of which has tests of its own
    *("lists/test_formats_published.py", "lists/test_starter.py", "lists/test_protected.py"),  # judge files of data
    *("house/test_form.py", "house/test_words.py"),  # read the sources as text, and `make check` has run them
)
"""Tests that tell nothing new on another Python: real browsers and screens, much traffic, pure scenarios."""

CI = os.environ.get("CI") == "true"

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if CI else "local")

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


@pytest.fixture(autouse=True, scope="session")
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test and no fixture sees the settings or state of the person who runs the suite, nor do their processes."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("BLOCKERD_", "XDG_")):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # else each process compiles the whole program anew
        yield


@pytest.fixture(autouse=True)
def _own_umask() -> Iterator[None]:
    """The command line makes files for their owner alone; a test that runs it in this process leaves none of that."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def free_port() -> int:
    """A port on 127.0.0.1 that was free for UDP and TCP a moment ago. Prefer port 0 wherever the code allows it."""
    for _ in range(100):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.fail("no port on 127.0.0.1 is free for both UDP and TCP")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(f"tests/{part}" in item.path.as_posix() for part in ONCE):
            item.add_marker(pytest.mark.once)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs_tool"):
        _need_tool(*marker.args, **marker.kwargs)
    for marker in item.iter_markers("needs_kernel"):
        _need_kernel(*marker.args, **marker.kwargs)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _judge_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _judge_skip((yield))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = [_reason(report) for report in terminalreporter.stats.get("skipped", [])]
    for reason in sorted({reason for reason in reasons if reason.startswith(NOT_RUN)}):
        terminalreporter.write_line(f"{reason} ({reasons.count(reason)} tests)")


def _need_tool(name: str, package: str | None = None) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is missing: install {package or name}")


def _need_kernel(ability: str, present: bool) -> None:
    if not present:
        pytest.skip(NOT_RUN + ability)


def _judge_skip(report: _Report) -> _Report:
    """In CI a skip that is no kernel's fault counts as an error. An expected failure is reported as skipped too."""
    if CI and report.skipped and not hasattr(report, "wasxfail") and not _reason(report).startswith(NOT_RUN):
        report.longrepr = f"skipped, which CI does not accept: {_reason(report)}"
        report.outcome = "failed"
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
