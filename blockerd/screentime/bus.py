"""D-Bus as the agent needs it: calls with a short time limit, properties, signals in a queue. By jeepney.

jeepney, because it is small, pure Python and has a plain blocking call: a look is a few calls in a row. (dbus-fast is
made for an event loop, brings compiled parts and takes more memory.) Called by the probes, `session` and `notify`.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from jeepney import DBusAddress as DBusAddress
from jeepney import MatchRule, Message, Properties, message_bus, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.wrappers import DBusErrorResponse, unwrap_msg

LIMIT = 0.4
"""Seconds that one call may take; a desktop that hangs is unknown, and never holds up the agent for long."""


Queue = deque[Message]
"""Signals that have arrived and were not looked at."""


class BusError(Exception):
    """No bus, no such service, no answer in time; `name` is the D-Bus name of the error where there is one."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class Bus:
    """A connection to the session or the system bus.

    Raises:
        BusError: there is none.
    """

    def __init__(self, which: str = "SESSION") -> None:
        try:
            self._connection: DBusConnection = open_dbus_connection(which)
        except (OSError, KeyError, ValueError, DBusErrorResponse) as error:
            raise BusError(f"no {which.lower()} bus: {error}") from None

    def call(
        self, to: DBusAddress, member: str, signature: str = "", args: Sequence[object] = (), limit: float = LIMIT
    ) -> tuple[Any, ...]:
        """The answer's values.

        Raises:
            BusError: an error, or no answer within `limit` seconds.
        """
        return self._ask(new_method_call(to, member, signature or None, tuple(args)), limit)

    def get(self, of: DBusAddress, name: str) -> Any:  # noqa: ANN401  (a D-Bus variant)
        """The value of the property `name`; raises as `call` does."""
        return self._ask(Properties(of).get(name), LIMIT)[0][1]

    def owner(self, name: str) -> bool:
        """Whether the service `name` runs."""
        try:
            return bool(self._ask(message_bus.NameHasOwner(name), LIMIT)[0])
        except BusError:
            return False

    def names(self) -> list[str]:
        """All names on the bus."""
        return [str(name) for name in self._ask(message_bus.ListNames(), LIMIT)[0]]

    def pid(self, name: str) -> int:
        """The process behind `name`; raises as `call` does."""
        return int(self._ask(message_bus.GetConnectionUnixProcessID(name), LIMIT)[0])

    def watch(self, interface: str, member: str, path: str | None = None) -> Queue:
        """A queue of the signals of this kind from now on; filled by `drain` and by calls. Raises as `call` does."""
        rule = MatchRule(type="signal", interface=interface, member=member, path=path)
        queue: Queue = deque(maxlen=100)
        self._connection.filter(rule, queue=queue)
        self._ask(message_bus.AddMatch(rule), LIMIT)
        return queue

    def serve(self, name: str, interface: str) -> Queue:
        """Takes the service `name` and gives a queue of the calls to `interface`, which are not answered."""
        rule = MatchRule(type="method_call", interface=interface)
        queue: Queue = deque(maxlen=100)
        self._connection.filter(rule, queue=queue)
        self._ask(message_bus.RequestName(name), LIMIT)
        return queue

    def drain(self) -> None:
        """Sorts what has arrived into the queues.

        Raises:
            BusError: the bus is gone.
        """
        try:
            while True:
                self._connection.recv_messages(timeout=0)
        except TimeoutError:
            return
        except OSError as error:
            raise BusError(f"the bus is gone: {error}") from None

    def fileno(self) -> int:
        """The descriptor that becomes readable when a message arrives."""
        return int(self._connection.sock.fileno())

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _ask(self, message: Message, limit: float) -> tuple[Any, ...]:
        try:
            reply = self._connection.send_and_get_reply(message, timeout=limit)
            return tuple(unwrap_msg(reply))
        except DBusErrorResponse as error:
            raise BusError(f"{error.name}: {error.data}", str(error.name)) from None
        except (OSError, TimeoutError) as error:
            raise BusError(f"no answer ({error})") from None
