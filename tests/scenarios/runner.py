"""Plays a scenario: its steps in order, each expectation held against what the resolver did.

Whatever a file says, every answer is also held to the rules that all answers obey (`answers.lawful`). A difference is
told with the file, the line, what was expected and what came. Called by `test_scenarios`.
"""

from dataclasses import dataclass, field
from pathlib import Path

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset

from tests.fakes import packets
from tests.scenarios import octets
from tests.scenarios.answers import Differs, hold, lawful
from tests.scenarios.parse import parse
from tests.scenarios.script import (
    Advance,
    Attempted,
    Attempts,
    Config,
    Group,
    Packet,
    Packets,
    Step,
)  # fmt: skip
from tests.scenarios.servers import Scripted, Surprise
from tests.scenarios.setting import Disagreement, Install, general
from tests.scenarios.tree import ScenarioError
from tests.scenarios.world import START, Asked, Noted, Seen, World

CLIENT = "127.0.0.1"


def run(path: Path) -> None:
    """Plays the scenario in `path`.

    Raises:
        ScenarioError: the file is not understood, or something is not as it says.
    """
    scenario = parse(path, path.read_text(encoding="utf-8"))
    try:
        install = Install(scenario.config, general(scenario.servers), START)
    except ValueError as error:
        raise ScenarioError(path, scenario.config.line, str(error)) from None
    player = _Player(World(install, Scripted(scenario.servers)))
    for step in scenario.steps:
        try:
            player.play(step)
        except (Differs, Surprise) as error:
            raise ScenarioError(path, error.line or player.line, str(error)) from None
        except (Disagreement, ValueError) as error:
            raise ScenarioError(path, player.line, str(error)) from None


@dataclass(slots=True)
class _Player:
    world: World
    group: list[Asked] = field(default_factory=list)
    line: int = 0

    def play(self, step: Step) -> None:
        """Does what `step` says.

        Raises:
            Differs: it is not as the step expects.
        """
        self.line = step.line
        match step:
            case Group():
                self._ask(step)
            case Advance():
                self.world.advance(step.seconds)
            case Config():
                self.world.install.add(step, self.world.now)
            case Packets():
                self._packets(step)
            case Attempts():
                self._attempts(step)
            case _:
                if not self.group:
                    raise Differs("nothing was asked yet")
                for asked in self.group:
                    hold(step, asked)

    def _ask(self, group: Group) -> None:
        self.group = []
        for ask in group.asks:
            self.line = ask.line
            packet = octets.query(ask)
            client = ask.options.get("from", CLIENT)
            for _ in range(int(ask.options.get("times", "1"))):
                self.group.append(self.world.ask(packet, client, stream="tcp" in ask.flags))
        self.world.settle(self.group)
        for asked in self.group:
            if asked.answer is not None:
                lawful(asked.packet, asked.answer, stream=asked.stream)

    def _packets(self, step: Packets) -> None:
        seen = self.world.seen.copy()
        self.world.seen.clear()
        shown = "\n".join(f"  {_seen(one)}" for one in seen) or "  nothing"
        if not step.count[0] <= len(seen) <= step.count[1]:
            raise Differs(f"expected {_count(step.count)} packets to upstreams, they got {len(seen)}\n{shown}")
        for expected, got in zip(step.packets, seen, strict=False):
            self.line = expected.line
            _same_packet(expected, got)

    def _attempts(self, step: Attempts) -> None:
        noted = self.world.noted.copy()
        self.world.noted.clear()
        shown = "\n".join(f"  {_noted(one)}" for one in noted) or "  nothing"
        if not step.count[0] <= len(noted) <= step.count[1]:
            raise Differs(f"expected {_count(step.count)} attempts, recorded are {len(noted)}\n{shown}")
        for expected, got in zip(step.attempts, noted, strict=False):
            self.line = expected.line
            _same_attempt(expected, got)


def _count(count: tuple[int, int]) -> str:
    least, most = count
    return f"{least} to {most}" if least != most else str(most or "no")


def _same_packet(expected: Packet, got: Seen) -> None:
    asked = packets.question_end(got.packet)
    wire = got.packet[12 : asked - 4]
    has = {"tcp" if got.stream else "udp", "edns" if got.packet[11] else "-edns"}
    head = int.from_bytes(got.packet[2:4], "big")
    for word, bit in (("cd", packets.CD), ("ad", packets.AD), ("rd", packets.RD)):
        has.add(f"{'+' if head & bit else '-'}{word}")
    has.add("+do" if got.packet[11] and got.packet[asked + 7] & 0x80 else "-do")
    if not got.packet[11] or got.packet[asked + 9 : asked + 11] == b"\x00\x00":
        has.add("-options")
    has |= {"mixed-case"} if wire not in (wire.lower(), wire.upper()) else set()
    has |= {"own-id"} if int.from_bytes(got.packet[:2], "big") not in (0, octets.QUERY_ID) else set()
    same = (got.server, wire.lower()) == (expected.server, octets.name(expected.name).lower())
    if not same or packets.type_of(got.packet) != octets.rdatatype(expected.type) or expected.flags - has:
        words = " ".join((expected.server, expected.name, expected.type, *sorted(expected.flags)))
        raise Differs(f"expected the packet\n  {words}\ngot\n  {_seen(got)} ({' '.join(sorted(has))})")


def _same_attempt(expected: Attempted, got: Noted) -> None:
    wanted = {"name": expected.name, "category": expected.category, "kind": expected.kind}
    given = {"name": got.name, "category": got.category, "kind": got.kind}
    wanted |= expected.options
    given |= {"client": got.client, "type": dns.rdatatype.to_text(dns.rdatatype.RdataType.make(got.qtype))}
    for key, value in wanted.items():
        if given[key] != value:
            raise Differs(f"expected the attempt's {key} to be {value}, recorded is\n  {_noted(got)}")


def _seen(one: Seen) -> str:
    number = packets.type_of(one.packet)
    wire = one.packet[12 : packets.question_end(one.packet) - 4]
    name = dns.name.from_wire(wire, 0)[0]
    return f"{one.server} {name} {dns.rdatatype.to_text(dns.rdatatype.RdataType.make(number))}"


def _noted(one: Noted) -> str:
    return f"{one.name} {one.category} {one.kind} client={one.client}"
