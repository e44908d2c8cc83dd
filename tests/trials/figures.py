"""Puts what a long trial measured into the table of docs/resolver-trials.md, each trial into its own row.

Refuses a trial that has no row there. Called by the trials marked `soak`.
"""

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

from blockerd import clock

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "resolver-trials.md"


def note(trial: str, measured: str, document: Path = DOCUMENT) -> None:
    """Writes `measured` and where it was measured into the row of `trial`."""
    text = document.read_text("utf-8")
    row = re.search(rf"^\| {re.escape(trial)} \|([^|]*)\|[^|]*\|[^|]*\|([^|]*)\|$", text, flags=re.MULTILINE)
    assert row, f"{document.name} has no row for {trial}"
    fresh = f"| {trial} |{row[1]}| {measured} | {_where()} |{row[2]}|"
    document.write_text(text[: row.start()] + fresh + text[row.end() :], "utf-8")


def _where() -> str:
    day = datetime.fromtimestamp(clock.now(), UTC).date()
    return f"{day}, {os.cpu_count()} cores, Python {platform.python_version()}"
