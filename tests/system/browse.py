"""Browsers with and without blockerd's policies, on a machine whose only resolver is blockerd; their person has chosen
a resolver by HTTPS in the browser's own settings, one that leads nowhere.

`unshare -Urnm python -m tests.system.browse FOLDER chromium|firefox`, inside a namespace: /etc is laid over, so that
policies can be written. A browser that still asks its own resolver shows no page at all. Prints JSON.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from blockerd.system.browsers import PLACES, values
from blockerd.system.merge import added_to
from blockerd.system.picture import Vendor
from blockerd.system.wish import BrowserWish
from tests.trials import browse
from tests.trials.browse import BLOCKED, OPEN
from tests.trials.marionette import PREFERENCES, Firefox

NOWHERE = "https://192.0.2.99/dns-query"
PROGRAMS = {"chromium": Path("/usr/lib/chromium"), "firefox": Path("/usr/lib/firefox-esr")}


def lay_over(folder: Path) -> None:
    """Makes /etc writable for this namespace alone."""
    for name in ("upper", "work"):
        (folder / name).mkdir(parents=True)
    options = f"lowerdir=/etc,upperdir={folder / 'upper'},workdir={folder / 'work'}"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "etc", "/etc"], check=True)


def write_policy(vendor: Vendor, wish: BrowserWish) -> None:
    """Puts the policy where the plan puts it, into what is there already."""
    path = Path(next(policy for of, package, policy, _ in PLACES if of is vendor and package == "package"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(added_to(path.read_bytes() if path.exists() else None, values(vendor, wish)))


def chromium(folder: Path) -> dict[str, str]:
    """What Chromium shows of an open name and of the blocked one."""

    def dump(program: str, profile: str, url: str, *options: str) -> str:
        home = folder / profile
        home.mkdir(exist_ok=True)
        (home / "Local State").write_text(json.dumps({"dns_over_https": {"mode": "secure", "templates": NOWHERE}}))
        return browse.output(
            program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update",
            f"--user-data-dir={home}", *options, "--dump-dom", url,
        )  # fmt: skip

    said = {"no policy": dump("chromium", "a", OPEN)}
    write_policy(Vendor.CHROMIUM, BrowserWish())
    carried = str(carry("chromium", folder) / "chromium")
    for mode, program, options in (
        ("window", "chromium", ()),
        ("private", "chromium", ("--incognito",)),
        ("portable", carried, ()),
    ):
        said[mode] = dump(program, f"{mode}1", OPEN, *options)
        said[f"{mode} blocked"] = dump(program, f"{mode}2", BLOCKED, *options)
    return said | {"guest": guest(folder / "guest")}


def guest(home: Path) -> str:
    """The hosts that a guest window fetched from, led to an open page with a picture of the blocked name."""
    home.mkdir()
    (home / "Local State").write_text(json.dumps({"dns_over_https": {"mode": "secure", "templates": NOWHERE}}))
    command = [
        "xvfb-run", "-a", "chromium", "--guest", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={home}", "http://guest.test/",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        end = time.monotonic() + 40
        while "guest.test" not in browse.fetched() and time.monotonic() < end:
            time.sleep(0.2)
        time.sleep(2)  # the picture would be fetched now
        os.killpg(process.pid, signal.SIGKILL)
    return " ".join(browse.fetched())


def firefox(folder: Path) -> dict[str, str]:
    """The same in Firefox, whose policy can also close private windows."""
    PREFERENCES.update({"network.trr.mode": 3, "network.trr.uri": NOWHERE})

    def shown(program: str, number: int, mode: str, *, private: bool = False) -> dict[str, str]:
        with Firefox(program, folder / f"profile{number}", 2860 + number) as one:
            if private:
                one.private_window()
            return {mode: one.shown(OPEN), f"{mode} blocked": one.shown(BLOCKED)}

    said = shown("firefox-esr", 1, "no policy")
    write_policy(Vendor.FIREFOX, BrowserWish())
    said |= shown("firefox-esr", 2, "window")
    said |= shown("firefox-esr", 3, "private", private=True)
    said |= shown(str(carry("firefox", folder) / "firefox-esr"), 4, "portable")
    write_policy(Vendor.FIREFOX, BrowserWish(private_mode=True))
    with Firefox("firefox-esr", folder / "profile5", 2865) as one:
        one.do("Marionette:SetContext", {"value": "chrome"})
        script = "return Services.policies.isAllowed('privatebrowsing')"
        said["private windows"] = str(one.do("WebDriver:ExecuteScript", {"script": script, "args": []}))
    return said


def carry(name: str, folder: Path) -> Path:
    """A browser as it comes on a stick: its folder alone, at another place."""
    return Path(shutil.copytree(PROGRAMS[name], folder / "stick", symlinks=True))


KINDS: dict[str, Callable[[Path], dict[str, str]]] = {"chromium": chromium, "firefox": firefox}


def main(folder: Path, kind: str) -> int:
    """The command."""
    lay_over(folder / "etc")
    with browse.machine(folder):
        said = KINDS[kind](folder)
    sys.stdout.write(json.dumps(said) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
