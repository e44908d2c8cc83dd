"""A D-Bus of its own, and services whose answers are functions of a test: a real dbus-daemon, and jeepney.

For what calls back into the test; `dbusmock` plays the rest. Called by the tests of screen time.
"""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    MessageType,
    message_bus,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.io.blocking import open_dbus_connection

Answer = tuple[str, tuple[Any, ...]] | Exception
Method = Callable[..., Answer]

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>
"""


@contextmanager
def private_bus(folder: Path) -> Iterator[str]:
    """The address of a bus that nobody else uses."""
    folder.mkdir(exist_ok=True)
    config, socket = folder / "bus.conf", folder / "bus"
    config.write_text(_CONFIG.format(socket=socket))
    daemon = subprocess.Popen(
        ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1", "--nopidfile"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert daemon.stdout
    try:
        yield daemon.stdout.readline().strip()
    finally:
        daemon.terminate()
        daemon.wait(10)
        daemon.stdout.close()


class Service:
    """Owns `names` on the bus at `address`; `methods` and `properties` answer by (object path, member).

    `properties` hold (signature, value). `calls` are the calls so far, as (path, member, arguments).
    """

    def __init__(self, address: str, *names: str) -> None:
        self.methods: dict[tuple[str, str], Method] = {}
        self.properties: dict[tuple[str, str], tuple[str, Any]] = {}
        self.calls: list[tuple[str, str, tuple[Any, ...]]] = []
        self._connection = open_dbus_connection(address)
        for name in names:
            self._connection.send_and_get_reply(message_bus.RequestName(name), timeout=5)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ending = threading.Event()
        self._thread.start()

    def signal(self, path: str, interface: str, member: str, signature: str = "", args: tuple[Any, ...] = ()) -> None:
        """Sends a signal."""
        self._connection.send(new_signal(DBusAddress(path, interface=interface), member, signature or None, args))

    def close(self) -> None:
        """Gives the names back."""
        self._ending.set()
        self._thread.join(5)
        self._connection.close()

    def _serve(self) -> None:
        while not self._ending.is_set():
            try:
                message = self._connection.receive(timeout=0.05)
            except TimeoutError:
                continue
            except (OSError, ValueError):
                return
            if message.header.message_type == MessageType.method_call:
                self._connection.send(self._reply(message))

    def _reply(self, message: Any) -> Any:  # noqa: ANN401  (a jeepney message)
        fields = message.header.fields
        path, member = fields[HeaderFields.path], fields[HeaderFields.member]
        self.calls.append((path, member, tuple(message.body)))
        if member == "Get" and fields.get(HeaderFields.interface) == "org.freedesktop.DBus.Properties":
            found = self.properties.get((path, message.body[1]))
            return new_method_return(message, "v", (found,)) if found else _error(message, "UnknownProperty", path)
        method = self.methods.get((path, member))
        if method is None:
            return _error(message, "UnknownMethod", member)
        answer = method(*message.body)
        if isinstance(answer, Exception):
            return _error(message, "Failed", str(answer))
        return new_method_return(message, *answer)


def _error(message: Any, name: str, text: str) -> Any:  # noqa: ANN401  (jeepney messages)
    return new_error(message, f"org.freedesktop.DBus.Error.{name}", "s", (text,))
