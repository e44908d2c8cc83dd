"""Reads kept mails and says whether the record behind them continues from one to the next (see docs/evidence.md).

Stands alone: one file for a plain Python 3.11 that imports nothing of blockerd and opens no connection; never stops at
odd input. Called by readers of the mails, by the command line and by tests. verify.html does the same in a browser.
"""

import argparse
import base64
import email
import hashlib
import io
import json
import re
import sys
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.message import Message
from functools import lru_cache
from pathlib import Path
from typing import Any

CONTINUES, NOT, UNKNOWN = "continues", "does not continue", "cannot tell"
EXIT = {CONTINUES: 0, NOT: 1, UNKNOWN: 3}
ALLOWED_MINUTES, RESENT_MINUTES = 15, 2 * 1440
DAY, LARGEST, DAMAGED = timedelta(days=1), 25_000_000, "its evidence is damaged"
_SIGN = re.compile(rb"\Ablockerd/|^evidence 1\r?$|^\xe2\x80\x94 blockerd/", re.MULTILINE)
RETRIED = ", as also happens where a mail server held it back or fell silent"
UNTOLD = "no word tells why mail {} was received {} minutes after it was made, as where a mail server held it back"
WITHIN = "{} came attached to other mails: the times when they were received are the word of whoever attached them"
ANOTHER = "new origin, size 0: another record begins with this mail"
LIMITS = "This compares the mails given here. It cannot show that all was seen, or that the program ran as it should."


class Answer(Exception):
    """One of the three and the reason of the latter two; raised where a mail gets another than "continues"."""

    def __init__(self, word: str, why: str = "") -> None:
        super().__init__(f"{word} ({why})" if why else word)
        self.word, self.why = word, why


