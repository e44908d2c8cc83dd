"""A note as the bytes of one mail (RFC 5322, MIME): text, HTML, evidence, further files. Pure; same input, same bytes.

Date, Message-ID and the boundaries come from what is in the mail, never from chance or a clock. Header fields are
neutral: no name of a person, machine or program. Refuses CR, LF and other controls in whatever becomes a header field.
Called by `control.mails` and by previews.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from hashlib import sha256

from blockerd.report.blocks import Note
from blockerd.report.evidence import FILE_NAME, part_digest
from blockerd.report.mail_html import html
from blockerd.report.mail_text import text

PLAIN, HTML, CALENDAR, BINARY = "text/plain", "text/html", "text/calendar", "application/octet-stream"
_POLICY = SMTP.clone(max_line_length=78, cte_type="7bit")
_FROM = re.compile(rb"^From ", re.MULTILINE)
"""A line before which mailboxes of one file put a sign."""


class HeaderError(ValueError):
    """Something cannot be a header field: an address that is none, or a control character in it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a mail before it is encoded; `name` is that of a file, "" for what is read in the mail itself."""

    kind: str
    content: bytes
    name: str = ""

    @property
    def digest(self) -> tuple[str, bytes]:
        """Content type and digest, as the evidence lists them."""
        return self.kind, part_digest(self.kind, self.content)


@dataclass(frozen=True, slots=True)
class Envelope:
    """From whom, to whom, and when the mail was made (Unix µs)."""

    sender: str
    recipient: str
    made: int


def parts_of(note: Note, files: Sequence[Part] = ()) -> tuple[Part, ...]:
    """Text and HTML of `note`, and then `files`."""
    return (Part(PLAIN, text(note).encode()), Part(HTML, html(note).encode()), *files)


def message(subject: str, language: str, parts: Sequence[Part], envelope: Envelope, evidence: bytes = b"") -> bytes:
    """The mail, with `evidence` as its last file where there is any; lines end in CRLF.

    Raises:
        HeaderError: an address, the subject or a file name cannot stand in a header.
    """
    name = identity(subject, parts, envelope, evidence)
    mail = EmailMessage(policy=_POLICY)
    domain = _address(envelope.sender).domain
    mail["From"] = _address(envelope.sender)
    mail["To"] = _address(envelope.recipient)
    mail["Subject"] = _checked(subject)
    mail["Date"] = datetime.fromtimestamp(envelope.made // 1_000_000, UTC)
    mail["Message-ID"] = f"<{name}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    _fill(mail, parts)
    mail["Content-Language"] = _checked(language)
    if evidence:
        _attach(mail, Part(PLAIN, evidence, FILE_NAME))
    for at, part in enumerate(one for one in mail.walk() if one.is_multipart()):
        part.set_boundary(f"=_{at}_{name}")
    return mail.as_bytes()


def identity(subject: str, parts: Sequence[Part], envelope: Envelope, evidence: bytes) -> str:
    """What stands before the @ of the Message-ID: other content, another name; the same content, the same."""
    told = sha256(b"blockerd/mail/1")
    plain = (subject, envelope.sender, envelope.recipient, str(envelope.made))
    for one in (*(word.encode() for word in plain), evidence, *(part.name.encode() + part.content for part in parts)):
        told.update(len(one).to_bytes(8, "big") + one)
    return told.hexdigest()[:32]


def message_id(mail: bytes) -> str:
    """The Message-ID of a mail made here, "" where there is none."""
    head = mail.partition(b"\r\n\r\n")[0]
    lines = (line for line in head.split(b"\r\n") if line.lower().startswith(b"message-id:"))
    return next(lines, b":").partition(b":")[2].strip().decode("ascii")


def _fill(mail: EmailMessage, parts: Sequence[Part]) -> None:
    """What is read in the mail as alternatives, the simplest first; the rest as files."""
    shown = [part for part in parts if not part.name]
    mail.set_content(shown[0].content.decode(), cte=_encoding(shown[0].content))
    for part in shown[1:]:
        subtype = part.kind.partition("/")[2]
        mail.add_alternative(part.content.decode(), subtype=subtype, cte=_encoding(part.content))
    for part in parts:
        if part.name:
            _attach(mail, part)


def _attach(mail: EmailMessage, part: Part) -> None:
    main, _, sub = part.kind.partition("/")
    if main == "text":
        text = part.content.decode()
        mail.add_attachment(text, subtype=sub, filename=_checked(part.name), cte=_encoding(part.content))
    else:
        mail.add_attachment(part.content, maintype=main, subtype=sub, filename=_checked(part.name))


def _encoding(content: bytes) -> str:
    """7bit for short lines of ASCII, which a person can read in the source; else quoted-printable.

    base64 where a line could begin with "From ": mailboxes of one file make ">From " of it, and no digest fits then.
    """
    short = all(len(line) <= 900 for line in content.split(b"\n"))
    if content.isascii() and short and not _FROM.search(content):
        return "7bit"
    return "base64" if b"From " in content else "quoted-printable"


def _address(address: str) -> Address:
    try:
        return Address(addr_spec=_checked(address))
    except (ValueError, IndexError, MessageError):
        raise HeaderError(f"{_shown(address)}: no mail address; write name@host") from None


def _checked(text: str) -> str:
    if any(sign < " " or sign == "\x7f" or sign in "\u2028\u2029\x85" for sign in text):
        raise HeaderError(f"{_shown(text)}: a header field is one line without control characters")
    return text


def _shown(text: str) -> str:
    return ascii(text[:60])
