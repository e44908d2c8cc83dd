"""Every tampering is seen and nothing crashes the verifier: T70, T71, T72 and T79 of the test plan.

Mails come from tests.report.chains, as a provider would deliver them.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.journal import merkle
from blockerd.report import verify
from blockerd.report.evidence import Kind
from tests.report.chains import DAY, FIRST, Log, Sender, key_of, one_day, quarter
from tests.report.judging import (
    alike,
    at,
    cached,
    changed_mail,
    duplicate,
    evidence_of,
    forged,
    fresh,
    hashed,
    honest,
    judged,
    made_of,
    mail_with_head,
    numbered,
    parsed,
    with_evidence,
)

PLACES = range(100)


# --- T70: tampering


def delete(mails: list[bytes], place: int) -> None:
    del mails[place % (len(mails) - 1)]  # the last one may still be on its way


def edit(mails: list[bytes], place: int) -> None:
    where = place % len(mails)
    if place % 3 == 0:
        mails[where] = mails[where].replace(b"This seal", b"That seal")
    elif place % 3 == 1:
        mails[where] = mails[where].replace(b"<p>Mail", b"<p>mail")
    else:
        text = evidence_of(mails[where])
        spot = place * 7919 % len(text)
        mails[where] = with_evidence(mails[where], text[:spot] + bytes([text[spot] ^ 1]) + text[spot + 1 :])


def reorder(mails: list[bytes], place: int) -> None:
    """The evidence of two mails changes places: the mails themselves carry numbers and have no order."""
    first, second = place % len(mails), (place * 7 + 1) % len(mails)
    second = second if second != first else (second + 1) % len(mails)
    one, other = evidence_of(mails[first]), evidence_of(mails[second])
    mails[first], mails[second] = with_evidence(mails[first], other), with_evidence(mails[second], one)


def insert(mails: list[bytes], place: int) -> None:
    """A mail that the sender's own key signed, made from a record that says something else."""
    mails.append(forged()[place % len(mails)])


def truncate(mails: list[bytes], place: int) -> None:
    if place % 2:
        del mails[len(mails) - 4 - place % 5 :]
    else:
        raw = mails[place % len(mails)]
        mails[place % len(mails)] = raw[: raw.index(b"evidence.txt") + place * 8]


@pytest.mark.parametrize("tamper", [delete, edit, reorder, insert, duplicate, truncate])
def test_t70_tampering_with_the_chain_of_mails_is_seen(tamper: Callable[[list[bytes], int], None]):
    for place in PLACES:
        mails = list(honest().mails[: 20 + place % 23])
        today = made_of(mails)
        tamper(mails, place)
        assert str(judged(mails, today)[0]) != "continues", place


LOG_TAMPERS: dict[str, Callable[[list[str], int], list[str]]] = {
    "delete": lambda leaves, at: [*leaves[:at], *leaves[at + 1 :]],
    "edit": lambda leaves, at: [*leaves[:at], hashlib.sha256(leaves[at].encode()).hexdigest(), *leaves[at + 1 :]],
    "reorder": lambda leaves, at: [*leaves[:at], leaves[at + 1], leaves[at], *leaves[at + 2 :]],
    "insert": lambda leaves, at: [*leaves[:at], "00" * 32, *leaves[at:]],
    "duplicate": lambda leaves, at: [*leaves[: at + 1], *leaves[at:]],
    "truncate": lambda leaves, at: leaves[:at],
}


@pytest.mark.parametrize("how", LOG_TAMPERS)
def test_t70_tampering_with_a_log_is_seen_and_the_first_broken_leaf_named(how: str):
    """1,000 leaves here; ten times as many in the long run below."""
    tampered(how, 1000)


@pytest.mark.soak
@pytest.mark.parametrize("how", LOG_TAMPERS)
def test_t70_tampering_with_a_log_of_10_000_leaves_is_seen(how: str):
    tampered(how, 10_000)