@dataclass(slots=True)
class Note:
    """What evidence says as it stands there: its lines by their first word, of each the matched groups."""

    text: str
    digest: str
    signatures: list[bytes]
    origin: str
    size: int
    root: str
    lines: defaultdict[str, list[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(list))
    number: int = 0
    minute: int = 0

    def one(self, word: str) -> tuple[str, ...]:  # a line that stands there at most once
        return (self.lines[word] or [("",) * 4])[0]


@dataclass(slots=True)
class Mail:
    """One message: its file, the minute (Unix) it was received, type and digest of its parts, and its evidence.

    `within`: it was attached to another one, so that no provider wrote when it was received.
    """

    file: str
    received: int | None = None
    parts: Sequence[tuple[str, str]] = ()
    signs: Sequence[bytes] = ()
    within: bool = False
    note: Note | None = None
    answer: Answer = field(default_factory=lambda: Answer(CONTINUES))


def mails_in(file: str, raw: bytes) -> list[Mail]:
    """The mails with evidence in a file: the message itself and messages attached to it."""
    mails = []
    try:
        roots = [email.message_from_bytes(re.sub(rb"\r(?!\n)", b"\n", raw))]
        for root in roots:  # grows by the messages inside
            minute = minute_of(str(root.get("received", "")))
            parts = list(_parts(root, roots))
            signs = [part[2] for part in parts if "evidence.txt" in part[1] or _SIGN.search(part[2])]
            others = [(kind, _sha(body).hex()) for kind, _, body in parts if body not in signs]
            mails += [Mail(file, minute, others, signs, root is not roots[0])] if signs else []
    except Exception:  # these are anybody's bytes, and the standard reader of mails answers some with odd errors
        ours = b"evidence.txt" in raw or b"blockerd/" in raw
        return [Mail(file, answer=Answer(NOT, "it cannot be read as a mail"))] if ours else []
    for mail in mails:
        try:
            mail.note = read_note(b"".join(mail.signs))  # two in one mail make no evidence
        except Answer as told:
            mail.answer = told
    return mails


_TIME = re.compile(
    r" ?(?:[a-z]{3}(?:, ?| ))?(\d\d?) ([a-z]{3}) ([12]\d{3}) (\d\d?):(\d\d)(?::\d\d(?:\.\d+)?)?"
    r" ?([+-]\d{4}|[a-z]{1,3}) ?(?:\(.*\) ?)?",
    re.ASCII,
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_ZONES = {"z": 0, "ut": 0, "utc": 0, "gmt": 0}
_ZONES |= {"edt": -4, "est": -5, "cdt": -5, "cst": -6, "mdt": -6, "mst": -7, "pdt": -7, "pst": -8}


def minute_of(trace: str) -> int | None:
    """The minute (Unix) at the end of a Received line (RFC 5321, 4.4); None where it tells none, or no known zone."""
    found = _TIME.fullmatch(re.sub(r"[ \t\r\n]+", " ", trace.rpartition(";")[2].lower()))
    if not found or found[2] not in _MONTHS or not (found[6] in _ZONES or found[6][1:].isdecimal()):
        return None
    day, year, hour, minute = (int(found[at]) for at in (1, 3, 4, 5))
    zone = found[6] if found[6][1:].isdecimal() else f"{100 * _ZONES[found[6]]:+05}"
    east = int(f"{zone[0]}1") * (60 * int(zone[1:3]) + int(zone[3:]))
    try:
        at = datetime(year, _MONTHS.index(found[2]) + 1, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return None
    return int(at.timestamp()) // 60 - east


def _parts(message: Message, roots: list[Message]) -> Iterator[tuple[str, str, bytes]]:
    """Type, headers in lower case and content (text as UTF-8) of each leaf; messages inside are added to `roots`."""
    if isinstance(within := message.get_payload(), list):
        for one in [one for one in within if isinstance(one, Message)]:
            if message.get_content_maintype() == "message":
                roots.append(one)
            else:
                yield from _parts(one, roots)
        return
    if quoted := str(message["content-transfer-encoding"]).strip().lower() == "quoted-printable":
        del message["content-transfer-encoding"]
    body = told if isinstance(told := message.get_payload(decode=True), bytes) else b""
    body = _unquoted(body) if quoted else body
    if message.get_content_maintype() == "text":
        try:
            body = body.decode(str(message.get_content_charset("utf-8")), "replace").encode("utf-8", "replace")
        except (LookupError, ValueError):  # a charset that there is not, or one that is none of text
            pass
        if not _SIGN.search(body):  # only what survives a mail's journey counts
            lines = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            body = b"\n".join(line.rstrip(b" \t") for line in lines).strip(b"\n") + b"\n"
    yield message.get_content_type(), f"{message['content-type']} {message['content-disposition']}".lower(), body


def _unquoted(text: bytes) -> bytes:
    """RFC 2045, 6.7: blanks at the end of a line came on the way."""
    lines = [line.rstrip(b" \t\r") + b"\r" * line.endswith(b"\r") for line in text.split(b"\n")]
    text = b"\n".join(lines).replace(b"=\r\n", b"").replace(b"=\n", b"")
    return re.sub(rb"=([0-9A-Fa-f]{2})", lambda code: bytes.fromhex(code[1].decode()), text)


_N, _HASH, _DAY = r"(0|[1-9]\d{0,14})", r"[A-Za-z0-9+/]{43}=", r"(\d{4}-\d\d-\d\d)"
_PATH, _SEAL = rf"({_HASH}(?: {_HASH})*)", r"(?:[0-9A-Z]{4}-){2}[0-9A-Z]{4}"
_LINES = {
    "to": rf"([a-z]{{1,16}}) {_N}", "mail": r"([1-9]\d{0,8})", "kind": r"(pairing|report|seal|notice)",
    "made": r"(\d{4}-\d\d-\d\dT\d\d:\d\dZ)", "next": rf"(?:none|{_DAY})", "seal": rf"({_SEAL}) last (none|{_SEAL})",
    "before": rf"(?:none|{_N} {_N} ({_HASH}) ([0-9a-f]{{64}}))", "period": rf"([A-Za-z0-9_.-]+) {_DAY} {_DAY}",
    "late": r"([ -~]{1,200})", "consistency": _PATH, "key": r"([!-~]{1,200})",
    "follows": rf"(?:unknown|([!-~]{{1,100}}) {_N} ({_HASH}))", "again": r"([1-9]\d{0,8})",
    "part": r"([a-z0-9.+/-]+) ([0-9a-f]{64})",
    "without": rf"{_DAY} {_DAY} ([ -~]{{1,200}})", "figure": r"([a-z0-9_.-]+) (-?\d{1,15})",
    "day": rf"{_DAY} {_N} ([A-Za-z0-9+/]{{22}}==) (\{{[ -~]{{1,60000}}\}})", "in": rf"(?:-|{_PATH})",
    "rotation": r"([!-~]{1,200}) ([A-Za-z0-9+/]{86}==)",
}  # fmt: skip
_NEEDED, _SEVERAL = list(_LINES)[:7], list(_LINES)[13:]
_HEAD = re.compile(rf"(blockerd/[0-9a-f]{{1,64}})\n{_N}\n({_HASH})\nevidence 1\n")
_SIGNED = re.compile(r"\u2014 ([!-~]{1,100}) ([A-Za-z0-9+/]{91}=)")


def read_note(raw: bytes) -> Note:
    """Evidence from its bytes; raises Answer where it is none, or was changed in a way that shows already here."""
    raw = raw.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n"
    try:
        text, _, end = raw.decode().rpartition("\n\n")
        head, signed = _HEAD.match(text), [_SIGNED.fullmatch(line) for line in end[:-1].split("\n")]
        if not head or not all(signed):
            raise Answer(NOT, f"{DAMAGED}: head or signature cannot be read")
        signatures = [_raw(found[2]) for found in signed if found and found[1] == head[1]]
        note = Note(f"{text}\n", _sha(raw).hex(), signatures, head[1], int(head[2]), head[3])
        for at, line in enumerate(text[head.end() :].split("\n"), 5):
            word, _, rest = line.partition(" ")
            match = re.fullmatch(_LINES.get(word, r"(?!)"), rest, re.ASCII)
            if not match or (note.lines[word] and word not in _SEVERAL):
                raise Answer(NOT, f"{DAMAGED} or of a later version: line {at} cannot be read")
            note.lines[word].append(tuple(group or "" for group in match.groups()))
        if not all(note.lines[word] for word in _NEEDED) or len(note.lines["day"]) != len(note.lines["in"]):
            raise Answer(NOT, f"{DAMAGED}: lines are missing")
        note.number = int(note.one("mail")[0])
        note.minute = int(datetime.fromisoformat(note.one("made")[0]).timestamp()) // 60
    except ValueError:  # a byte that is no UTF-8, base64 in a spelling of its own, the 31st of April
        raise Answer(NOT, f"{DAMAGED}: a value is none") from None
    return note


def _sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _raw(text: str) -> bytes:
    if base64.b64encode(raw := base64.b64decode(text, validate=True)).decode() != text:
        raise ValueError
    return raw


def included(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> bool:
    """Does the path lead from the leaf to the root (RFC 9162, 2.1.3.2)? Above `inner` it runs at the right edge."""
    inner = (index ^ (size - 1)).bit_length()
    fits = 0 <= index < size and len(path) == inner + (index >> inner).bit_count()
    return fits and _climb(index, inner, leaf, path) == root


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Is the old tree the beginning of the new? RFC 9162, 2.1.4.2; from nothing, and for equal sizes, an empty path."""
    if old in (0, new):
        return not path and old_root == (new_root if old == new else _sha())
    shift = (old & -old).bit_length() - 1
    peak, path = (old_root, path) if old == 1 << shift else (b"".join(path[:1]), path[1:])
    at, inner = (old - 1) >> shift, ((old - 1) ^ (new - 1)).bit_length() - shift
    fits = 0 < old < new and len(path) == inner + (at >> inner).bit_count()
    left = [one for level, one in enumerate(path) if level >= inner or at >> level & 1]
    return fits and _climb(0, 0, peak, left) == old_root and _climb(at, inner, peak, path) == new_root


def _climb(at: int, inner: int, here: bytes, path: Sequence[bytes]) -> bytes:
    for level, other in enumerate(path):
        here = _sha(b"\x01", other, here) if level >= inner or at >> level & 1 else _sha(b"\x01", here, other)
    return here


# Ed25519 (RFC 8032, 5.1): points as (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z.
_P, _Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P


@lru_cache(1000)
def signed_by(key: bytes, text: bytes, signature: bytes) -> bool:
    """Is it the signature of `key` over `text`? (RFC 8032, 5.1.7)"""
    public, base, s = _point(key), _point(bytes([0x58] + [0x66] * 31)), int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % _Q
    if len(signature) != 64 or s >= _Q:
        return False
    minus, point = (_P - public[0], public[1], 1, _P - public[3]), _point(b"\x01" + bytes(31))
    both = {1: base, 2: minus, 3: _add(base, minus)}
    for bit in range(252, -1, -1):
        point = _add(point, point)
        if which := (s >> bit & 1) + 2 * (h >> bit & 1):
            point = _add(point, both[which])
    over = pow(point[2], -1, _P)
    return (point[1] * over % _P | (point[0] * over % _P & 1) << 255).to_bytes(32, "little") == signature[:32]


def _add(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """RFC 8032, 5.1.4."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % _P, (a[1] + a[0]) * (b[1] + b[0]) % _P
    g, h = 2 * _D * a[3] * b[3] % _P, 2 * a[2] * b[2] % _P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _point(raw: bytes) -> tuple[int, ...]:
    """RFC 8032, 5.1.3; ValueError where the bytes are no point."""
    y, odd = int.from_bytes(raw, "little") & (2**255 - 1), raw[31] >> 7
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    x = x if x * x % _P == square else x * pow(2, (_P - 1) // 4, _P) % _P
    if x * x % _P != square or y >= _P or (odd and x == 0):
        raise ValueError
    x = _P - x if x & 1 != odd else x
    return x, y, 1, x * y % _P


def key_bytes(text: str) -> bytes:
    """The 32 bytes of a key told as `name+id+base64` (C2SP signed-note); ValueError where it is none."""
    name, number, blob = text.split("+", 2)
    raw = _raw(blob)
    if len(raw) != 33 or raw[0] != 1 or _sha(f"{name}\n".encode(), raw).hex()[:8] != number:
        raise ValueError
    return raw[1:]


def fingerprint(key: str) -> str:
    """Six groups of five digits, to be compared by voice."""
    told = _sha(b"blockerd/fingerprint/1\n", key.encode())
    return " ".join(f"{int.from_bytes(told[at : at + 5]) % 100_000:05}" for at in range(0, 30, 5))


def seal(origin: str, size: int | str, root: str) -> str:
    """The twelve letters that stand for a head."""
    bits = int.from_bytes(_sha(f"blockerd/seal/1\n{origin}\n{size}\n{root}\n".encode())) >> 196
    told = "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[bits >> shift & 31] for shift in range(55, -1, -5))
    return f"{told[:4]}-{told[4:8]}-{told[8:]}"


@dataclass(slots=True)
class Chain:
    """What is known of one recipient's mails: days by the entry that told each, the last day of the reports, …

    `until` is the minute up to which the mail at hand may have gone again, `resent` that the next one says so, `newest`
    that there is none yet.
    """

    keys: dict[str, str]
    spoken: str
    remarks: list[str]
    origin: str = ""
    key: str = ""
    last: Note | None = None
    received: int = 0
    until: int = 0
    resent: bool = False
    newest: bool = False
    days: dict[str, str] = field(default_factory=dict)
    told: date | None = None


def judge(mails: Sequence[Mail], keys: Sequence[str], today: date | None = None) -> tuple[Answer, list[str]]:
    """Answers each mail; gives the answer for all, and remarks. Of `keys` one may be digits that were read aloud."""
    chains: dict[tuple[str, ...], list[tuple[Note, Mail]]] = {}
    answers = [Answer(mail.answer.word, f"{mail.file}: {mail.answer.why}") for mail in mails if not mail.note]
    for mail in mails:
        if mail.note:
            chains.setdefault(mail.note.one("to"), []).append((mail.note, mail))
    known, remarks = {key.partition("+")[0]: key for key in keys if "+" in key}, list[str]()
    spoken = next((" ".join(key.split()) for key in keys if "+" not in key), "")
    if count := sum(mail.within for mail in mails):
        remarks.append(WITHIN.format(count))
    ends = {to: judge_chain(chain, Chain(known, spoken, remarks)) for to, chain in sorted(chains.items())}
    check_rows([one for chain in chains.values() for one in chain], known)
    for to, last in ends.items():
        for note, mail in chains[to]:
            told = mail.answer
            answers.append(Answer(NOT, f"mail {note.number}: {told.why}") if told.word == NOT else told)
        if last and today and "" < last.one("next")[0] < str(max(today, date(1, 1, 2)) - DAY):
            answers.append(Answer(UNKNOWN, f"mail {last.number + 1} is missing"))
            remarks.append(f"mail {last.number} said that the next one would come on {last.one('next')[0]}")
    answers = answers or [Answer(UNKNOWN, "mail 1 is missing")]
    return next((one for word in (NOT, UNKNOWN) for one in answers if one.word == word), Answer(CONTINUES)), remarks


def judge_chain(chain: list[tuple[Note, Mail]], state: Chain) -> Note | None:
    """Puts the mails of one recipient in order and answers them; gives the last that is bound to the chain."""
    chain.sort(key=lambda at: at[0].minute)
    origins = [note.origin for note, _ in chain]
    chain.sort(key=lambda at: (origins.index(at[0].origin), at[0].number, at[1].received or 0, at[1].file))
    bearing = defaultdict[tuple[str, int], list[Note]](list)
    for note, _ in chain:
        bearing[note.origin, note.number].append(note)
    for note, mail in chain:
        try:
            if not state.origin or (note.origin != state.origin and note.origin in state.keys):
                state = Chain(state.keys, state.spoken, state.remarks, note.origin, state.keys.get(note.origin, ""))
            after = bearing[note.origin, note.number + 1]  # made once a server had said that it took this one
            until = min((one.minute for one in after), default=note.minute + RESENT_MINUTES)
            state.until, state.newest = until + ALLOWED_MINUTES, not after
            state.resent = any(_tells_again(one) for one in after)
            _check(note, mail, state)
        except Answer as told:
            mail.answer = told
        except (ArithmeticError, AttributeError, RecursionError, ValueError):  # no key, no date, no object, endless
            mail.answer = Answer(NOT, f"{DAMAGED}: a value is none")
        state.origin = state.origin if state.key else ""  # what nobody signed begins nothing
    return state.last


def _tells_again(note: Note) -> bool:
    return note.one("again")[0] == str(note.number - 1)


def check_rows(found: Sequence[tuple[Note, Mail]], known: Container[str]) -> None:
    """The first mail of a further row goes on from the newest head that other rows of the record had told before it.

    Another record than that of rows before it begins only where its key was given: `known` are the origins of keys.
    """
    sound = [(at.received or one.minute, one, at) for one, at in found if at.answer.word != NOT]
    for _, note, mail in [one for one in sound if one[1].number == 1]:
        came = min(at for at, one, _ in sound if one.digest == note.digest)  # of a mail that is here twice
        if note.origin not in known and any(
            at < came and one.origin != note.origin and one.one("to") != note.one("to") for at, one, _ in sound
        ):
            mail.answer = Answer(NOT, ANOTHER)
            continue
        others = [(at, one) for at, one, _ in sound if one.origin == note.origin and one.one("to") != note.one("to")]
        before = [one for at, one in others if (at, one.size) < (came, note.size)]
        newest = max(before, key=lambda one: one.size, default=note)
        (origin, size, root), name = note.one("follows")[:3], f"mail {newest.number} to {newest.one('to')[0]}"
        told = [one.root for _, one in others if str(one.size) == size]
        made = note.minute if mail.answer.word == UNKNOWN else max(note.minute, came)  # a forger may say less
        made -= ALLOWED_MINUTES  # what was received before is older
        if {*told} - {root} or any(at < made and one.size > note.size for at, one in others):
            mail.answer = Answer(NOT, f"the record that {name} told was changed")
        elif (
            mail.answer.word == CONTINUES
            and before
            and not (origin == note.origin and told and newest.size <= int(size))
        ):
            mail.answer = Answer(UNKNOWN, f"nothing binds it to {name}")


def _check(note: Note, mail: Mail, state: Chain) -> None:
    """All of one mail. What is wrong is told before what is missing, so that a gap hides no change."""
    if note.origin != state.origin:
        state.origin, state.key, state.days, state.told = note.origin, note.one("key")[0], {}, None
        state.last = note if state.key else None
        raise Answer(NOT, ANOTHER)
    last = state.last
    _check_signature(note, state)
    if last and note.number == last.number and note.digest != last.digest:
        raise Answer(NOT, f"two different mails bear number {note.number}")
    if last is None or note.number != last.number:
        state.last, state.received = note, mail.received or note.minute
        state.told = state.told if last and note.number == last.number + 1 else None
    _check_days(note, state, ahead=(mail.received or note.minute) < note.minute - ALLOWED_MINUTES)
    _check_parts(note, mail)
    before = seal(note.origin, *note.one("before")[1:3]) if note.one("before")[0] else "none"
    if note.one("seal") != (seal(note.origin, note.size, note.root), before):
        raise Answer(NOT, "its seals are not those of its heads")
    came, late, twice = (
        mail.received or note.minute,
        note.one("late")[0],
        last is not None and note.digest == last.digest,
    )
    minutes, again = came - note.minute, came <= state.until and (twice or state.resent)
    untold = minutes > ALLOWED_MINUTES and not late and not again
    if minutes < -ALLOWED_MINUTES or (untold and twice and not state.newest):
        told = f"after it was made{RETRIED}" if minutes > 0 else "before it was made"
        raise Answer(NOT, f"it was received {abs(minutes)} minutes {told}")
    state.remarks += [f"mail {note.number} came late: {late}"] if late else []
    if minutes > ALLOWED_MINUTES and again and not late and not twice:
        told = f"mail {note.number} came late: mail {note.number + 1} says that it may have gone more than once"
        state.remarks.append(told)
    if twice:
        if not again and abs((mail.received or state.received) - state.received) > ALLOWED_MINUTES:
            told = UNTOLD.format(note.number, minutes) if state.newest else f"it was delivered again later{RETRIED}"
            raise Answer(UNKNOWN if state.newest else NOT, told)
        state.remarks.append(f"mail {note.number} is here twice, both alike")
    else:
        _check_link(note, last)
    if untold:
        raise Answer(UNKNOWN, UNTOLD.format(note.number, minutes))
    if mail.received is None:
        raise Answer(UNKNOWN, f"the time when mail {note.number} was received is missing")


def _check_signature(note: Note, state: Chain) -> None:
    """Under the given key, or that of the pairing mail, after the changes of key that the one before signed."""
    key = first = state.key or note.one("key")[0]
    if not state.key and state.keys:
        raise Answer(NOT, "new origin: it is not from the record whose key was given")
    if not key:
        raise Answer(UNKNOWN, "mail 1 is missing")
    if not state.key and state.spoken and fingerprint(key) != state.spoken:
        raise Answer(NOT, "its key is not the one whose digits were given")
    for new, signature in note.lines["rotation"]:
        change = f"{note.origin}\nrotation 1\n{new}\n".encode()
        if new.startswith(f"{note.origin}+") and signed_by(key_bytes(key), change, _raw(signature)):
            key = new
    mine = [blob[4:] for blob in note.signatures if key.startswith(f"{note.origin}+{blob[:4].hex()}+")]
    if not any(signed_by(key_bytes(key), note.text.encode(), one) for one in mine):
        raise Answer(NOT, "it is not signed by the known key")
    state.remarks += [] if state.last else [f"record {note.origin}, digits of its key {fingerprint(first)}"]
    state.key = key


def _check_parts(note: Note, mail: Mail) -> None:
    sealed = note.lines["part"]
    for part in [*sealed, *mail.parts]:
        if part not in mail.parts or (part not in sealed and part[0].startswith("text/")):
            raise Answer(NOT, f"its {part[0]} part was changed after it was sealed, or added, or taken away")


def _check_days(note: Note, state: Chain, *, ahead: bool) -> None:
    """The opened summaries are entries of the record, add up to the figures, and leave out no day.

    `ahead`: the clock was, as the time of receipt says: what it tells of days to come, a later mail will tell anew.
    """
    sums: dict[str, int] = {}
    told = note.lines["day"]
    for (day, index, salt, event), (path,) in zip(told, note.lines["in"], strict=True):
        leaf = _sha(b"\x00", _sha(b"blockerd/entry/1", _raw(salt), event.encode()))
        if not included(int(index), note.size, leaf, [_raw(one) for one in path.split()], _raw(note.root)):
            raise Answer(NOT, f"the summary of {day} is not in the signed record")
        entry = _json(event)
        if (entry.get("kind"), entry.get("day"), entry.get("role")) != ("daily", day, note.one("to")[0]):
            raise Answer(NOT, f"the summary of {day} is none for this reader")
        if (state.days.get(day, index) if ahead else state.days.setdefault(day, index)) != index:
            raise Answer(NOT, f"two entries tell of {day}")
        for name, value in _numbers(entry.get("facts"), ""):
            sums[name] = sums.get(name, 0) + value
    if sorted((name, str(value)) for name, value in sums.items()) != sorted(note.lines["figure"]):
        raise Answer(NOT, "its figures are not the sums of its summaries")
    _check_period(note, state, [groups[0] for groups in told])


def _check_period(note: Note, state: Chain, told: list[str]) -> None:
    (first, last), report = note.one("period")[1:3], note.one("kind")[0] == "report"
    if not first and not told and not report:
        return
    day, end, gaps = date.fromisoformat(first), date.fromisoformat(last), note.lines["without"]
    day = min(day, state.told + DAY) if report and state.told else day
    state.told = max(end, state.told or end) if report else state.told
    if end - day > 4000 * DAY or not all(first <= one <= last for one in told):
        raise Answer(NOT, "it has summaries from outside its period")
    while day <= end:
        if str(day) not in told and not any(one[0] <= str(day) <= one[1] for one in gaps):
            raise Answer(NOT, f"it tells nothing about {day}")
        day += DAY
    state.remarks += [f"mail {note.number} has no figures for {one[0]} to {one[1]}: {one[2]}" for one in gaps]


def _json(event: str) -> Any:  # noqa: ANN401  (whatever stands there)
    """What an event says: a few hundred integers, texts, lists, objects; ValueError for other numbers."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", event)
    if re.search(r"[.NI]|\d[eE]|\d{17}", bare) or len(re.findall(r"[\[{]", bare)) > 500:
        raise ValueError
    return json.loads(event)


def _numbers(value: object, name: str) -> Iterator[tuple[str, int]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _numbers(one, f"{name}.{key}" if name else str(key))
    if type(value) is int and re.fullmatch(r"[a-z0-9_.-]{1,80}", name):
        if abs(value) >= 10**12:
            raise ValueError
        yield name, value


def _check_link(note: Note, last: Note | None) -> None:
    number, size, root, digest = note.one("before")
    if not number and note.number != 1:
        raise Answer(NOT, "it names no mail before it")
    if (last.number if last else 0) != note.number - 1:
        raise Answer(UNKNOWN, f"mail {last.number + 1 if last else note.number - 1} is missing")
    path = [_raw(one) for one in note.one("consistency")[0].split()]
    if last is None:
        origin, old, told = note.one("follows")[:3]
        if origin == note.origin and not consistent(int(old), note.size, _raw(told), _raw(note.root), path):
            raise Answer(NOT, "the record that another row of mails told was changed")
        return
    if (int(number), digest) != (last.number, last.digest):
        raise Answer(NOT, f"mail {last.number}, as it is kept here, is not the one it follows")
    if note.size < last.size:
        raise Answer(NOT, f"its record is shorter than mail {last.number} told: {note.size} entries, not {last.size}")
    follows = consistent(last.size, note.size, _raw(root), _raw(note.root), path)
    if (int(size), root) != (last.size, last.root) or not follows:
        raise Answer(NOT, f"the record that mail {last.number} told was changed")


def check_leaves(lines: Sequence[str], mails: Sequence[Mail]) -> Answer | None:
    """Commitments of the log, one a line, against the heads of the mails: names the first broken leaf."""
    heads = {mail.note.size: mail.note for mail in mails if mail.note and mail.answer.word != NOT}
    peaks, good = list[tuple[int, bytes]](), 0
    for at, line in enumerate(lines):
        match = re.fullmatch(r"(\d{1,15}) ([0-9a-f]{64})(?: ([0-9a-f]{32}) (\{.*\}))?", line)
        if not match or int(match[1]) != at:
            return Answer(NOT, f"leaf {at} is not where it should stand")
        if match[3] and _sha(b"blockerd/entry/1", bytes.fromhex(match[3]), match[4].encode()).hex() != match[2]:
            return Answer(NOT, f"leaf {at} is not the entry that stands beside it")
        here, level = _sha(b"\x00", bytes.fromhex(match[2])), 0
        while peaks and peaks[-1][0] == level:
            here, level = _sha(b"\x01", peaks.pop()[1], here), level + 1
        peaks.append((level, here))
        if head := heads.get(at + 1):
            why = f"the first broken leaf is one of {good} to {at}; mail {head.number} told another head for them"
            if _climb(0, 0, peaks[-1][1], [peak for _, peak in peaks[-2::-1]]) != _raw(head.root):
                return Answer(NOT, why)
            good = at + 1
    return Answer(NOT, f"leaf {good} or one after it is missing") if len(lines) < max(heads, default=0) else None


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 continues, 1 does not continue, 2 usage, 3 cannot tell."""
    parser = argparse.ArgumentParser(prog="verify", description=str(__doc__).split("\n")[0], allow_abbrev=False)
    parser.add_argument("path", nargs="+", type=Path, help="a mail (.eml), or a folder of them")
    parser.add_argument("--key", action="append", default=[], help="key of the pairing mail, or the digits read aloud")
    parser.add_argument("--today", type=date.fromisoformat, help="YYYY-MM-DD: is the mail due by then there? else: now")
    parser.add_argument("--leaves", type=Path, metavar="FILE", help="commitments of the log, one a line")
    args = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that this terminal has no letters for
    try:
        _ = [key_bytes(key) for key in args.key if key.strip("0123456789 ")]
        mails, lines = _read(args.path), args.leaves.read_text("ascii").splitlines() if args.leaves else []
    except (OSError, ValueError) as error:
        named = getattr(error, "filename", None) or "the key"
        parser.error(f"{named} cannot be read; give mails or folders of them, and copy a key whole")
    today = args.today or datetime.now().astimezone().date()  # noqa: TID251  it stands alone
    overall, remarks = judge(mails, args.key, today)
    overall = (args.leaves and check_leaves(lines, mails)) or overall
    for mail, note in ((mail, mail.note) for mail in mails):
        named = f"mail {note.number}, {note.one('kind')[0]}, {note.one('made')[0][:10]}" if note else mail.file
        sys.stdout.write(f"{named}: {mail.answer}\n")
    sys.stdout.write("".join(f"note: {remark}\n" for remark in remarks) + f"{LIMITS}\n\n{overall}\n")
    return EXIT[overall.word]


def _read(paths: Sequence[Path]) -> list[Mail]:
    """The mails in files and folders, by number. A folder may hold other mails; a named file must have evidence."""
    found = []
    for path in paths:
        for file in sorted(path.rglob("*.eml")) if path.is_dir() else [path]:
            with file.open("rb") as opened:
                mails = mails_in(file.name, opened.read(LARGEST))
            if not mails and not path.is_dir():
                mails = [Mail(file.name, answer=Answer(UNKNOWN, "its evidence is missing"))]
            found += mails
    return sorted(found, key=lambda mail: (mail.note.one("to"), mail.note.number) if mail.note else ((), 0))


if __name__ == "__main__":
    sys.exit(main())
