"""The hot path: answers plain questions in place, in the receive buffer, a batch at a time. Pure.

Whatever is not plain (one question, class IN, a common type, no or a bare OPT record) and whatever is neither a
prepared answer nor an ordinary list hit is left to `engine`. Everything answered here equals what `engine` would
answer (tests/properties/test_wire_equals_message.py): this file can be deleted without a change of behaviour.

Why it looks as it does: one query has about 1.5 µs here. Names are bound as defaults, one slice and one `lower()`
serve name, hash and spool, the answer is written over the question, nothing is packed per event (DESIGN section 4).
"""

from collections.abc import Callable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from mmap import mmap
from typing import Protocol

from xxhash import xxh3_64_intdigest

from blockerd.policy.decide import OwnRule, Policy
from blockerd.policy.match import COMBO_MASK, STRIP_UNKNOWN, STRIP_UP, Combo
from blockerd.policy.rule import Scope

SLOT = 1344
"""Octets of a packet slot: an answer of 1232 and to spare; no multiple of 4096, so that slots differ in cache sets."""

BATCH = 64
"""Packets taken from the kernel at once."""

OPT_LENGTH = 11

_SLOW = -1
_PASS = -2
_TYPES = frozenset(
    number.to_bytes(2, "big").lower() + b"\x00\x01"
    for number in (*range(1, 41), *range(42, 66), 257)
)
"""Type and class of questions answered here, lower-cased as the question is (65 reads as 97). OPT and meta types: no."""


def _headers() -> dict[bytes, tuple[bytes, bytes, bool]]:
    """Octets 2–11 of a plain query to (answer header without and with NXDOMAIN, whether an OPT record follows)."""
    shapes = {}
    for first in (0, 1):
        for second in (0x00, 0x10, 0x20, 0x30):
            for opt in (0, 1):
                query = bytes((first, second, 0, 1, 0, 0, 0, 0, 0, opt))
                flags = bytes((0x80 | first, 0x80 | (second & 0x10)))
                counts = bytes((0, 1, 0, 0, 0, 1, 0, opt))
                shapes[query] = (flags + counts, flags[:1] + bytes((flags[1] | 3,)) + counts, bool(opt))
    return shapes


SHAPES = _headers()


class Template(Protocol):
    """A cached answer in a form that can be served with its TTLs counted down."""

    expires: float

    def render(self, now: float) -> bytes:
        """The answer from its third octet on, with TTLs as of Unix time `now`."""
        ...


@dataclass(slots=True)
class Fast:
    """What the hot loop needs of one policy at one time; replaced whole when policy or hour changes.

    `at_owner` and `below` say, by combination number, what a hit means: labels to strip for the site (0 and up),
    `_PASS` no block, `_SLOW` ask the engine. `tails[n]` is what follows the question in a block answer, without OPT;
    `opts` the same by the query's OPT record.
    """

    policy: Policy
    at_owner: list[int]
    below: list[int]
    nxdomain: bool
    tail: bytes
    level: str
    enabled: bool
    opts: dict[bytes, bytes] = field(default_factory=dict)
    memo: dict[bytes, bytes] = field(default_factory=dict)
    templates: dict[bytes, Template] = field(default_factory=dict)


def prepare(policy: Policy, at: float, tail: bytes, *, protected_digest: str) -> Fast:
    """The hot-path view of `policy` at Unix time `at`; `tail` is the block answer after its question."""
    state, table = policy.state, policy.table
    enabled = table.protected_digest == protected_digest and not table.important and state.block_answer != "zero"
    at_owner, below = [], []
    for combo in table.combos:
        verdict = _verdict(policy, combo, at)
        at_owner.append(verdict if combo.scope is not Scope.BELOW or verdict == _SLOW else _PASS)
        below.append(verdict if combo.scope is not Scope.EXACT or verdict == _SLOW else _PASS)
    return Fast(policy, at_owner, below, state.block_answer == "nxdomain", tail, state.level, enabled)


def _verdict(policy: Policy, combo: Combo, at: float) -> int:
    if combo.extra or combo.guarded or (policy.table.sources[combo.source].allows and not combo.allow):
        return _SLOW
    if combo.allow or not policy.active(combo.category_id, at):
        return _PASS
    return _SLOW if combo.strip in (STRIP_UP, STRIP_UNKNOWN) else combo.strip


