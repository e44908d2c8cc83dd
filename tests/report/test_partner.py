"""What both agreed to: nothing goes out before a yes, less counts at once, more waits, and each can end it alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.report import partner as people
from blockerd.report.partner import (
    ASK_US,
    CONSENT_US,
    DAY_US,
    LAST,
    LETTERS,
    MINE,
    WORDS,
    WRONG_CODES,
    Asks,
    NotAgreed,
    Partner,
    Says,
    State,
    Step,
    Wanted,
    accept,
    code_of,
    invite,
    leave,
    reconcile,
    stop,
    tick,
    word_of,
)
from blockerd.settings import Role

NOW = 1_795_000_000_000_000
CODE, STOP, OTHER = "KWXR-MTHD", "BCDF-GHJK", "LMNP-QRST"
ROBIN = Wanted("Robin", "robin@mail.test", Role.MENTOR)


def invited() -> Partner:
    return invite(None, ROBIN, 1, (CODE, STOP), NOW).partner


def reading() -> Partner:
    return accept(invited(), CODE, NOW + DAY_US, 9).partner


def told(step: Step) -> list[Says]:
    return [send.what for send in step.sends]


def test_an_invitation_is_one_mail_and_nothing_else_follows():
    step = invite(None, ROBIN, 1, (CODE, STOP), NOW)
    assert told(step) == [Says.INVITE]
    assert (step.partner.state, step.partner.reads) == (State.INVITED, False)
    for day in range(400):
        assert tick(step.partner, NOW + day * DAY_US, OTHER) == Step(step.partner)


def test_the_code_is_kept_as_a_hash_alone():
    assert CODE not in repr(invited())
    assert CODE.replace("-", "") not in repr(invited())


def test_yes_is_the_code_however_it_was_typed():
    for said in (CODE, "kwxrmthd", " kwxr mthd ", "KWXR–MTHD"):
        step = accept(invited(), said, NOW + 5, 9)
        assert told(step) == [Says.ACCEPTED]
        assert (step.partner.state, step.partner.since) == (State.READING, NOW + 5)
        assert step.partner.until == NOW + 5 + CONSENT_US


def test_a_wrong_code_changes_nothing_and_after_five_the_right_one_counts_no_more():
    partner = invited()
    for tries in range(WRONG_CODES):
        step = accept(partner, OTHER, NOW, 9)
        assert (step.partner.wrong, step.partner.state, step.sends) == (tries + 1, State.INVITED, ())
        partner = step.partner
    with pytest.raises(NotAgreed, match="too many wrong codes"):
        accept(partner, CODE, NOW, 9)


def test_who_was_asked_is_not_asked_again_within_a_week_and_who_reads_not_at_all():
    with pytest.raises(NotAgreed, match="less than 7 days ago"):
        invite(invited(), ROBIN, 2, (CODE, STOP), NOW + 6 * DAY_US)
    assert told(invite(invited(), ROBIN, 2, (CODE, STOP), NOW + 8 * DAY_US)) == [Says.INVITE]
    with pytest.raises(NotAgreed, match="reads already"):
        invite(reading(), ROBIN, 2, (CODE, STOP), NOW + 100 * DAY_US)


def test_the_readers_code_stops_the_mails_and_both_are_told():
    step = stop(reading(), STOP.lower(), NOW + 2)
    assert step
    assert (step.partner.state, told(step)) == (State.STOPPED, [Says.STOPPED, Says.STOPPED_MINE])
    assert stop(reading(), CODE, NOW) is None
    assert stop(step.partner, STOP, NOW) is None


def test_who_wanted_no_more_mails_is_left_alone():
    stopped = stop(reading(), STOP, NOW + 10 * DAY_US)
    assert stopped
    with pytest.raises(NotAgreed, match="wants no more mails"):
        invite(stopped.partner, ROBIN, 2, (CODE, STOP), NOW + 90 * DAY_US)
    assert leave(stopped.partner).partner.state == State.STOPPED, "taking consent back does not forget it"


def test_the_user_leaves_without_any_code():
    assert told(leave(reading())) == [Says.LEFT]
    assert told(leave(invited())) == [], "who never said yes gets no mail about it"
    assert leave(leave(reading()).partner).sends == ()


def test_both_are_asked_again_before_ninety_days_are_over_and_two_answers_go_on():
    partner = reading()
    assert tick(partner, partner.until - ASK_US - 1, OTHER).sends == ()
    asked = tick(partner, partner.until - ASK_US, OTHER)
    assert told(asked) == [Says.RENEW, Says.RENEW_MINE]
    assert tick(asked.partner, partner.until - 1, CODE).sends == (), "asked once"
    again = accept(asked.partner, OTHER, partner.until - 1, 9)
    assert (again.sends, again.partner.reads) == ((), True)
    assert again.partner.until == partner.until - 1 + CONSENT_US


def test_without_two_answers_sharing_ends_and_both_are_told():
    partner = tick(reading(), reading().until - 1, OTHER).partner
    step = tick(partner, partner.until, CODE)
    assert (step.partner.state, told(step)) == (State.LAPSED, [Says.LAPSED, Says.LAPSED_MINE])
    with pytest.raises(NotAgreed, match="no question is open"):
        accept(step.partner, OTHER, partner.until, 9)


def test_less_counts_at_once_in_a_row_of_its_own():
    step = reconcile(reading(), replace(ROBIN, role=Role.SPOUSE), NOW, OTHER, 7)
    assert (step.partner.role, step.partner.place, step.partner.reads) == (Role.SPOUSE, 7, True)
    (send,) = step.sends
    assert (send.what, send.place, send.role) == (Says.LESS, 1, Role.SPOUSE)


def test_more_waits_for_the_readers_code():
    wanted = replace(ROBIN, role=Role.THERAPIST)
    asked = reconcile(reading(), wanted, NOW, OTHER, 7)
    assert (asked.partner.role, told(asked)) == (Role.MENTOR, [Says.MORE])
    assert reconcile(asked.partner, wanted, NOW, CODE, 8) == Step(asked.partner), "asked once"
    agreed = accept(asked.partner, OTHER, NOW, 8)
    assert (agreed.partner.role, agreed.partner.place, told(agreed)) == (Role.THERAPIST, 8, [Says.ACCEPTED])
    assert agreed.partner.until == reading().until, "a yes to more is no yes to a longer time"


def test_a_question_about_more_that_is_taken_back_is_void():
    asked = reconcile(reading(), replace(ROBIN, role=Role.THERAPIST), NOW, OTHER, 7).partner
    back = reconcile(asked, ROBIN, NOW, CODE, 8)
    assert (back.partner.asks, back.sends) == (Asks.NOTHING, ())
    with pytest.raises(NotAgreed):
        accept(back.partner, OTHER, NOW, 9)


def test_another_address_is_told_to_the_old_one_and_asked_anew():
    step = reconcile(reading(), replace(ROBIN, address="robin@new.test"), NOW, OTHER, 7)
    assert [(send.what, send.address) for send in step.sends] == [(Says.ADDRESS, "robin@mail.test")]
    assert (step.partner.state, step.partner.reads) == (State.MOVED, False)
    asked = invite(step.partner, replace(ROBIN, address="robin@new.test"), 2, (CODE, STOP), NOW)
    assert [(send.what, send.address) for send in asked.sends] == [(Says.INVITE, "robin@new.test")]


def test_who_is_taken_out_of_the_settings_gets_the_last_mail():
    assert told(reconcile(reading(), None, NOW, OTHER, 7)) == [Says.LEFT]
    assert told(reconcile(invited(), None, NOW, OTHER, 7)) == []


ACTS = st.sampled_from(["invite", "yes", "no", "stop", "leave", "less", "more", "move", "out", "week", "month"])


@given(st.lists(ACTS, max_size=30))
def test_whatever_happens_notes_go_only_to_an_address_whose_owner_said_yes(acts: list[str]):
    """The yes of an address ends with any last mail to it; a role is never above the one that was agreed."""
    now, place, wanted = NOW, 1, ROBIN
    known: Partner | None = None
    agreed: dict[str, Role] = {}
    rank = list(Role).index
    for act in acts:
        place += 1
        now += {"week": 7, "month": 30}.get(act, 0) * DAY_US + 1
        step = _acted(act, known, wanted, now, place)
        wanted = _wanted(act, wanted)
        steps = [step] if step else []
        if known := step.partner if step else known:
            steps.append(reconcile(known, wanted, now, CODE, place))
        for one in steps:
            if Says.ACCEPTED in told(one):
                agreed[one.partner.address] = one.partner.role
            for send in one.sends:
                if send.what in LAST and send.what != Says.LESS:
                    agreed.pop(send.address, None)
            known = one.partner
        if known:
            later = tick(known, now, CODE)
            known = later.partner
        if known and known.reads:
            assert known.address in agreed
            assert rank(known.role) <= rank(agreed[known.address])
            assert now < known.until


def _acted(act: str, known: Partner | None, wanted: Wanted, now: int, place: int) -> Step | None:
    try:
        if act == "invite":
            return invite(known, wanted, place, (CODE, STOP), now)
        if known and act in ("yes", "no"):
            return accept(known, CODE if act == "yes" else OTHER, now, place)
        if known and act == "stop":
            return stop(known, STOP, now)
        if known and act in ("leave", "out"):
            return leave(known)
    except NotAgreed:
        return None
    return None


def _wanted(act: str, wanted: Wanted) -> Wanted:
    if act == "move":
        return replace(wanted, address=f"x{wanted.address}"[-30:])
    return replace(wanted, role={"less": Role.SPOUSE, "more": Role.THERAPIST}.get(act, wanted.role))


@given(st.binary(min_size=16, max_size=16))
def test_a_code_is_eight_letters_in_two_groups(chance: bytes):
    code = code_of(chance)
    assert len(code) == 9
    assert code[4] == "-"
    assert set(people.spoken(code)) <= set(LETTERS)


def test_codes_differ_and_words_are_letters():
    assert len({code_of(bytes([n]) * 16) for n in range(256)}) == 256
    assert all(word.isalpha() and word.islower() for word in WORDS)
    assert len({word_of(STOP, f"2026-W{n}") for n in range(10, 50)}) > 20
    assert word_of(STOP, "2026-W47") == word_of(STOP, "2026-W47")


def test_mails_to_the_user_alone_end_no_row():
    assert not MINE & LAST
