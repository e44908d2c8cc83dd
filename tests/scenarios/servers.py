"""The scripted upstreams of a scenario: which rule speaks for a query, and what it sends.

Refuses a query that no rule speaks for: nothing may leave the resolver that a scenario does not expect. Called
by `world`.
"""

from dataclasses import dataclass, field

from blockerd.dns.exchange import Try
from blockerd.policy.name import to_text
from tests.fakes import packets
from tests.scenarios import octets, script
from tests.scenarios.setting import address as address_of
from tests.scenarios.setting import shown


class Surprise(Exception):
    """Something that no scenario may lead to; `line` is that of the file which led there, 0 for the step at hand."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(slots=True)
class Scripted:
    """`servers` as the scenario has them; counts the queries that each got, by name and type."""

    servers: tuple[script.Server, ...]
    _tries: dict[tuple[str, bytes, int], int] = field(default_factory=dict)

    def says(self, attempt: Try) -> tuple[script.Send, ...]:
        """What is sent to `attempt`: by the first rule that matches.

        Raises:
            Surprise: no rule does.
        """
        address, stream, edns = shown(attempt.server.address), attempt.stream, attempt.edns
        name, qtype = asked_name(attempt.packet), packets.type_of(attempt.packet)
        key = address, name, qtype
        self._tries[key] = number = self._tries.get(key, 0) + 1
        for server in self.servers:
            for rule in server.rules if address_of(server.address) == attempt.server.address else ():
                if _matches(rule.to, name, qtype, stream=stream, edns=edns, number=number):
                    return rule.sends
        over = "TCP" if stream else "UDP"
        raise Surprise(
            f"{address} is asked for {to_text(name)} type {qtype} over {over}, try {number}, and the file says nothing"
        )


def made(send: script.Send, asked: bytes) -> bytes:
    """The packet that `send` answers the query `asked` with."""
    try:
        return octets.reply(send, asked)
    except ValueError as error:
        raise Surprise(str(error), send.line) from None


def _matches(to: script.Matcher, name: bytes, qtype: int, *, stream: bool, edns: bool, number: int) -> bool:
    if to.name.startswith("*"):
        below = octets.name(to.name[2:] or ".").lower()
        if not (name.endswith(below) and name != below):
            return False
    elif octets.name(to.name).lower() != name:
        return False
    if to.type != "*" and octets.rdatatype(to.type) != qtype:
        return False
    if to.stream not in (None, stream) or to.edns not in (None, edns):
        return False
    return not to.number or to.number == number or (to.later and number > to.number)


def asked_name(packet: bytes) -> bytes:
    """The canonical name that a query asks for."""
    return packet[12 : packets.question_end(packet) - 4].lower()