Serve = Callable[
    [mmap, Sequence[int], Sequence[int], MutableSequence[int], list[bytes], list[int], float], list[int]
]
"""(buffer, offsets, lengths, answer lengths to set, names, pairs, now) -> indexes of packets left to the engine."""


def make_serve(fast: Fast) -> Serve:
    """The hot loop over `fast`.

    `answers` is written at odd indexes (2 i + 1), as an iovec array has its lengths. `names` and `pairs` gather the
    attempts of the batch for `spool.Writer.attempts`.
    """
    policy = fast.policy
    table = policy.table
    whole = fast.level == "name"
    constant = b"\x00" if fast.level in ("category", "counts") else b""

    def serve(  # noqa: C901, PLR0912 - one loop, no calls: each call would cost 4 % (2026-11, bench/)
        buf: mmap,
        offsets: Sequence[int],
        lengths: Sequence[int],
        answers: MutableSequence[int],
        names: list[bytes],
        pairs: list[int],
        now: float,
        shapes: dict[bytes, tuple[bytes, bytes, bool]] = SHAPES,
        memo: dict[bytes, bytes] = fast.memo,
        digest: Callable[[bytes, int], int] = xxh3_64_intdigest,
        seed: int = table.seed,
        size: int = table.size,
        slots: memoryview = table.slots,
        at_owner: list[int] = fast.at_owner,
        below: list[int] = fast.below,
        tail: bytes = fast.tail,
        opts: dict[bytes, bytes] = fast.opts,
        types: frozenset[bytes] = _TYPES,
        enabled: bool = fast.enabled,
        tld_rules: bool = table.tld_rules,
        nxdomain: bool = fast.nxdomain,
        templates: dict[bytes, Template] = fast.templates,
        own: Mapping[bytes, OwnRule] = policy.state.own,
    ) -> list[int]:
        rest = []
        index = -1
        for offset, length in zip(offsets, lengths):  # noqa: B905 - lengths is the shorter one
            index += 1
            packet = buf[offset : offset + length]
            key = packet[2:]
            if answer := memo.get(key):
                length = len(answer) + 2
                buf[offset + 2 : offset + length] = answer
                answers[index + index + 1] = length
                continue
            shape = shapes.get(packet[2:12])
            if shape is None or not enabled:
                rest.append(index)
                continue
            plain, denied, opt = shape
            if opt:
                after = opts.get(packet[-11:])
                if after is None:
                    rest.append(index)
                    continue
                low = packet[12:-11].lower()
            else:
                after = tail
                low = packet[12:].lower()
            name = low[:-4]
            verdicts = at_owner
            at = 0
            try:
                while True:
                    hashed = digest(name, seed)
                    slot = hashed % size
                    while entry := slots[slot]:
                        if (entry ^ hashed) <= COMBO_MASK and (strip := verdicts[entry & COMBO_MASK]) != _PASS:
                            break
                        slot += 1
                    else:
                        label = low[at]
                        if label > 63 or not label:
                            strip = _SLOW
                            break
                        at += label + 1
                        verdicts = below
                        if not tld_rules and not low[at + low[at] + 1]:
                            strip = _PASS
                            break
                        name = low[at:-4]
                        if name == b"\x00":
                            strip = _PASS
                            break
                        continue
                    break
                if own and strip >= 0:
                    start = 0
                    while low[start]:
                        if low[start:-4] in own:
                            strip = _SLOW
                        start += low[start] + 1
            except IndexError:
                strip = _SLOW
            if strip < 0 or low[-4:] not in types:
                template = templates.get(key)
                if template is None or template.expires <= now:
                    rest.append(index)
                    continue
                memo[key] = answer = template.render(now)
                length = len(answer) + 2
                buf[offset + 2 : offset + length] = answer
                answers[index + index + 1] = length
                continue
            end = offset + 12 + len(low)
            buf[offset + 2 : offset + 12] = denied if nxdomain else plain
            length = len(after)
            buf[end : end + length] = after
            answers[index + index + 1] = end + length - offset
            pairs += (slot, entry)
            if constant:
                names.append(constant + low[-4:])
            elif whole:
                names.append(low)
            elif strip:
                for _ in range(strip):
                    at += low[at] + 1
                names.append(low[at:])
            else:
                names.append(low[at:] if at else low)
        return rest

    return serve
