"""Browsers as clients of the proxy, each with the root in a trust store of its own. Called by `proxying`."""

import os
import subprocess
from pathlib import Path

from tests.e2e.proxied import LISTED, MIXED, OPEN, Machine
from tests.fakes.origin import Origin


def browser(machine: Machine, origin: Origin) -> dict[str, str]:
    """Chromium with the root in its own store sees pages, the block page, and an error for a listed host."""
    home = machine.folder / "chromium"
    (home / ".pki" / "nssdb").mkdir(parents=True)
    store = f"sql:{home / '.pki' / 'nssdb'}"
    subprocess.run(["certutil", "-d", store, "-N", "--empty-password"], check=True)
    for name, path in (("origin", origin.authority), ("blockerd", machine.root)):
        subprocess.run(["certutil", "-d", store, "-A", "-t", "C,,", "-n", name, "-i", str(path)], check=True)
    return {what: _chromium(machine, home, url) for what, url in (
        ("open", f"https://{OPEN}/page"), ("other", f"https://{MIXED}/page"), ("board", f"https://{MIXED}/board/2"),
        ("listed", f"https://{LISTED}/"), ("listed http", f"http://{LISTED}/"),
    )}  # fmt: skip


def _chromium(machine: Machine, home: Path, url: str) -> str:
    done = subprocess.run(
        ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", f"--user-data-dir={home / 'profile'}",
         f"--proxy-server=127.0.0.1:{machine.proxy_port}", "--timeout=8000", "--dump-dom", url],
        env={**os.environ, "HOME": str(home)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout[-3000:]
