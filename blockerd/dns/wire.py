"""The hot path: answers plain questions in place, in the receive buffer, a batch at a time. Pure.

Whatever is not plain (one question, class IN, a common type, no or a bare OPT record) and whatever is neither a
prepared answer nor an ordinary list hit is left to `engine`. Everything answered here equals what `engine` would
answer (tests/properties/test_wire_equals_message.py): this file can be deleted without a change of behaviour.

Why it looks as it does: one query has about 1.5 µs here. Names are bound as defaults, one slice and one `lower()`
serve name, hash and spool, the answer is written over the question, nothing is packed per event (DESIGN section 4).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from xxhash import xxh3_64_intdigest

from blockerd.policy.decide import WILDCARD, Policy
from blockerd.policy.match import COMBO_MASK, STRIP_UNKNOWN, STRIP_UP, Combo
from blockerd.policy.rule import Scope

if TYPE_CHECKING:
    from mmap import mmap

SLOT = 1344
"""Octets of a packet slot: an answer of 1232 and to spare; no multiple of 4096, so that slots differ in cache sets."""

BATCH = 64
"""Packets taken from the kernel at once."""

OPT_LENGTH = 11

_LONGEST = 255 + 4
"""Octets of the longest question: name, type, class (RFC 1035 section 2.3.4)."""

_AFTER_TLD = 6
"""Octets from the length of the last label to the end of a question, that label apart: it, the root, type, class."""

_SLOW = -1
_PASS = -2
_SITE, _WHOLE, _NOTHING = 0, 1, 2
_TYPES = frozenset(number.to_bytes(2, "big").lower() + b"\x00\x01" for number in (*range(1, 41), *range(42, 66), 257))
"""Type and class of questions answered here, lower-cased as the question is (65 reads as 97). No OPT, no meta types."""


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
    `_PASS` no block, `_SLOW` ask the engine. `tail` is what follows the question in a block answer without OPT, `opts`
    the same by the query's OPT record; `own` the names of own rules. `templates` are kept answers by the query from
    its third octet on, `memo` what they gave within this second.
    """

    policy: Policy
    at_owner: list[int]
    below: list[int]
    nxdomain: bool
    tail: bytes
    level: str
    enabled: bool
    own: frozenset[bytes]
    opts: dict[bytes, bytes] = field(default_factory=dict)
    memo: dict[bytes, bytes] = field(default_factory=dict)
    templates: dict[bytes, Template] = field(default_factory=dict)


def next_second(fast: Fast) -> None:
    """Has every prepared answer rendered again when it is next asked for, with its TTLs counted down.

    The entries stay as empty ones, so that a cached name is not looked up in the table again each second.
    """
    fast.memo.update(dict.fromkeys(fast.memo, b""))


def prepare(policy: Policy, at: float, tail: bytes, *, protected_digest: str) -> Fast:
    """The hot-path view of `policy` at Unix time `at`; `tail` is the block answer after its question."""
    state, table = policy.state, policy.table
    enabled = table.protected_digest == protected_digest and not table.important and state.block_answer != "zero"
    at_owner, below = [], []
    for combo in table.combos:
        verdict = _verdict(policy, combo, at)
        at_owner.append(verdict if combo.scope is not Scope.BELOW or verdict == _SLOW else _PASS)
        below.append(verdict if combo.scope is not Scope.EXACT or verdict == _SLOW else _PASS)
    own = frozenset(key.removeprefix(WILDCARD) for key in state.own)
    return Fast(policy, at_owner, below, state.block_answer == "nxdomain", tail, state.level, enabled, own)


def _verdict(policy: Policy, combo: Combo, at: float) -> int:
    if combo.extra or combo.guarded or (policy.table.sources[combo.source].allows and not combo.allow):
        return _SLOW
    if combo.allow or not policy.active(combo.category_id, at):
        return _PASS
    return _SLOW if combo.strip in (STRIP_UP, STRIP_UNKNOWN) else combo.strip


