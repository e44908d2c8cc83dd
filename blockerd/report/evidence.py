"""The evidence that each mail carries: a signed head, its bond to the mail before, and opened daily summaries. Pure.

The attachment is a signed note of which a person can read most lines; docs/evidence.md explains each. Refuses to let a
moment below a day out, and to open a summary made for another role. Called by whoever sends mails; what it writes is
read by `report.verify`, which shares no code with it on purpose.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, TypeAlias

from blockerd.journal import merkle

Json: TypeAlias = Any
FILE_NAME = "evidence.txt"
QUARTER_US = 900_000_000
"""Every local midnight is a whole quarter of an hour (µs): what a summary's own time may say."""

_LARGEST = 10_000_000
"""No count and no number of minutes in a summary comes near; moments in any unit are beyond."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no letter looks like another or like a digit
_CLOCK = re.compile(r"\d{1,2}:\d\d|\d[tT]\d\d")
_NAME = re.compile(r"[a-z0-9_.-]{1,80}")


class Kind(StrEnum):
    """What a mail is for. A report is the weekly note, whatever its length; pairing is always number 1."""

    PAIRING = "pairing"
    REPORT = "report"
    SEAL = "seal"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Head:
    """The log `origin` at `size` leaves, under `root`."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Before:
    """The mail before this one: its number, its head, the digest of its attachment."""

    number: int
    head: Head
    digest: bytes


@dataclass(frozen=True, slots=True)
class Opening:
    """A daily summary leaf made readable: position, salt, canonical bytes, and its path to the head's root."""

    index: int
    salt: bytes
    event: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days `first` to `last`, called `label` (letters, digits and . _ -)."""

    label: str
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Without:
    """Days that no summary tells of, and why, in a few words."""

    first: date
    last: date
    why: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything one mail says for the verifier.

    `to` and `place` tell chains apart: the role and the number of the recipient. `made` is the moment of sealing (Unix
    µs; the mail's own Date says the same). `parts` are (content type, digest) of the mail's other parts. `key` is the
    public key text, in a pairing mail only; `rotations` are (key text, signature) of all changes since the log began.
    `follows` is the end of the log before this one in the first mail of a new log, or None where unknown; in the first
    mail of a further row it is a head of this log that another row told, and `consistency` begins there. `again`: the
    mail before may have gone more than once.
    """

    head: Head
    to: str
    place: int
    number: int
    kind: Kind
    made: int
    due: date | None
    parts: tuple[tuple[str, bytes], ...]
    before: Before | None = None
    consistency: tuple[bytes, ...] = ()
    days: Days | None = None
    openings: tuple[Opening, ...] = ()
    without: tuple[Without, ...] = ()
    late: str = ""
    key: str = ""
    rotations: tuple[tuple[str, bytes], ...] = ()
    new_log: bool = False
    follows: Head | None = None
    again: bool = False


def attachment(evidence: Evidence, sign: Callable[[str], str]) -> bytes:
    """The bytes of the attachment; `sign` makes a signed note of a text.

    Raises:
        ValueError: something would tell a moment below a day, is meant for another role, or does not fit together.
    """
    return sign(text(evidence)).encode()


def text(evidence: Evidence) -> str:
    """What is signed: a head in the form of C2SP tlog-checkpoint whose extension lines carry the rest."""
    _check(evidence)
    head = evidence.head
    return "".join(
        f"{line}\n" for line in (head.origin, head.size, _b64(head.root), *_about(evidence), *_told(evidence))
    )


