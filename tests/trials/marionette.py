"""Drives a Firefox from its own remote-control port: open a page, a private window, say what is shown.

The protocol is Marionette's: `length:JSON`, commands answered in order. Called by browse, inside a namespace.
"""

import json
import re
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.security.https_first": False,
    "dom.security.https_first_pbm": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#none",
    "toolkit.telemetry.enabled": False,
}


class NotShown(Exception):
    """The page was not opened; the text is Firefox's own name for the error."""


class Firefox:
    """A headless Firefox with a profile of its own below `folder`."""

    def __init__(self, program: str, folder: Path, port: int) -> None:
        folder.mkdir(parents=True)
        lines = PREFERENCES | {"marionette.port": port}
        text = "".join(f'user_pref("{name}", {json.dumps(value)});\n' for name, value in lines.items())
        (folder / "user.js").write_text(text)
        command = [program, "--headless", "--marionette", "--no-remote", "--profile", str(folder)]
        command.append("--remote-allow-system-access")  # Firefox itself is asked what its policies allow
        self._port, self._number = port, 0
        with (folder / "said.txt").open("wb") as said:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={"HOME": str(folder)},
            )

    def __enter__(self) -> "Firefox":
        self._sock = self._connect(30)
        self._stream = self._sock.makefile("rb")
        self._read()
        self.do("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": False}}})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._sock.close()
        self._process.kill()
        self._process.wait(10)

    def do(self, command: str, parameters: dict[str, object]) -> Any:  # noqa: ANN401 -- as JSON comes
        """The result of a command.

        Raises:
            NotShown: Firefox says that something went wrong.
        """
        self._number += 1
        data = json.dumps([0, self._number, command, parameters]).encode()
        self._sock.sendall(str(len(data)).encode() + b":" + data)
        _, _, error, result = self._read()
        if error:
            found = re.search(r"about:neterror\?e=(\w+)", error["message"])
            raise NotShown(found[1] if found else error["message"])
        return result.get("value", result) if isinstance(result, dict) else result

    def private_window(self) -> None:
        """Goes on in a new private window."""
        made = self.do("WebDriver:NewWindow", {"type": "window", "focus": True, "private": True})
        self.do("WebDriver:SwitchToWindow", {"handle": made["handle"], "focus": True})

    def shown(self, url: str) -> str:
        """The text of a page once it is there, or the name of the error page."""
        try:
            self.do("WebDriver:Navigate", {"url": url})
        except NotShown as error:
            return str(error)
        return str(self.do("WebDriver:GetPageSource", {}))

    def _read(self) -> Any:  # noqa: ANN401 -- the same
        digits = b""
        while (octet := self._stream.read(1)) != b":":
            assert octet.isdigit(), "Firefox has gone"
            digits += octet
        return json.loads(self._stream.read(int(digits)))

    def _connect(self, seconds: float) -> socket.socket:
        until = time.monotonic() + seconds
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._port), 30)
            except ConnectionRefusedError:
                assert time.monotonic() < until, "Firefox does not listen"
                assert self._process.poll() is None, "Firefox has ended"
                time.sleep(0.05)
