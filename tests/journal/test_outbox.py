"""The outbox: what it keeps of readers and mails, and that a number never has two contents."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import blockerd.journal.outbox as mailbox
from blockerd.journal.append import Journal
from blockerd.journal.outbox import USER, RoadState, Sealed, Stand
from blockerd.report.due import Sent
from blockerd.report.partner import Asks, Partner, Says, Send, State
from blockerd.settings import Role

Db: TypeAlias = Any
"""The connection of the one writer."""

NOW = 1_795_000_000_000_000
ROBIN = Partner("Robin", "robin@mail.test", Role.MENTOR, State.READING, 1, "BCDF-GHJK", since=NOW, until=NOW + 9)
NOTE = Send(Says.REPORT, 1, ROBIN.address, Role.MENTOR)
BYTES = Sealed(NOW, b"mail", 1, "blockerd/00", 7, bytes(32), bytes(32), 1)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Db]:
    """The writer's own connection inside a transaction."""
    journal = Journal(tmp_path / "journal.sqlite", lambda: NOW)
    found: list[Any] = []
    journal.within(found.append, transaction=False)
    found[0].execute("BEGIN IMMEDIATE")
    yield found[0]
    found[0].execute("COMMIT")
    journal.close()


@pytest.mark.parametrize(
    "partner",
    [ROBIN, replace(ROBIN, wants=Role.THERAPIST, asks=Asks.MORE, code="ab" * 32, wrong=2), replace(ROBIN, key="age1x")],
)
def test_a_reader_comes_back_as_kept(db: Db, partner: Partner):
    mailbox.put_partner(db, partner)
    assert mailbox.partners(db) == {"Robin": partner}
    assert mailbox.role_of(db, partner.place) == Role.MENTOR


def test_each_row_of_mails_has_a_number_of_its_own_and_keeps_its_role(db: Db):
    assert mailbox.next_place(db) == 1
    mailbox.put_partner(db, ROBIN)
    mailbox.put_partner(db, replace(ROBIN, place=2, role=Role.SPOUSE))
    assert mailbox.next_place(db) == 3
    assert (mailbox.role_of(db, 1), mailbox.role_of(db, 2)) == (Role.MENTOR, Role.SPOUSE)


def test_a_mail_waits_is_sealed_and_sent(db: Db):
    number = mailbox.queue(db, "Robin", NOTE, NOW, NOW - 5, {"periods": [["2026-11-15", 7]]})
    (row,) = mailbox.rows(db, open_only=True)
    assert (row.id, row.state, row.due, row.detail) == (
        number,
        Stand.WAITING,
        NOW - 5,
        {"periods": [["2026-11-15", 7]]},
    )
    mailbox.seal(db, number, BYTES)
    mailbox.done(db, number, Stand.SENT, NOW + 1)
    (row,) = mailbox.rows(db)
    assert (row.state, row.body, row.number, row.done) == (Stand.SENT, b"mail", 1, NOW + 1)
    assert mailbox.last_of(db, 1) == row
    assert mailbox.rows(db, open_only=True) == []


def test_what_nobody_has_gives_its_number_back(db: Db):
    number = mailbox.queue(db, "Robin", NOTE, NOW, NOW)
    mailbox.seal(db, number, BYTES)
    mailbox.unseal(db, number)
    assert mailbox.last_of(db, 1) is None
    (row,) = mailbox.rows(db, open_only=True)
    assert (row.state, row.body, row.number, row.head) == (Stand.WAITING, None, None, None)


def test_a_copy_has_the_same_bytes_and_no_number_and_is_not_taken_back(db: Db):
    number = mailbox.queue(db, "Robin", NOTE, NOW, NOW)
    mailbox.seal(db, number, BYTES)
    original = mailbox.row(db, number)
    assert original
    mailbox.copy(db, original, "me@home.test", NOW)
    made = mailbox.rows(db)[-1]
    assert (made.lane, made.body, made.number, made.copy_of) == (USER, b"mail", None, number)
    mailbox.unseal(db, made.id)
    assert mailbox.rows(db)[-1].body == b"mail"


