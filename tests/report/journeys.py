"""What becomes of a mail between two mailboxes: other line ends, headers, spellings of a time, a mail around it.

Each takes a mail of `tests.report.chains` as it lies in the reader's mailbox, and gives it as another program or a
rough journey leaves it. Nothing here asserts. Called by tests of both verifiers.
"""

import re
from collections.abc import Callable
from random import Random

from tests.report.judging import evidence_of, with_evidence

Journey = Callable[[bytes], bytes]

PIECES = (
    b"\n", b"\r\n\r\n", b"\r", b" ", b"\t", b"=", b"==", b"=\r\n", b"=0A", b"=3D", b"=C2", b"--", b"\r\n--", b'"', b";",
    b":", b"*=", b"*0=", b"utf-8''", b"charset=", b"us-ascii", b"windows-1252", b"base64", b"quoted-printable", b"8bit",
    b"Content-Type: text/plain\r\n", b"Content-Type: message/rfc822\r\n\r\n", b"multipart/digest", b"text/html",
    b"application/octet-stream", b"From ", b">From x\r\n", b"evidence 1\r\n", b"blockerd/", b"evidence.txt", b"\x00",
    b"Received: x; Mon, 24 Aug 2026 09:01:00 +0000\r\n", b"\xff", b"\xc2\x85", b"\xe2\x80\xa8", b"\xef\xbb\xbf",
    b"\x0c", b"(x)", b"\\", b'boundary="x"', b"A" * 80, b"\r\n ", b"\r\n\t", b"Content-Transfer-Encoding: base64\r\n",
)  # fmt: skip


def _swap(old: bytes, new: bytes) -> Journey:
    return lambda raw: raw.replace(old, new, 1)


def _received(pattern: bytes, new: bytes) -> Journey:
    return lambda raw: re.sub(pattern + rb"(?=\r\nReceived)", new, raw, count=1)


def _within(head: bytes, end: bytes = b"") -> Journey:
    return lambda raw: head + raw + end


def _without_end(raw: bytes) -> bytes:
    return raw[: raw.rindex(b"--part")]