def tampered(how: str, size: int) -> None:
    leaves = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(size)]
    heads = [size // 10 * tenth for tenth in range(1, 11)]
    mails = [mail_with_head(head, merkle.root_of(hashed(leaves[:head]))) for head in heads]
    assert verify.check_leaves(numbered(leaves), mails) is None
    chance = Random(size)
    for place in (chance.randrange(size - 1) for _ in PLACES):
        answer = verify.check_leaves(numbered(LOG_TAMPERS[how](leaves, place)), mails)
        assert answer is not None
        named = [int(number) for number in re.findall(r"\d+", answer.why.partition(";")[0])]
        assert named[0] <= place + (how == "duplicate") <= [*named, size][1], answer


def test_a_missing_renumbered_or_unlike_line_is_named_exactly():
    log = quarter(until=3).log
    lines, mails = log.exported(opened=True), parsed(quarter(until=3).mails)
    verify.judge(mails, [], FIRST)
    assert verify.check_leaves(lines, mails) is None
    assert (
        str(verify.check_leaves(lines[:5] + lines[6:], mails))
        == "does not continue (leaf 5 is not where it should stand)"
    )
    changed = [*lines[:5], lines[5].replace('"at":5', '"at":6'), *lines[6:]]
    assert (
        str(verify.check_leaves(changed, mails)) == "does not continue (leaf 5 is not the entry that stands beside it)"
    )
    assert (
        str(verify.check_leaves([*lines[:5], "rubbish"], mails))
        == "does not continue (leaf 5 is not where it should stand)"
    )
    assert "(leaf 20 or one after it is missing)" in str(verify.check_leaves(lines[:20], mails))


# --- T71, T72: the one who has the database and the key


def test_t71_a_record_rewritten_before_the_last_delivered_head_is_seen_always():
    for leaf in range(0, 60, 3):
        sender = quarter(until=10)
        salt, event = sender.log.events[leaf]
        sender.log.events[leaf] = (salt, event.replace(b'"at"', b'"AT"'))
        one_day(sender, FIRST + 10 * DAY)
        told = judged(sender.mails, made_of(sender.mails))[0]
        assert told.word == "does not continue"
        assert "the record that mail" in told.why


def test_t71_a_record_rewritten_after_the_last_delivered_head_is_not_seen():
    """docs/evidence.md says so: what was not yet told can be told otherwise. The daily seal keeps that to a day."""
    sender = quarter(until=10)
    size = len(sender.log.events)
    sender.log.beats(5)
    del sender.log.events[size:]
    one_day(sender, FIRST + 10 * DAY)
    assert str(judged(sender.mails, made_of(sender.mails))[0]) == "continues"
    assert "seal" in (Path(verify.__file__).parents[2] / "docs" / "evidence.md").read_text()


def test_t71_a_lie_about_the_last_head_is_seen():
    sender = quarter(until=10)
    salt, event = sender.log.events[3]
    sender.log.events[3] = (salt, event + b" ")
    assert sender.before
    sender.before = replace(sender.before, head=sender.log.head())
    one_day(sender, FIRST + 10 * DAY)
    assert "(mail 13: the record that mail 12 told was changed)" in str(judged(sender.mails, FIRST)[0])


def test_t72_an_old_database_put_back_is_seen():
    old, now = quarter(until=6), quarter(until=10)
    before = now.before
    assert before
    now.log, now.opened = old.log, old.opened  # the number of the last mail was kept elsewhere and survived
    now.log.beats(2)
    one_day(now, FIRST + 10 * DAY)
    assert "mail 13: its record is shorter than mail 12 told" in str(judged(now.mails, FIRST)[0])


def test_t72_a_machine_set_back_to_a_snapshot_is_seen():
    now, old = quarter(until=10), quarter(until=6)
    sent = len(old.mails)
    old.log.beats(3)
    for day in range(6, 12):
        one_day(old, FIRST + day * DAY)
    told = judged([*now.mails, *old.mails[sent:]], FIRST)[0]
    assert str(told) == f"does not continue (mail {sent + 1}: two different mails bear number {sent + 1})"


@pytest.mark.parametrize("paired", [True, False])
def test_t72_a_fresh_install_begins_another_record(paired: bool):
    before, fresh = quarter(until=5), Sender(Log("blockerd/0badcafe"), key=key_of(5, "blockerd/0badcafe"))
    fresh.log.beats(4)
    if paired:
        fresh.pairing(at(6, 9))
    fresh.log.beats(4)
    fresh.send(Kind.SEAL, at(7, 9), None)
    told = judged([*before.mails, *fresh.mails], FIRST)
    assert str(told[0]) == "does not continue (mail 1: new origin, size 0: another record begins with this mail)"
    if paired:
        assert str(told[2][-1].answer) == "continues", "within itself the new record is whole"
        keys = [key_of(1).public.text, fresh.key.public.text]
        assert str(judged([*before.mails, *fresh.mails], FIRST, *keys)[0]) == "continues", "two machines, both known"


def test_t72_a_database_swapped_for_another_is_seen():
    sender = quarter(until=5)
    sender.log = Log(events=[(bytes(16), b"{}")] * 200)
    sender.opened = {}
    one_day(sender, FIRST + 5 * DAY)
    assert "the record that mail 6 told was changed" in str(judged(sender.mails, FIRST)[0])


# --- T79: mutated mails


def test_t79_mutated_mails_never_continue():
    """1,000 here, 10,000 in the long run below."""
    mutated(range(1000))


@pytest.mark.soak
def test_t79_ten_thousand_mutated_mails_never_continue():
    mutated(range(10_000))


def mutated(runs: range) -> None:
    """A mutation that leaves text, evidence and the time of receipt as they were is not one, and is not counted."""
    counted = 0
    for run in runs:
        chance = Random(run)
        mails = list(honest().mails[:12])
        where = chance.randrange(12)
        raw = changed_mail(mails[where], chance)
        same = alike(verify.mails_in("", raw), verify.mails_in("", mails[where]))
        counted += not same
        mails[where] = raw
        found = [
            one
            for at, each in enumerate(mails)
            for one in (cached(each) if each is not raw else fresh(raw, f"{at}.eml"))
        ]
        overall = verify.judge([replace(mail, answer=mail.answer) for mail in found], [], FIRST)[0]
        assert overall.word in verify.EXIT
        assert same or str(overall) != "continues", run
    assert counted > len(runs) * 0.8


@given(raw=st.binary(max_size=300))
def test_any_bytes_are_answered(raw: bytes):
    for given_ in (raw, b"Content-Type: message/rfc822\n\n" + raw, with_evidence(honest().mails[1], raw)):
        mails = verify.mails_in("x", given_)
        assert str(verify.judge(mails, [], FIRST)[0]) != "continues"


WORDS = sorted(verify._LINES)


@given(
    word=st.sampled_from(WORDS),
    rest=st.one_of(st.text(max_size=60), st.from_regex(r"[-0-9 TZ{}]{0,40}")),
    once=st.booleans(),
)
def test_any_line_under_a_good_signature_is_answered(word: str, rest: str, once: bool):
    """Who has the key can sign what he likes; it must not stop the reader."""
    sender = quarter(until=1)
    lines = evidence_of(sender.mails[1]).decode().rpartition("\n\n")[0].split("\n")
    kept = [line for line in lines if not (once and line.startswith(f"{word} "))]
    text = "\n".join([*kept, f"{word} {rest}"]) + "\n"
    if all(one >= " " or one == "\n" for one in text):
        mails = [sender.mails[0], with_evidence(sender.mails[1], sender.key.sign(text).encode())]
        assert judged(mails, FIRST)[0].word in verify.EXIT


def test_dates_at_the_end_of_time_are_answered():
    for line in (
        "next 9999-12-31",
        "period x 0001-01-01 9999-12-31",
        "period x 9999-12-31 9999-12-31",
        "next 2026-13-41",
    ):
        sender = quarter(until=1)
        lines = evidence_of(sender.mails[1]).decode().rpartition("\n\n")[0].split("\n")
        text = "\n".join(line if one.startswith(line[:5]) else one for one in lines) + "\n"
        assert line in text
        mails = [sender.mails[0], with_evidence(sender.mails[1], sender.key.sign(text).encode())]
        assert judged(mails, date.max)[0].word in verify.EXIT


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff" * 2000,
        b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\nContent-Type: multipart/mixed; boundary=a\n\n" * 3000,
        b"Received: ; Mon, 99 Foo 99999 99:99:99 +99999999999999999999\n\nevidence 1\n",
        b"Content-Type: text/plain; charset*=rot13''x\n\nevidence 1\n",
        b"Content-Type: text/plain; charset=base64\n\nevidence 1\n",
        b"Content-Transfer-Encoding: x-uuencode\n\nevidence 1\n",
        b"Content-Type: message/rfc822\n\n" * 2000 + b"evidence 1\n",
    ],
)
def test_hostile_mails_are_answered(raw: bytes):
    assert str(verify.judge(verify.mails_in("x", raw), [], FIRST)[0]) != "continues"
