"""Reading the bytes of spool segments in bulk: whole records, the names and clients in them. Touches no file.

Gives the same as `spool.read` and `spool.raw_attempts` (tests compare them) but starts anywhere, stops after a number
of questions and makes no object per question. Refuses lengths that do not add up. Called by `journal.intake`, `append`
and `read`.
"""

import ipaddress
import zlib
from dataclasses import dataclass
from functools import lru_cache

from blockerd.journal.spool import HEAD, From, Meta, Record, RecordKind

_KINDS = frozenset(int(kind) for kind in RecordKind)
_WIDTH = {From.ADDRESSES4: 4, From.ADDRESSES6: 16}


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one read of a segment gave: whole records, where they end, and the bytes behind that are no record."""

    records: tuple[Record, ...]
    end: int
    rest: int


def whole_records(data: bytes, offset: int, limit: int) -> Chunk:
    """The whole records of `data`, which begins at `offset` of its segment, until `limit` questions are reached.

    Records of a kind that this program does not know are passed over as if they were bad EVENTs.
    """
    found: list[Record] = []
    at = questions = 0
    view = memoryview(data)
    while at + HEAD.size <= len(data) and questions < limit:
        crc, length, time_us, count, kind, flags = HEAD.unpack_from(data, at)
        end = at + HEAD.size + length
        if end > len(data) or zlib.crc32(view[at + 4 : end]) != crc:
            break
        payload = data[at + HEAD.size : end]
        known = kind in _KINDS
        if not known:
            kind, payload = RecordKind.EVENT, b""
        found.append(Record(offset + at, offset + end, time_us, count, RecordKind(kind), flags, payload))
        questions += max(1, count)
        at = end
    return Chunk(tuple(found), offset + at, len(data) - at)


def meta_in(data: bytes) -> Meta | None:
    """The META whose record begins at the start of `data`, None where there is none that can be read."""
    records = whole_records(data, 0, 1).records
    if not records or records[0].kind != RecordKind.META:
        return None
    try:
        return Meta.from_json(records[0].payload)
    except (ValueError, TypeError, LookupError):
        return None


def wire_names(record: Record) -> list[bytes]:
    """The names of an ATTEMPTS record; raises ValueError or IndexError where its lengths do not add up."""
    payload, names, at = record.payload, [], 16 * record.count
    for _ in range(record.count):
        end = at
        while step := payload[end]:
            end += 1 + step
        end += 1
        names.append(payload[at:end])
        at = end + 4
    if at + _WIDTH.get(From(record.flags), 0) * record.count != len(payload):
        raise ValueError("length")
    return names


def clients(record: Record) -> list[str]:
    """The address of who asked, for each question of an ATTEMPTS record."""
    width = _WIDTH.get(From(record.flags), 0)
    if not width:
        return ["::1" if record.flags == From.LOOPBACK6 else "127.0.0.1"] * record.count
    begin = len(record.payload) - width * record.count
    return [_address(record.payload[at : at + width]) for at in range(begin, len(record.payload), width)]


@lru_cache(4096)
def _address(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))
