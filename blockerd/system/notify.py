"""Tells systemd how a service is (sd_notify(3)): ready, alive, ending; says nothing where nobody listens.

One datagram to the socket that $NOTIFY_SOCKET names, without a library. Called by `cli.install` for the processes that
a unit starts.
"""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """The service manager's ear; `every` is half the watchdog's time in seconds, None where it has none."""

    def __init__(self, address: str, every: float | None) -> None:
        self._address = address
        self.every = every

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Notifier":
        """As systemd has told this process; a watchdog that is meant for another process is none."""
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        text = environment.get("WATCHDOG_USEC", "")
        every = int(text) / 2e6 if ours and text.isdecimal() and int(text) else None
        return cls(environment.get("NOTIFY_SOCKET", ""), every)

    def tell(self, state: str) -> bool:
        """Sends `state`, e.g. "READY=1"; False where nobody heard it."""
        if self._address[:1] not in ("/", "@"):
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.sendto(state.encode(), address)
        except OSError:
            return False
        return True
