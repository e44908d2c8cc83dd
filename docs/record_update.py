"""Records `blockerd lists update` on a terminal, against a publisher on this machine that plays good and bad days.

usage: python docs/record_update.py    (writes docs/lists-update.cast, which asciinema plays)

The publisher is the one of the tests: a real TLS server on loopback that stands in for every public host.
"""

import argparse
import json
import os
import pty
import select
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CAST = Path(__file__).with_name("lists-update.cast")
COLUMNS, ROWS = 110, 20


def play() -> int:
    """The recorded part: a first update, then one on which three publishers have a bad day."""
    from blockerd.cli import update as command
    from blockerd.lists import update as updating
    from blockerd.settings import load
    from tests.fakes.listserver import list_server, names, serving, settings_text

    with tempfile.TemporaryDirectory() as folder, list_server(["lists.example"]) as server:
        place = Path(folder)
        sources = {name: f"https://lists.example/{name}" for name in ("good", "page", "shrunk", "poisoned")}
        file = place / "blockerd.toml"
        file.write_text(settings_text(place / "var", "", sources))
        settings = load(file, {}, place)
        for number, name in enumerate(sources):
            server.publish(f"/{name}", names(150_000, number * 200_000))
        args = argparse.Namespace(config=str(file), json=False, ids=[], due=False)
        fetch = updating.update

        def on_loopback(*words: object, **more: object) -> object:
            return fetch(*words, **{**more, "net": server.net(), "catalogue": ()})  # type: ignore[arg-type]

        command.update = on_loopback  # type: ignore[assignment]
        prompt("the first time")
        command.run_update(args)
        server.publish("/page", b"<!doctype html><html><body>moved</body></html>" * 50)
        server.publish("/shrunk", names(20_000))
        server.publish("/poisoned", names(150_000, 600_000) + b"google.com\nwikipedia.org\n")
        server.plays["/good"] = serving(names(151_000))
        prompt("a day on which three publishers slip")
        command.run_update(args)
        assert settings.lists.source
    return 0


def prompt(what: str) -> None:
    """What a person would have typed."""
    sys.stdout.write(f"\r\n$ blockerd lists update        # {what}\r\n")
    sys.stdout.flush()


def record() -> int:
    """Runs `play` on a terminal of its own and writes what it shows, with the time of each piece."""
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
        os.execve(sys.executable, [sys.executable, __file__, "play"], environment)
    head = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "blockerd lists update"}
    lines, began = [json.dumps(head)], time.monotonic()
    while select.select([terminal], [], [], 120)[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        lines.append(json.dumps([round(time.monotonic() - began, 3), "o", data.decode("utf-8", "replace")]))
    _, status = os.waitpid(pid, 0)
    CAST.write_text("\n".join(lines) + "\n", "utf-8")
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(play() if sys.argv[1:] == ["play"] else record())