class Serve(Protocol):
    """The hot loop: answers what it can of a batch, in place."""

    def __call__(
        self,
        buf: "mmap",
        offsets: Sequence[int],
        lengths: Sequence[int],
        names: list[bytes],
        pairs: list[int],
        now: float,
        *,
        seats: list[int] | None = None,
    ) -> tuple[list[int], list[int]]:
        """The lengths of the answers by packet (0 for those left), and the indexes of packets left to the engine: the
        complement (`~index`) of one whose name no rule covers.

        `names` and `pairs` gather the attempts of the batch for `spool.Writer.attempts`, `seats` the index of each.
        """
        ...


def make_serve(fast: Fast) -> Serve:  # noqa: C901 - one closure over one loop: split, each part costs a call per packet
    """The hot loop over `fast`."""
    table = fast.policy.table
    headers = {shape: ((denied if fast.nxdomain else plain), opt) for shape, (plain, denied, opt) in SHAPES.items()}
    mode = {"name": _WHOLE, "site": _SITE}.get(fast.level, _NOTHING)
    all_seen = not fast.own and (table.patterns is None or not table.patterns.rules)

    def serve(  # noqa: C901 - no calls inside: each costs 4 % of a query (2026-11, `make bench`)
        buf: "mmap",
        offsets: Sequence[int],
        lengths: Sequence[int],
        names: list[bytes],
        pairs: list[int],
        now: float,
        *,
        seats: list[int] | None = None,
        headers: dict[bytes, tuple[bytes, bool]] = headers if fast.enabled else {},
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
        tld_rules: bool = table.tld_rules,
        templates: dict[bytes, Template] = fast.templates,
        own: frozenset[bytes] = fast.own,
        mode: int = mode,
        all_seen: bool = all_seen,
        mask: int = COMBO_MASK,
        head: slice = slice(10),
        body: slice = slice(10, None),
        owner: slice = slice(-4),
        kind: slice = slice(-4, None),
    ) -> tuple[list[int], list[int]]:
        rest: list[int] = []
        sizes: list[int] = []
        sized, named, paired = sizes.append, names.append, pairs.append
        for offset, length in zip(offsets, lengths):  # noqa: B905 - lengths is the shorter one
            key = buf[offset + 2 : offset + length]
            answer = memo.get(key)
            if not answer:
                strip = _SLOW
                shape = headers.get(key[head]) if answer is None else None
                if shape is not None:
                    header, opt = shape
                    if opt:
                        after = opts.get(key[-OPT_LENGTH:], b"")
                        question = key[10:-OPT_LENGTH] if after else b"\x00"
                    else:
                        after = tail
                        question = key[body]
                    low = question.lower()
                    name = low[owner]
                    verdicts = at_owner
                    at = 0
                    try:
                        while True:
                            hashed = digest(name, seed)
                            slot = hashed % size
                            entry = slots[slot]
                            while entry:
                                if (entry ^ hashed) <= mask:
                                    strip = verdicts[entry & mask]
                                    if strip != _PASS:
                                        break
                                slot += 1
                                entry = slots[slot]
                            else:
                                label = low[at]
                                if not label or label > 63 or len(low) > _LONGEST:
                                    strip = _SLOW
                                    break
                                at += label + 1
                                if not (tld_rules or low[at + low[at] + 1]):
                                    # Elsewhere than before type and class: what ends like an OPT record was none.
                                    strip = _PASS if at + low[at] + _AFTER_TLD == len(low) else _SLOW
                                    break
                                verdicts = below
                                name = low[at:-4]
                                if len(name) < 2:
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
                if strip >= 0 and low[kind] in types:
                    paired(slot)
                    paired(entry)
                    if seats is not None:
                        seats.append(len(sizes))
                    if not (at or strip or mode):
                        named(low)
                    elif mode == _SITE:
                        for _ in range(strip):
                            at += low[at] + 1
                        named(low[at:])
                    else:
                        named(low if mode == _WHOLE else b"\x00" + low[-4:])
                    answer = header + question + after
                else:
                    template = templates.get(key)
                    if template is None or template.expires <= now:
                        rest.append(~len(sizes) if strip == _PASS and all_seen else len(sizes))
                        sized(0)
                        continue
                    memo[key] = answer = template.render(now)
            length = len(answer) + 2
            buf[offset + 2 : offset + length] = answer
            sized(length)
        return sizes, rest

    return serve