def digest(attachment: bytes) -> bytes:
    """What the next mail says of this one: SHA-256 over the attachment with line feeds and one of them at the end."""
    return sha256(attachment.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n").digest()


def part_digest(content_type: str, content: bytes) -> bytes:
    """Digest of another part of the mail. Of text (in UTF-8) only what survives a mail's journey counts.

    That is: lines without spaces at their end, no empty lines before the first or after the last.
    """
    if content_type.startswith("text/"):
        lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        content = b"\n".join(line.rstrip(b" \t") for line in lines).strip(b"\n") + b"\n"
    return sha256(content).digest()


def seal(head: Head | None) -> str:
    """Twelve letters and digits that stand for a head ("none" for None): "this seal", "last seal", compared by eye."""
    if head is None:
        return "none"
    told = f"blockerd/seal/1\n{head.origin}\n{head.size}\n{_b64(head.root)}\n"
    bits = int.from_bytes(sha256(told.encode()).digest()) >> (256 - 60)
    letters = "".join(_ALPHABET[bits >> shift & 31] for shift in range(55, -1, -5))
    return f"{letters[:4]}-{letters[4:8]}-{letters[8:]}"


def figures(events: Sequence[bytes]) -> dict[str, int]:
    """Sum over summaries of the numbers in their facts, by the way to each ("attempts.adult", "bands.2").

    Names with anything but lower-case letters, digits and . _ - are left out.
    """
    found: dict[str, int] = {}
    for event in events:
        for name, value in _numbers(json.loads(event)["facts"], ""):
            if not _NAME.fullmatch(name):
                continue
            found[name] = found.get(name, 0) + value
    return dict(sorted(found.items()))


def opening(index: int, salt: bytes, event: bytes, size: int, node: merkle.Node) -> Opening:
    """The opening of leaf `index` under the head of `size` leaves; `node` as in `journal.merkle`."""
    return Opening(index, salt, event, tuple(merkle.inclusion_path(index, size, node)))


def _about(evidence: Evidence) -> list[str]:
    before = evidence.before
    lines = [
        "evidence 1",
        f"to {evidence.to} {evidence.place}",
        f"mail {evidence.number}",
        f"kind {evidence.kind}",
        f"made {datetime.fromtimestamp(evidence.made // 1_000_000, UTC):%Y-%m-%dT%H:%MZ}",
        f"next {evidence.due or 'none'}",
        f"seal {seal(evidence.head)} last {seal(before.head if before else None)}",
    ]
    if evidence.days:
        lines.append(f"period {evidence.days.label} {evidence.days.first} {evidence.days.last}")
    if evidence.late:
        lines.append(f"late {evidence.late}")
    lines += [f"without {one.first} {one.last} {one.why}" for one in evidence.without]
    return lines


def _told(evidence: Evidence) -> list[str]:
    before = evidence.before
    lines = [f"figure {name} {value}" for name, value in figures([one.event for one in evidence.openings]).items()]
    lines += [f"part {content_type} {told.hex()}" for content_type, told in evidence.parts]
    if before is None:
        lines.append("before none")
    else:
        lines.append(f"before {before.number} {before.head.size} {_b64(before.head.root)} {before.digest.hex()}")
    if evidence.consistency:
        lines.append(f"consistency {_path(evidence.consistency)}")
    for one in evidence.openings:
        day = json.loads(one.event)["day"]
        lines += [f"day {day} {one.index} {_b64(one.salt)} {one.event.decode('ascii')}", f"in {_path(one.path)}"]
    if evidence.key:
        lines.append(f"key {evidence.key}")
    lines += [f"rotation {key} {_b64(signature)}" for key, signature in evidence.rotations]
    if evidence.new_log or evidence.follows:
        end = evidence.follows
        lines.append(f"follows {end.origin} {end.size} {_b64(end.root)}" if end else "follows unknown")
    if evidence.again and before:
        lines.append(f"again {before.number}")
    return lines


def _check(evidence: Evidence) -> None:
    """Raises ValueError where the verifier could not follow, or where too much would be told."""
    words = [evidence.late, *(one.why for one in evidence.without)]
    if any(_CLOCK.search(one) or not one.isprintable() or not one.isascii() or len(one) > 200 for one in words):
        raise ValueError("a reason is one short line of ASCII without a time of day")
    if evidence.days and not _NAME.fullmatch(evidence.days.label.lower()):
        raise ValueError(f"a period's label is letters, digits and . _ -, unlike {evidence.days.label!r}")
    if (evidence.kind is Kind.PAIRING) != bool(evidence.key) or (evidence.openings and not evidence.days):
        raise ValueError("a pairing mail and no other carries the key; summaries need a period")
    if evidence.number < 1 or (evidence.before and evidence.before.number != evidence.number - 1):
        raise ValueError(f"mail {evidence.number} does not follow mail {evidence.before and evidence.before.number}")
    told = [_day_of(one, evidence.to) for one in evidence.openings]
    if evidence.days and told != sorted({*told} & {*_range(evidence.days)}):
        raise ValueError("summaries are those of the period's days, each once, in order")


def _day_of(opened: Opening, role: str) -> date:
    """The day that a summary tells; ValueError where it tells more than this reader may know."""
    event = json.loads(opened.event)
    day = date.fromisoformat(event["day"])
    if event["kind"] != "daily" or event["role"] != role:
        raise ValueError(f"entry {opened.index} is no daily summary for {role}")
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    off = event["at"] - int(midnight.timestamp()) * 1_000_000
    if event["at"] % QUARTER_US or abs(off) > 64 * QUARTER_US:
        raise ValueError(f"entry {opened.index} tells when it was written: `at` of a summary is the end of its day")
    _check_facts(event["facts"], opened.index)
    return day


def _check_facts(value: Json, index: int) -> None:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            _check_facts(one, index)
    elif _CLOCK.search(value) if isinstance(value, str) else abs(value) > _LARGEST:
        raise ValueError(f"entry {index} tells a moment: {value!r}")


def _numbers(value: Json, name: str) -> list[tuple[str, int]]:
    if isinstance(value, Mapping):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = [(str(at), one) for at, one in enumerate(value)]
    else:
        return [(name, value)] if type(value) is int else []
    return [found for key, one in inner for found in _numbers(one, f"{name}.{key}" if name else key)]


def _range(days: Days) -> list[date]:
    return [days.first + timedelta(days=at) for at in range((days.last - days.first).days + 1)]


def _path(hashes: Sequence[bytes]) -> str:
    return " ".join(_b64(one) for one in hashes) or "-"


def _b64(raw: bytes) -> str:
    return b64encode(raw).decode()
