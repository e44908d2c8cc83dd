"""What the log holds: a typed record for each kind of entry, and the canonical bytes that are committed to.

Canonical is ASCII JSON with sorted keys and no spaces, made of integers, texts, lists and objects alone; it is stored
as it was hashed and never made again. Refuses what it cannot say exactly (a fraction, a missing or wrong field).
Pure. Called by `journal.intake` and `journal.grow`, and by whoever reads entries.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, ClassVar, get_args

Json = Any
"""An integer, a text, a list or an object of these."""

LATEST = 1 << 62
"""No time of an entry (Unix µs) is this late."""


@dataclass(frozen=True, slots=True)
class Start:
    """A process began. `at` is Unix µs here and below, `boottime` and `monotonic` the machine's other clocks (µs).

    `boot` is the boot id, `run` the number of this start of `control` (0: the process counts none).
    """

    KIND: ClassVar[str] = "start"
    at: int
    process: str
    boot: str = ""
    run: int = 0
    boottime: int = 0
    monotonic: int = 0


@dataclass(frozen=True, slots=True)
class Stop:
    """A process ended by intention; `why`: "shutdown", "told to", "supervisor gone", "" unknown."""

    KIND: ClassVar[str] = "stop"
    at: int
    process: str
    boot: str = ""
    run: int = 0
    boottime: int = 0
    monotonic: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Unclean:
    """A process began whose last run had written no stop. All but `at` tells of that run: `last` is its last sign.

    `why`: "power cut or reset", "killed (signal 9)", "crash (code 1)", "crash or kill".
    """

    KIND: ClassVar[str] = "unclean"
    at: int
    process: str
    last: int
    boot: str = ""
    run: int = 0
    boottime: int = 0
    monotonic: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life with everything that coverage is computed from.

    `counters` are those of dns, `policy` the digest of the rules in force, `mark` the last alive mark of dns as
    {at, boot, run, boottime, monotonic}, empty where there is none.
    """

    KIND: ClassVar[str] = "beat"
    at: int
    boot: str
    run: int
    boottime: int
    monotonic: int
    counters: Mapping[str, int] = field(default_factory=dict)
    policy: str = ""
    mark: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A settled attempt. `type`: attempt, bypass, test or unconfirmed; `more`: names that were only counted."""

    KIND: ClassVar[str] = "attempt"
    at: int
    last: int
    site: str
    names: Sequence[str]
    more: int
    category: str
    source: str
    list: str
    action: str
    channel: str
    client: str
    user: str
    count: int
    type: str


@dataclass(frozen=True, slots=True)
class Screen:
    """Screen time of the agent `agent`, of an hour at most: `count` records, numbered from `first` to `last`.

    `begin` and `at` (µs) are the first begin and the last end among them; `digest` is SHA-256 over them as hex.
    """

    KIND: ClassVar[str] = "screen"
    at: int
    begin: int
    agent: str
    first: int
    last: int
    count: int
    digest: str


@dataclass(frozen=True, slots=True)
class Change:
    """A change of settings, lists, locks or schedules; `requested` and `effective` (Unix µs, 0: at once)."""

    KIND: ClassVar[str] = "change"
    at: int
    what: str
    old: str = ""
    new: str = ""
    direction: str = ""
    by: str = ""
    outcome: str = ""
    requested: int = 0
    effective: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """The filter was paused until `until` (Unix µs)."""

    KIND: ClassVar[str] = "pause"
    at: int
    until: int
    what: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class ListUpdated:
    """A fetched list changed; `digest` is SHA-256 of its copy as hex."""

    KIND: ClassVar[str] = "list-updated"
    at: int
    list: str
    names: int
    added: int = 0
    removed: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ListRejected:
    """A fetched list was held, refused or out of reach; the last good copy stays."""

    KIND: ClassVar[str] = "list-rejected"
    at: int
    list: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock was set: by `step` µs (forward is positive) against CLOCK_BOOTTIME, seen at `at`."""

    KIND: ClassVar[str] = "clock-step"
    at: int
    step: int
    boot: str = ""
    run: int = 0
    boottime: int = 0


@dataclass(frozen=True, slots=True)
class ZoneStep:
    """The time zone changed; `where` is "settings" or "machine"."""

    KIND: ClassVar[str] = "zone-step"
    at: int
    old: str
    new: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class ResolverPath:
    """The way by which this machine asks for names changed.

    `what` is "vpn" (`old` and `new` name the links, "" for none), "portal" ("open", "closed"), "account" ("another"
    while somebody else's is in front) or a finding of the self-probe; `detail` says why.
    """

    KIND: ClassVar[str] = "resolver-path"
    at: int
    what: str
    old: str = ""
    new: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class BypassSign:
    """Something looked like a way round the filter."""

    KIND: ClassVar[str] = "bypass-sign"
    at: int
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReportSent:
    """A mail went out: its number, whom it was for, the digest of what was sent, and the head it carried."""

    KIND: ClassVar[str] = "report-sent"
    at: int
    number: int
    role: str = ""
    period: str = ""
    digest: str = ""
    size: int = 0
    root: str = ""


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """Heads are signed with another key from here on."""

    KIND: ClassVar[str] = "key-rotation"
    at: int
    old: str
    new: str
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Prune:
    """Openings were removed: those before `before` (Unix µs); `kinds` says how many of each kind.

    `why` is "age" or "erase"; `commitments` counts leaves of which only subtree hashes are left.
    """

    KIND: ClassVar[str] = "prune"
    at: int
    why: str
    before: int
    openings: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    commitments: int = 0


