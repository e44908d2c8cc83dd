"""Reads the committed corpus of odd queries (`tests/golden/queries.tsv`). Called by the tests of this folder."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.packets import wire

FILE = Path(__file__).resolve().parents[1] / "golden" / "queries.tsv"
ID = b"\xb1\x0c"


@dataclass(frozen=True, slots=True)
class Case:
    """One line: `outcome` is "answer", "drop" or an rcode."""

    name: str
    outcome: str | int
    section: str
    packet: bytes


def cases() -> list[Case]:
    """The corpus, in its order."""
    found = []
    for line in FILE.read_text("ascii").splitlines():
        if line and not line.startswith("#"):
            name, outcome, section, octets = line.split("\t")
            packet = b"" if octets == "-" else ID + b"".join(_octets(word) for word in octets.split())
            found.append(Case(name, int(outcome) if outcome.isdecimal() else outcome, section, packet))
    return found


def _octets(word: str) -> bytes:
    if word.startswith("~"):
        return wire(word.strip("~"))
    times = re.fullmatch(r"(\d+)\*([0-9a-f]+)", word)
    return int(times[1]) * bytes.fromhex(times[2]) if times else bytes.fromhex(word)