_PLAIN = b'text/plain; charset="utf-8"'
_MIXED = b"From: x@y.test\r\nContent-Type: multipart/%s; boundary=q\r\n\r\n--q\r\n%s\r\n"
_TEXT = b"quoted-printable\r\n\r\n"
UNHARMED: dict[str, Journey] = {
    "line feeds": lambda raw: raw.replace(b"\r\n", b"\n"),
    "carriage returns": lambda raw: raw.replace(b"\r\n", b"\r"),
    "mailbox file": _within(b"From a@home.test Mon Aug 24 09:00:00 2026\r\n", b"\r\n\r\n"),
    "first line goes on": _within(b" x\r\n"),
    "time: by qmail": _received(rb"\+0000", b"-0000"),
    "time: GMT": _received(rb"\+0000", b"GMT"),
    "time: (UTC)": _received(rb"\+0000", b"+0000 (UTC)\r\n\t(envelope-from x)"),
    "time: EST": lambda raw: re.sub(rb"0(\d):01:00 \+0000(?=\r\nReceived)", _eastern, raw, count=1),
    "time: fractions": _received(rb":00 \+0000", b":00.12345 +0000"),
    "time: no seconds": _received(rb":00 \+0000", b" +0000"),
    "time: no weekday": lambda raw: re.sub(rb"; \w+, ", b"; ", raw, count=1),
    "time: no comma": lambda raw: re.sub(rb"; (\w+), ", rb"; \1 ", raw, count=1),
    "folded by tabs": _swap(b"; ", b";\r\n\t"),
    "header in capitals": _swap(_PLAIN, b'TEXT/PLAIN; CHARSET="UTF-8"'),
    "flowed": _swap(_PLAIN, _PLAIN + b"; format=flowed"),
    "quoted": _swap(b"7bit\r\n\r\nMail", _TEXT + b"=4Dai=\r\nl"),
    "blanks after a soft break": _swap(b"7bit\r\n\r\nMail", _TEXT + b"Ma= \t\r\nil"),
    "quoted evidence with blanks": lambda raw: _quoted(raw),
    "name in parts": lambda raw: raw.replace(b'filename="evidence.txt"', b'filename*0="evid"; filename*1="ence.txt"'),
    "no name": lambda raw: re.sub(rb"Content-Disposition: attachment;[^\r]*\r\n", b"", raw),
    "blanks after boundaries": lambda raw: re.sub(rb"(\r\n--[^\r]*)\r\n", rb"\1  \r\n", raw),
    "no last boundary": _without_end,
    "a sign of padding within": lambda raw: raw[:-200] + b"=" + raw[-200:],
    "end of file": _within(b"", b"\x1a"),
    "attached": _within(_MIXED % (b"mixed", b"Content-Type: message/rfc822\r\n"), b"\r\n--q--\r\n"),
    "in a digest": _within(_MIXED % (b"digest", b""), b"\r\n--q--\r\n"),
    "twice within": _within(b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/global\r\n\r\n"),
}
"""After these a mail says what it said."""

HARMED: dict[str, Journey] = {
    "line ends doubled": lambda raw: raw.replace(b"\r\n", b"\r\r\n"),
    "a carriage return more": _swap(b"\r\nThis seal", b"\r\r\nThis seal"),
    "byte order mark": _within(b"\xef\xbb\xbf"),
    "empty first line": _within(b"\r\n"),
    "rubbish in front": _within(b"rubbish\r\n"),
    "blank before the colon": _swap(b"Received:", b"Received :"),
    "time: no zone": _received(rb" \+0000", b""),
    "time: zone unknown": _received(rb"\+0000", b"CEST"),
    "time: the 31st of June": lambda raw: re.sub(rb"; \w+, +\d+ \w+", b"; Wed, 31 Jun", raw, count=1),
    "time: hour 24": lambda raw: re.sub(rb" \d\d:01:00", b" 24:01:00", raw, count=1),
    "time: year of two digits": lambda raw: re.sub(rb"2026", b"26", raw, count=1),
    "a sign before a line": _swap(b"\r\n\r\nMail", b"\r\n\r\n>Mail"),
    "two slashes": _swap(b"multipart/alternative", b"multipart/alternative/x"),
    "rubbish after a boundary": lambda raw: re.sub(rb'(boundary="[^"]*")', rb"\1x", raw, count=1),
    "type with a control": _swap(b"text/plain", b"text/\x0blain"),
    "footer": _swap(b"\r\n\r\nThis seal", b"\r\n\r\n-- \r\nA list.\r\nThis seal"),
    "cut": lambda raw: raw[: raw.rindex(b"evidence.txt") + 200],
}
"""After these it does not, or nobody can tell."""


def _eastern(found: re.Match[bytes]) -> bytes:
    return b"%02d:01:00 EST" % (int(found[1]) - 5)


def _quoted(raw: bytes) -> bytes:
    """The attachment as another encoding, with blanks that a gateway put at the ends of its lines."""
    return with_evidence(raw, evidence_of(raw)).replace(b"=\r\n", b"=  \r\n")


def rough(raw: bytes, chance: Random) -> bytes:
    """Pieces that mean something in a mail put in anywhere, lines moved, taken out or doubled."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        at, lines = chance.randrange(len(raw)), raw.split(b"\r\n")
        one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        match chance.randrange(4):
            case 0:
                lines[one], lines[other] = lines[other], lines[one]
            case 1:
                lines[one : one + 1] = lines[other : other + chance.randrange(3)]
            case _:
                raw = raw[:at] + chance.choice(PIECES) + raw[at + chance.choice((0, 0, 1, 5)) :]
                continue
        raw = b"\r\n".join(lines)
    return raw
