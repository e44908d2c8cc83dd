"""Writes RESULTS.md: a section for each benchmark with its date and command, so that one can be measured again alone.

Also says what machine this is. Called by every benchmark; sections that were not measured stay as they are.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
ORDER = ("ratios", "against", "table", "startup", "memory", "burst", "swap", "soak")
BUSY = os.getloadavg()[0]  # at the start: whatever else the machine was doing
HEAD = "# Results\n\nWritten by `python -m bench`. README.md tells how to read it and what cannot be compared.\n"


def write(section: str, title: str, body: Iterable[str], path: Path = RESULTS) -> None:
    """Put this section into RESULTS.md in place of the one before; the others stay as they are."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    parts = dict(re.findall(r"<!-- begin (\w+) -->\n(.*?)<!-- end \1 -->", text, flags=re.DOTALL))
    parts[section] = "\n".join([f"## {title}", "", stamp(), "", *body, ""])
    rest = [name for name in parts if name not in ORDER]
    blocks = [f"<!-- begin {name} -->\n{parts[name]}<!-- end {name} -->\n" for name in (*ORDER, *rest) if name in parts]
    path.write_text("\n".join([HEAD, *blocks]), encoding="utf-8")


def stamp() -> str:
    """When, on what, by which command."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    command = "python -m " + ".".join(Path(sys.argv[0]).with_suffix("").parts[-2:]).removesuffix(".__main__")
    told = ["CHECKOUT" if Path(word).is_dir() else word for word in sys.argv[1:]]  # where it lies is nobody's business
    return f"{when} · `{' '.join([command, *told])}` · {machine()}"


def machine() -> str:
    """Processor, cores, kernel, Python, C compiler and how busy the machine was before the run."""
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    compiler = subprocess.run(["cc", "-dumpfullversion"], capture_output=True, text=True, check=False).stdout.strip()
    name = model[1] if model else platform.machine()
    versions = f"Linux {platform.release()}, Python {platform.python_version()}, cc {compiler}"
    return f"{name}, {os.cpu_count()} cores, {versions}, load average before it {BUSY:.2f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table: the first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median with the least and the largest beside it."""
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    return f"**{middle:.{digits}f}** ({ordered[0]:.{digits}f}–{ordered[-1]:.{digits}f})"


def median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
