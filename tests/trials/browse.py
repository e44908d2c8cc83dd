"""A machine whose only resolver is blockerd on port 53: its programs look names up, its browsers open pages.

`unshare -Urnm python -m tests.trials.browse FOLDER lookups|chromium|firefox`, inside a namespace. The upstream knows
one address for every name, that of a web server here, so a name that is let through shows its page. Prints JSON.
"""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.packets import a, response, soa, type_of
from tests.trials.marionette import Firefox
from tests.trials.namespace import bind_over, network, up
from tests.trials.server import Server
from tests.trials.stub import Call, upstream

HERE = "192.0.2.80"
OPEN, BLOCKED = "http://open.test/", "http://blocked.example/"
PAGE = f"""<!DOCTYPE html><html><head><title>open</title></head><body><p>the page is here</p>
<img src="{BLOCKED}p.png" onload="say('picture is here')" onerror="say('picture is not here')"><script>
function say(text) {{ document.body.append(text) }}</script></body></html>"""


class _Web(http.server.BaseHTTPRequestHandler):
    """Answers every request with the page, and remembers which host was asked for."""

    hosts: list[str] = []  # noqa: RUF012 -- one server, one list

    def do_GET(self) -> None:
        """The page."""
        self.hosts.append(self.headers.get("Host", ""))
        body = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


def fetched() -> list[str]:
    """The hosts that pages were fetched from."""
    return sorted(set(_Web.hosts))


def _know_all(call: Call) -> None:
    if type_of(call.packet) == 1:
        call.send(response(call.packet, [a(b"\xc0\x0c", HERE)]))
    else:
        call.send(response(call.packet, [], [soa("test")]))


@contextmanager
def machine(folder: Path) -> Iterator[Server]:
    """Network, web server and resolver; /etc/resolv.conf names nobody else."""
    up()
    network(HERE)
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:2\n")
    bind_over(str(folder / "resolv.conf"), "/etc/resolv.conf")
    web = http.server.ThreadingHTTPServer((HERE, 80), _Web)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    with upstream(_know_all) as stub, Server(folder / "server", stub.port, port=53) as server:
        yield server
    web.shutdown()


def output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def lookups(folder: Path) -> dict[str, str]:
    """What programs for looking up say, each about the open name and the blocked one."""
    ask = (
        "import socket, sys\ntry:\n  print(sorted({i[4][0] for i in socket.getaddrinfo(sys.argv[1], 80)}))\n"
        "except socket.gaierror as error:\n  print('error', error.errno)"
    )
    said = {}
    for kind, name in (("open", "open.test"), ("blocked", "blocked.example")):
        said[f"dig {kind}"] = output("dig", name)
        said[f"dig tcp {kind}"] = output("dig", "+tcp", name)
        said[f"kdig {kind}"] = output("kdig", name)
        said[f"kdig tcp {kind}"] = output("kdig", "+tcp", "+keepopen", name)
        said[f"getaddrinfo {kind}"] = output(sys.executable, "-c", ask, name)
        said[f"getent {kind}"] = output("getent", "ahosts", name)
    return said


def chromium(folder: Path) -> dict[str, str]:
    """The page in a normal window, in incognito and with a second profile, and the error of the blocked name."""

    def dump(profile: str, url: str, *options: str) -> str:
        return output(
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update",
            f"--user-data-dir={folder / profile}", *options, "--dump-dom", url,
        )  # fmt: skip

    with ThreadPoolExecutor(2) as pool:
        said = {
            "normal": pool.submit(dump, "first", OPEN),
            "second profile": pool.submit(dump, "second", OPEN),
            "private": pool.submit(dump, "third", OPEN, "--incognito"),
            "blocked": pool.submit(dump, "fourth", BLOCKED),
            "blocked private": pool.submit(dump, "fifth", BLOCKED, "--incognito"),
        }
        return {name: future.result() for name, future in said.items()}


def firefox(folder: Path) -> dict[str, str]:
    """The same in Firefox; its error pages say why."""

    def profile(number: int) -> dict[str, str]:
        with Firefox("firefox-esr", folder / f"profile{number}", 2828 + number) as browser:
            said = {f"normal {number}": browser.shown(OPEN), f"blocked {number}": browser.shown(BLOCKED)}
            if number == 1:
                browser.private_window()
                said |= {"private": browser.shown(OPEN), "blocked private": browser.shown(BLOCKED)}
            return said

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(profile, (1, 2))
    return first | second


KINDS: dict[str, Callable[[Path], dict[str, str]]] = {"lookups": lookups, "chromium": chromium, "firefox": firefox}


def main(folder: Path, kind: str) -> int:
    """The command."""
    folder.mkdir(parents=True)
    with machine(folder):
        said = KINDS[kind](folder)
    sys.stdout.write(json.dumps(said | {"hosts": " ".join(fetched())}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