@dataclass(frozen=True, slots=True)
class Repair:
    """Something about the record itself went wrong or was moved; `size` and `root` (hex) tell of the log before."""

    KIND: ClassVar[str] = "repair"
    at: int
    what: str
    file: str = ""
    log: str = ""
    size: int = 0
    root: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """`count` events of `process` are missing from the record."""

    KIND: ClassVar[str] = "lost"
    at: int
    process: str
    count: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Daily:
    """The facts of a day for one role, no finer than that role may read. `day` is ISO 8601."""

    KIND: ClassVar[str] = "daily"
    at: int
    day: str
    role: str
    facts: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Other:
    """An entry of a kind that this program does not know; `payload` is everything it says."""

    kind: str
    at: int
    payload: Mapping[str, Json]


Known = (
    Start | Stop | Unclean | Beat | Attempt | Screen | Change | Pause | ListUpdated | ListRejected | ClockStep
    | ZoneStep | ResolverPath | BypassSign | ReportSent | KeyRotation | Prune | Repair | Lost | Daily
)  # fmt: skip
Entry = Known | Other
TYPES: Mapping[str, type[Known]] = {each.KIND: each for each in get_args(Known)}
"""Every kind that is known, by its name in the log."""


def kind_of(entry: Entry) -> str:
    """The name of its kind in the log."""
    return entry.kind if isinstance(entry, Other) else entry.KIND


def encode(entry: Entry) -> bytes:
    """The canonical bytes of `entry`.

    Raises:
        ValueError: it holds something other than integers, texts, lists and objects of these.
    """
    if isinstance(entry, Other):
        return canonical({**entry.payload, "kind": entry.kind, "at": entry.at})
    return canonical({**asdict(entry), "kind": entry.KIND})


def decode(data: bytes | str) -> Entry:
    """The entry that canonical bytes (or any JSON object with `kind` and `at`) say; unknown keys are passed over.

    Raises:
        ValueError: no such object, or a known kind with a field missing or of another type.
    """
    got = json.loads(data)
    if not isinstance(got, dict) or type(got.get("kind")) is not str or type(got.get("at")) is not int:
        raise ValueError("an entry is an object with kind and at")
    known = TYPES.get(got["kind"])
    if known is None:
        return Other(got["kind"], got["at"], {key: value for key, value in got.items() if key not in ("kind", "at")})
    return known(**{name: got[name] for name in _checked(known, got)})


def of_event(recorded: int, event: Mapping[str, Any]) -> tuple[int, str, str]:
    """(Unix µs, kind, canonical text) for an event of the spool, recorded at `recorded`; all its keys are kept.

    A true or false becomes 1 or 0, a nothing is left out, a fraction becomes text: an event of a later version is
    kept rather than dropped.

    Raises:
        ValueError: no kind, or a known kind with a field missing or of another type.
    """
    plain = _plain({"at": recorded, **event})
    kind, at = plain.get("kind"), plain.get("at")
    if not isinstance(kind, str) or not kind or type(at) is not int or not 0 <= at < LATEST:
        raise ValueError("an event has a kind and a time")
    if known := TYPES.get(kind):
        _checked(known, plain)
    return at, kind, canonical(plain).decode("ascii")


def canonical(value: Json) -> bytes:
    """`value` as ASCII JSON with sorted keys and no spaces.

    Raises:
        ValueError: something other than integers, texts, lists and objects with text keys.
    """
    _assert_exact(value)
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode("ascii")


def _checked(known: type[Known], got: Mapping[str, Any]) -> list[str]:
    """The fields of `known` that `got` has; raises ValueError where one is missing or of another type."""
    found = []
    for each in fields(known):
        if each.name in got:
            if not _is(got[each.name], each.type):
                raise ValueError(f"{known.KIND}: {each.name} is {got[each.name]!r}")
            found.append(each.name)
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{known.KIND}: no {each.name}")
    return found


def _is(value: object, wanted: object) -> bool:
    if wanted in (int, str):
        return type(value) is wanted
    if wanted == Sequence[str]:
        return isinstance(value, list) and all(type(one) is str for one in value)
    if wanted == Mapping[str, int]:
        return isinstance(value, dict) and all(type(one) is int for one in value.values())
    return isinstance(value, dict)


def _assert_exact(value: Json) -> None:
    if type(value) in (int, str):
        return
    if isinstance(value, list | tuple):
        for one in value:
            _assert_exact(one)
    elif isinstance(value, dict) and all(type(key) is str for key in value):
        for one in value.values():
            _assert_exact(one)
    else:
        raise ValueError(f"no entry can say {value!r}: integers, texts, lists and objects only")


def _plain(value: Json) -> Json:
    """`value` of JSON made sayable."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_plain(one) for one in value if one is not None]
    if isinstance(value, bool):
        return int(value)
    return str(value) if isinstance(value, float) else value
