"""python-dbusmock on a private bus: services whose objects, methods, properties and signals a test sets up.

Its server runs under the system's Python (Debian package python3-dbusmock), since from PyPI it needs a compiler and the
headers of two C libraries; it is steered over the bus by its own interface. Called by the tests of screen time.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jeepney import DBusAddress, Properties, message_bus, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.wrappers import unwrap_msg

from tests.e2e.install import wait_until

NEEDS = [
    pytest.mark.needs_tool("dbus-daemon", "dbus"),
    pytest.mark.skipif(
        not Path("/usr/lib/python3/dist-packages/dbusmock").exists(),
        reason="dbusmock is missing: install python3-dbusmock",
    ),
]
"""`pytestmark` of a file that uses it."""

STEER = "org.freedesktop.DBus.Mock"
Method = tuple[str, str, str, str]
"""Name, signature of the arguments, of the result, and the Python code that sets `ret`; `args` are the arguments."""


class Mock:
    """The service `name` with its main object `path`, made by a template of dbusmock where there is no `path`."""

    def __init__(self, address: str, name: str, path: str = "", interface: str = "", *, template: str = "") -> None:
        what = ["-t", template] if template else [name, path, interface]
        self._process = subprocess.Popen(
            ["/usr/bin/python3", "-m", "dbusmock", "--session", *what],
            env={"DBUS_SESSION_BUS_ADDRESS": address}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
        )  # fmt: skip
        self.name, self.pid = name, self._process.pid
        self._main = path or "/" + name.replace(".", "/")
        self._bus: DBusConnection = open_dbus_connection(address)

    def ready(self) -> "Mock":
        """Waits until it owns its name."""
        wait_until(self._owns, 10)
        return self

    def add(self, path: str, interface: str, properties: dict[str, tuple[str, Any]], *methods: Method) -> None:
        """Adds an object; `properties` hold (signature, value)."""
        self._steer("AddObject", "ssa{sv}a(ssss)", (path, interface, properties, list(methods)))

    def remove(self, path: str) -> None:
        """Takes an object away."""
        self._steer("RemoveObject", "s", (path,))

    def method(self, method: Method, path: str = "", interface: str = "") -> None:
        """Adds or replaces a method."""
        self._steer("AddMethod", "sssss", (interface, *method), path)

    def properties(self, interface: str, values: dict[str, tuple[str, Any]], path: str = "") -> None:
        """Adds properties."""
        self._steer("AddProperties", "sa{sv}", (interface, values), path)

    def set(self, interface: str, name: str, signature: str, value: object, path: str = "") -> None:
        """Changes a property; the service tells of it with PropertiesChanged, as real ones do."""
        of = DBusAddress(path or self._main, self.name, interface)
        self._asked(Properties(of).set(name, signature, value))

    def signal(self, interface: str, name: str, signature: str, *args: tuple[str, Any], path: str = "") -> None:
        """Sends a signal; each argument is (signature, value)."""
        self._steer("EmitSignal", "sssav", (interface, name, signature, list(args)), path)

    def calls(self, method: str, path: str = "") -> list[list[Any]]:
        """The arguments of each call of `method` so far."""
        return [[value for _, value in args] for _, args in self._steer("GetMethodCalls", "s", (method,), path)[0]]

    def call(
        self, interface: str, method: str, signature: str = "", args: Sequence[object] = (), path: str = ""
    ) -> Any:  # noqa: ANN401  (D-Bus values)
        """Calls a method of the service, as another program would."""
        return self._asked(
            new_method_call(
                DBusAddress(path or self._main, self.name, interface), method, signature or None, tuple(args)
            )
        )

    def reset(self) -> None:
        """Everything as at the start."""
        self._steer("Reset")
        self._steer("ClearCalls")

    def close(self) -> None:
        """Ends the service."""
        self._bus.close()
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stderr
        self._process.stderr.close()

    def _owns(self) -> bool:
        assert self._process.poll() is None, self._process.stderr and self._process.stderr.read()
        return bool(unwrap_msg(self._bus.send_and_get_reply(message_bus.NameHasOwner(self.name), timeout=5))[0])

    def _steer(self, member: str, signature: str = "", args: Sequence[object] = (), path: str = "") -> Any:  # noqa: ANN401
        return self.call(STEER, member, signature, args, path)

    def _asked(self, message: Any) -> Any:  # noqa: ANN401  (a jeepney message)
        return unwrap_msg(self._bus.send_and_get_reply(message, timeout=5))


@contextmanager
def started(*mocks: Mock) -> Iterator[None]:
    """All of them ready; they start side by side."""
    try:
        for mock in mocks:
            mock.ready()
        yield
    finally:
        for mock in mocks:
            mock.close()