@pytest.mark.parametrize("what", [Says.INVITE, Says.RENEW, Says.MORE])
def test_a_code_is_forgotten_with_the_mail_that_held_it(db: Db, what: Says):
    number = mailbox.queue(db, "Robin", replace(NOTE, what=what, code="KWXR-MTHD"), NOW, NOW)
    assert mailbox.rows(db)[0].detail == {"code": "KWXR-MTHD"}
    mailbox.seal(db, number, BYTES)
    mailbox.done(db, number, Stand.SENT, NOW)
    assert (mailbox.rows(db)[0].detail, mailbox.rows(db)[0].body) == ({}, None)


def test_what_waits_is_dropped_but_for_the_word_of_an_end(db: Db):
    for what in (Says.REPORT, Says.SEAL, Says.ADDRESS, Says.LEFT):
        mailbox.queue(db, "Robin", replace(NOTE, what=what), NOW, NOW)
    mailbox.queue(db, "Kim", NOTE, NOW, NOW)
    mailbox.drop(db, "Robin", NOW)
    assert [(row.lane, row.what) for row in mailbox.rows(db, open_only=True)] == [
        ("Robin", Says.ADDRESS), ("Robin", Says.LEFT), ("Kim", Says.REPORT),
    ]  # fmt: skip


def test_the_ledger_holds_what_was_told_since_the_yes(db: Db):
    mailbox.told(db, "Robin", Sent("2026-W40", 5, NOW - 100), "maple")
    mailbox.told(db, "Robin", Sent("2026-W46", 6, NOW + 100), "river")
    assert mailbox.ledger(db, ROBIN).sent == (Sent("2026-W46", 6, NOW + 100),)
    assert mailbox.ledger(db, replace(ROBIN, since=0)).sent == (
        Sent("2026-W40", 5, NOW - 100), Sent("2026-W46", 6, NOW + 100),
    )  # fmt: skip


def test_a_talk_is_counted_once_for_each_note(db: Db):
    mailbox.told(db, "Robin", Sent("2026-W45", 5, NOW - 100), "maple")
    mailbox.told(db, "Robin", Sent("2026-W46", 6, NOW + 100), "maple")
    assert [mailbox.talk(db, " Maple ", NOW + 200) for _ in range(3)] == [True, True, False]
    assert (mailbox.talks(db, "Robin"), mailbox.talks(db, "Kim")) == (2, 0)


def test_a_remark_is_for_the_next_note_to_each_reader(db: Db):
    mailbox.remark(db, "hello", NOW + 1)
    assert (mailbox.remarks(db, "Robin", NOW + 2), mailbox.remarks(db, "Robin", NOW)) == ("hello", "")
    number = mailbox.queue(db, "Robin", NOTE, NOW, NOW)
    mailbox.seal(db, number, replace(BYTES, made=NOW + 5))
    assert (mailbox.remarks(db, "Robin", NOW + 9), mailbox.remarks(db, "Kim", NOW + 9)) == ("", "hello")


def test_the_state_of_a_road_is_kept(db: Db):
    assert mailbox.road(db, "smtp") == RoadState()
    mailbox.put_road(db, "smtp", RoadState(3, NOW, "out of reach"))
    mailbox.put_road(db, "smtp", RoadState(4, NOW + 1, "out of reach"))
    assert mailbox.road(db, "smtp") == RoadState(4, NOW + 1, "out of reach")


def test_forgetting_keeps_numbers_and_digests_and_what_waits(db: Db):
    number = mailbox.queue(db, "Robin", NOTE, NOW, NOW, {"periods": [["2026-11-15", 7]]})
    mailbox.seal(db, number, BYTES)
    mailbox.done(db, number, Stand.SENT, NOW)
    waiting = mailbox.queue(db, "Robin", NOTE, NOW, NOW, {"periods": [["2026-11-22", 7]]})
    assert mailbox.forget(db, NOW + 1) == 1
    assert mailbox.forget(db, NOW + 1) == 0
    first, second = mailbox.rows(db)
    assert (first.body, first.detail, first.number, first.digest) == (None, {}, 1, bytes(32))
    assert (second.id, second.detail) == (waiting, {"periods": [["2026-11-22", 7]]})
