"""Browsers as clients of the proxy, each with the root in a trust store of its own. Called by `proxying`."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from blockerd.proxy import stores
from tests.e2e.proxied import LISTED, MIXED, OPEN, Machine
from tests.fakes.origin import Origin

PAGES = {
    "open": f"https://{OPEN}/page",
    "other": f"https://{MIXED}/page",
    "board": f"https://{MIXED}/board/2",
    "listed": f"https://{LISTED}/",
    "listed http": f"http://{LISTED}/",
}
_PREFERENCES = {
    "network.proxy.type": 1,
    "network.proxy.share_proxy_settings": True,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "app.normandy.enabled": False,
}


def browser(machine: Machine, origin: Origin) -> dict[str, Any]:
    """Chromium and Firefox see pages, the block page, and an error for a listed host: the root is in their own stores,
    where `proxy-ca install` finds them. The system's store is left alone, for it is that of the whole machine."""
    home = machine.folder / "person"
    profile = home / ".mozilla" / "firefox" / "one.default"
    profile.mkdir(parents=True)
    subprocess.run(["certutil", "-d", f"sql:{profile}", "-N", "--empty-password"], check=True)
    assert not stores.begin_chromium(home, stores.run)
    outcomes = stores.install(machine.root.parent, stores.found(machine.folder / "nothing", home), stores.run)
    assert [one.problem for one in outcomes] == ["", ""]
    for place in (home / ".pki" / "nssdb", profile):
        words = ["-A", "-t", "C,,", "-n", "origin", "-i", str(origin.authority)]
        subprocess.run(["certutil", "-d", f"sql:{place}", *words], check=True)
    found: dict[str, Any] = {what: _chromium(machine, home, url) for what, url in PAGES.items()}
    if shutil.which("firefox-esr"):
        found["firefox"] = _firefox(machine, home, profile, origin)
    found["passed"] = json.loads((machine.var / "run" / "proxy.json").read_text())["passed"]
    return found


def _chromium(machine: Machine, home: Path, url: str) -> str:
    done = subprocess.run(
        ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", f"--user-data-dir={home / 'profile'}",
         f"--proxy-server=127.0.0.1:{machine.proxy_port}", "--timeout=8000", "--dump-dom", url],
        env={**os.environ, "HOME": str(home)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout[-3000:]


def _firefox(machine: Machine, home: Path, profile: Path, origin: Origin) -> dict[str, list[str]]:
    """What the origin was asked for while Firefox took a picture of each page; of an error it takes none."""
    more = {"network.proxy.http": "127.0.0.1", "network.proxy.ssl": "127.0.0.1", "network.proxy.http_port":
            machine.proxy_port, "network.proxy.ssl_port": machine.proxy_port}  # fmt: skip
    lines = [f"user_pref({json.dumps(key)}, {json.dumps(value)});" for key, value in {**_PREFERENCES, **more}.items()]
    (profile / "user.js").write_text("\n".join(lines))
    found = {}
    for what in ("open", "other", "board"):
        before = len(origin.requests)
        picture = machine.folder / f"firefox-{what}.png"
        words = ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile), "--screenshot", str(picture)]
        subprocess.run([*words, PAGES[what]], env={**os.environ, "HOME": str(home)}, capture_output=True, timeout=60,
                       check=False)  # fmt: skip
        found[what] = [one for one in origin.requests[before:] if "favicon" not in one]
    return found
