"""A mail's bytes: the same input gives the same, nothing gets into a header, the parts arrive as they were sealed."""

import email
import re
from email.policy import SMTP

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockerd.report import verify
from blockerd.report.mime import (
    BINARY,
    CALENDAR,
    Envelope,
    HeaderError,
    Part,
    message,
    message_id,
    parts_of,
)
from blockerd.settings import Role
from tests.report.quarter import written

NOTE = written(Role.SPOUSE)
TO = Envelope("me@home.test", "robin@mail.test", 1_795_000_000_000_000)
FILES = (
    Part(CALENDAR, b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "note.ics"),
    Part(BINARY, bytes(range(256)), "names.age"),
)
EVIDENCE = "evidence 1\n\n— blockerd/00 AAAA\n".encode()


def made(**changed: object) -> bytes:
    given = {"subject": NOTE.subject, "language": "en", "parts": parts_of(NOTE, FILES), "envelope": TO, **changed}
    return message(**given, evidence=EVIDENCE)  # type: ignore[arg-type]


def test_the_same_input_gives_the_same_bytes():
    assert made() == made()


def test_other_content_another_recipient_or_moment_gives_another_message_id():
    ids = {
        message_id(one)
        for one in (
            made(),
            made(subject="Daily note"),
            made(envelope=Envelope("me@home.test", "kim@mail.test", TO.made)),
            made(envelope=Envelope("me@home.test", "robin@mail.test", TO.made + 60_000_000)),
            made(parts=parts_of(NOTE)),
        )
    }
    assert len(ids) == 5
    assert all(one.endswith("@home.test>") for one in ids)


def test_the_header_fields_are_these_and_no_others():
    mail = email.message_from_bytes(made(), policy=SMTP)
    assert list(mail.keys()) == [
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
        "Content-Language",
    ]  # fmt: skip
    assert (mail["From"], mail["To"], mail["Subject"]) == ("me@home.test", "robin@mail.test", "Weekly note")
    assert mail["Date"] == "Wed, 18 Nov 2026 11:06:40 +0000"


def test_each_part_arrives_with_the_digest_that_the_evidence_lists():
    (mail,) = verify.mails_in("note.eml", made())
    assert mail.parts == [(kind, digest.hex()) for kind, digest in (part.digest for part in parts_of(NOTE, FILES))]
    assert mail.signs == [EVIDENCE.replace(b"\n", b"\r\n")]


@pytest.mark.parametrize("ends", ["", " \u00e9", " " * 1000 + "x"])
def test_a_mailbox_of_one_file_puts_no_sign_before_a_line_that_begins_with_from(ends: str):
    """Such a file begins each mail with "From ", and writes ">From " where a line of a mail begins so."""
    told = f"First.\n\nFrom Monday on the notes{ends} tell less.\nA line that is long. From here on it is cut.\n"
    parts = [Part("text/plain", told.encode()), Part("text/html", f"<p>\n{told}</p>\n".encode())]
    raw = made(parts=parts)
    kept = re.sub(rb"(?m)^(>*From )", rb">\1", raw.partition(b"\r\n\r\n")[2])
    assert kept == raw.partition(b"\r\n\r\n")[2]
    (mail,) = verify.mails_in("note.eml", raw)
    assert mail.parts == [(kind, digest.hex()) for kind, digest in (part.digest for part in parts)]


def test_lines_end_in_crlf_and_are_short_enough_for_any_server():
    lines = made().split(b"\r\n")
    assert not any(b"\n" in line or b"\r" in line for line in lines)
    assert max(map(len, lines)) <= 998
    assert made().isascii()


@pytest.mark.parametrize(
    "address",
    [
        "robin@mail.test\r\nBcc: eve@evil.test",
        "robin@mail.test\n",
        "a b@mail.test",
        "robin",
        "",
        "@",
        "robin@mail.test,eve@x.test",
    ],
)
def test_an_address_that_is_none_is_refused(address: str):
    with pytest.raises(HeaderError):
        made(envelope=Envelope("me@home.test", address, TO.made))
    with pytest.raises(HeaderError):
        made(envelope=Envelope(address, "robin@mail.test", TO.made))


@pytest.mark.parametrize("name", ["note.ics\r\nX: y", "a\nb", "a\x00b", "a\x85b", "a\u2028b"])
def test_a_line_break_in_a_subject_or_file_name_is_refused(name: str):
    with pytest.raises(HeaderError):
        made(subject=name)
    with pytest.raises(HeaderError):
        made(parts=parts_of(NOTE, [Part(BINARY, b"x", name)]))


@settings(max_examples=40)
@given(st.text(max_size=60))
def test_whatever_stands_in_a_subject_adds_no_header(subject: str):
    try:
        got = made(subject=subject)
    except (HeaderError, UnicodeEncodeError):
        return
    assert list(email.message_from_bytes(got).keys()) == list(email.message_from_bytes(made()).keys())


def test_a_mail_that_no_program_made_here_has_no_message_id():
    assert message_id(b"Subject: x\r\n\r\nMessage-ID: <no>\r\n") == ""
