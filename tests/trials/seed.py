"""One seed packet, and the chance that makes them: the same octets on every Python and machine. Pure.

A response seed answers the question PLACE; `for_name` puts another first label of the same length in its place, so
that each sending is about a name of its own. Called by the makers, the reader and the trials of this folder.
"""

import gzip
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

FILE = Path(__file__).resolve().parents[1] / "data" / "seeds.tsv.gz"
PLACE = b"\x08seedname\x05trial\x04test\x00"
"""The name that every response seed is about, in wire form."""

LIE = bytes((203, 0, 113, 66))
"""The address of records that nobody asked for: no answer to another question may ever carry it."""

Choice = TypeVar("Choice")


class Kind(StrEnum):
    """Who sends it: a client, or an upstream."""

    QUERY = "query"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Seed:
    """One line of the file.

    `outcome` of a query: answer (passes the gate), drop, or an rcode as a number (16 is BADVERS). Of a response: good
    (its records must arrive) or odd (its records that belong to the question, the next true reply, or SERVFAIL).
    """

    kind: Kind
    outcome: str
    title: str
    packet: bytes

    def line(self) -> str:
        """How the file says it."""
        return f"{self.kind}\t{self.outcome}\t{self.title}\t{self.packet.hex()}\n"


class Chance:
    """Reproducible chance out of `random()` alone, the one method whose sequence is promised for all versions."""

    def __init__(self, seed: int) -> None:
        self._next = random.Random(seed).random

    def below(self, limit: int) -> int:
        """0 ≤ n < limit."""
        return int(self._next() * limit)

    def one(self, of: Sequence[Choice]) -> Choice:
        """One of them."""
        return of[self.below(len(of))]

    def octets(self, count: int) -> bytes:
        """So many octets."""
        return bytes(self.below(256) for _ in range(count))


def for_name(packet: bytes, label: bytes) -> bytes:
    """`packet` about another name: every `seedname` in it becomes `label`, of 8 octets too."""
    assert len(label) == 8
    return packet.replace(b"seedname", label)


def write(seeds: Sequence[Seed], file: Path = FILE) -> None:
    """Writes the file; the same seeds give the same octets on one zlib."""
    file.write_bytes(gzip.compress(text(seeds).encode("ascii"), 9, mtime=0))


def text(seeds: Sequence[Seed]) -> str:
    """The file's text."""
    return "".join(seed.line() for seed in seeds)


def read_text(file: Path = FILE) -> str:
    """The committed text.

    Raises:
        OSError, EOFError, zlib.error: not there, or damaged.
    """
    return zlib.decompress(file.read_bytes(), wbits=31).decode("ascii")


def load(kind: Kind, file: Path = FILE) -> list[Seed]:
    """The committed seeds of one kind, in their order."""
    rows = (line.split("\t") for line in read_text(file).splitlines())
    return [Seed(kind, row[1], row[2], bytes.fromhex(row[3])) for row in rows if row[0] == kind]
