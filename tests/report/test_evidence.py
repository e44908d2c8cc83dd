"""What goes out with a mail: the form of the attachment, and what it refuses to let out."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd import model
from blockerd.journal import checkpoint, merkle
from blockerd.journal.entry import Daily, encode
from blockerd.model import Action, Attempt, Channel
from blockerd.report import evidence, verify
from blockerd.report.daily import DayFacts, payload
from blockerd.report.evidence import Before, Days, Evidence, Head, Kind, Opening, Without
from blockerd.report.requests import Confidence, Reading, Sort
from blockerd.report.signs import State
from blockerd.settings import Role
from tests.report.chains import ORIGIN, Given, Log, key_of

DAY = date(2026, 11, 16)
HEAD = Head(ORIGIN, 40, bytes(range(32)))
KEY = key_of(1)
END = 1_794_870_000_000_000  # midnight after DAY in Berlin: 2026-11-16T23:00Z
MADE = int(datetime(2026, 11, 17, 7, 3, 59, tzinfo=UTC).timestamp()) * 1_000_000


def event(**changed: object) -> bytes:
    facts = changed.pop("facts", {"minutes": {"monitored": 300}, "bands": [0, 2, 1, 0], "note": "quiet"})
    told = {"kind": "daily", "at": END, "day": str(DAY), "role": "spouse", "facts": facts, **changed}
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def said(told: bytes | None = None, **changed: Given) -> Evidence:
    opened = (Opening(17, bytes(16), event() if told is None else told, (bytes(32),)),)
    plain = Evidence(HEAD, "spouse", 1, 1, Kind.SEAL, MADE, DAY, (), days=Days("2026-11-16", DAY, DAY), openings=opened)
    return replace(plain, **changed)


def test_the_attachment_is_a_checkpoint_in_a_signed_note():
    note = evidence.attachment(said(), KEY.sign).decode()
    head = checkpoint.Checkpoint.parse(checkpoint.open_note(note, KEY.public))
    assert (head.origin, head.size, head.root) == (HEAD.origin, HEAD.size, HEAD.root)
    assert head.extensions[0] == "evidence 1"


def test_every_line_can_be_read_by_a_person():
    old = Head(ORIGIN, 30, bytes(32))
    full = said(
        number=14,
        before=Before(13, old, bytes(32)),
        consistency=(bytes(32), bytes([1] * 32)),
        late="the mail server was out of reach",
        without=(Without(DAY, DAY, "the computer was off"),),
        parts=(("text/plain", bytes(32)),),
        rotations=((key_of(2).public.text, bytes(64)),),
        new_log=True,
        follows=Head("blockerd/0badcafe", 9, bytes(32)),
        again=True,
    )
    zero = "A" * 43 + "="
    assert evidence.text(full).split("\n")[3:] == [
        "evidence 1",
        "to spouse 1",
        "mail 14",
        "kind seal",
        "made 2026-11-17T07:03Z",
        "next 2026-11-16",
        f"seal {evidence.seal(HEAD)} last {evidence.seal(old)}",
        "period 2026-11-16 2026-11-16 2026-11-16",
        "late the mail server was out of reach",
        "without 2026-11-16 2026-11-16 the computer was off",
        "figure bands.0 0",
        "figure bands.1 2",
        "figure bands.2 1",
        "figure bands.3 0",
        "figure minutes.monitored 300",
        f"part text/plain {'00' * 32}",
        f"before 13 30 {zero} {'00' * 32}",
        f"consistency {zero} {'AQEB' * 10}AQE=",
        f"day 2026-11-16 17 {'A' * 22}== {event().decode()}",
        f"in {zero}",
        f"rotation {key_of(2).public.text} {'A' * 86}==",
        f"follows blockerd/0badcafe 9 {zero}",
        "again 13",
        "",
    ]


def test_what_has_no_value_is_said_or_left_out():
    lines = evidence.text(said(due=None, days=None, openings=(), new_log=True, again=True)).split("\n")
    assert {"next none", "before none", "follows unknown"} <= set(lines)
    assert not [
        line
        for line in lines
        if line.split(" ")[0] in ("period", "late", "consistency", "figure", "day", "key", "again")
    ]
    assert any(
        line.startswith("in -")
        for line in evidence.text(said(openings=(Opening(0, bytes(16), event(), ()),))).split("\n")
    )


@pytest.mark.parametrize("at", [END + 1, END + 3600_000_000 + 7, MADE, END // 1000, END + 86_400_000_000, 0])
def test_the_moment_a_summary_was_written_never_leaves(at: int):
    """It is when the computer was switched on in the morning."""
    with pytest.raises(ValueError, match="tells when it was written"):
        evidence.text(said(event(at=at)))


@pytest.mark.parametrize("zone", [-12 * 4, -14, 0, 22, 23, 14 * 4])
def test_midnight_in_every_zone_may_leave(zone: int):
    midnight = int(datetime(2026, 11, 17, tzinfo=UTC).timestamp()) * 1_000_000
    assert evidence.text(said(event(at=midnight - zone * evidence.QUARTER_US)))


@pytest.mark.parametrize(
    "facts",
    [
        {"last": END},
        {"first": END // 1_000_000},
        {"at": "22:10"},
        {"gaps": ["Tue 22:10-22:50"]},
        {"x": "2026-11-16T22"},
    ],
)
def test_a_moment_among_the_facts_never_leaves(facts: dict[str, object]):
    with pytest.raises(ValueError, match="tells a moment"):
        evidence.text(said(event(facts=facts)))


@pytest.mark.parametrize("told", [event(role="therapist"), event(kind="attempt"), event(role="")])
def test_an_entry_meant_for_somebody_else_never_leaves(told: bytes):
    with pytest.raises(ValueError, match="entry 17 is no daily summary for spouse"):
        evidence.text(said(told))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"late": "since 22:10"}, "a reason is one short line"),
        ({"late": "a\nfigure x 1"}, "a reason is one short line"),
        ({"without": (Without(DAY, DAY, "é"),)}, "a reason is one short line"),
        ({"days": Days("a b", DAY, DAY)}, "a period's label"),
        ({"key": KEY.public.text}, "a pairing mail and no other"),
        ({"kind": Kind.PAIRING}, "a pairing mail and no other"),
        ({"days": None}, "summaries need a period"),
        ({"number": 0}, "does not follow"),
        ({"number": 5, "before": Before(3, HEAD, b"")}, "mail 5 does not follow mail 3"),
        ({"days": Days("x", date(2026, 11, 17), date(2026, 11, 18))}, "those of the period's days"),
        ({"openings": said().openings * 2}, "each once, in order"),
    ],
)
def test_what_the_reader_could_not_follow_is_refused(changed: dict[str, Given], why: str):
    with pytest.raises(ValueError, match=why):
        evidence.text(said(**changed))


def test_figures_are_sums_by_the_way_to_each_number():
    events = [event(), event(facts={"minutes": {"monitored": 7, "Off": 5}, "bands": [1], "name": "x", "with space": 3})]
    assert evidence.figures(events) == {
        "bands.0": 1,
        "bands.1": 2,
        "bands.2": 1,
        "bands.3": 0,
        "minutes.monitored": 307,
    }
    assert evidence.figures([]) == {}


@given(st.recursive(st.integers(-1000, 1000) | st.text("ab._ C", max_size=4), lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.text("ab._ C", max_size=4), inner, max_size=3), max_leaves=12))  # fmt: skip
def test_both_sides_take_the_same_numbers_from_any_facts(facts: object):
    sums: dict[str, int] = {}
    for name, value in verify._numbers(facts, ""):
        sums[name] = sums.get(name, 0) + value
    assert evidence.figures([event(facts=facts)]) == dict(sorted(sums.items()))


def test_text_is_digested_as_it_survives_a_journey():
    told = evidence.part_digest("text/plain", b"\na\nb \n\n")
    assert told == evidence.part_digest("text/plain", b"a\r\nb\t\r\n") == evidence.part_digest("text/plain", b"a\rb")
    assert told != evidence.part_digest("text/plain", b"a\n\nb")
    assert evidence.part_digest("image/png", b"a\r\n") != evidence.part_digest("image/png", b"a\n")


def test_an_attachment_is_digested_alike_with_either_line_end():
    note = evidence.attachment(said(), KEY.sign)
    assert evidence.digest(note) == evidence.digest(note.replace(b"\n", b"\r\n") + b"\r\n")
    assert evidence.digest(note) != evidence.digest(note.replace(b"spouse", b"mentor"))


def test_a_seal_has_twelve_letters_and_depends_on_the_whole_head():
    heads = [HEAD, replace(HEAD, size=41), replace(HEAD, root=bytes(32)), replace(HEAD, origin="blockerd/00")]
    seals = {evidence.seal(head) for head in heads}
    assert len(seals) == 4
    assert all(len(one) == 14 and not set(one) & set("ILOU") for one in seals)
    assert evidence.seal(None) == "none"
    assert evidence.seal(HEAD) == verify.seal(HEAD.origin, HEAD.size, evidence._b64(HEAD.root))


def test_an_opening_leads_to_the_root():
    log = Log()
    log.beats(11)
    index = log.daily(DAY, x=1)
    log.beats(6)
    opened = evidence.opening(index, *log.events[index], 18, log.node())
    leaf = merkle.leaf_hash(merkle.commitment(opened.salt, opened.event))
    assert merkle.verify_inclusion(index, 18, leaf, opened.path, log.head().root)
    assert verify.included(index, 18, leaf, opened.path, log.head().root)
    assert evidence.text(said(head=log.head(), openings=(replace(opened, event=event()),)))


@pytest.mark.parametrize("role", Role)
def test_a_daily_summary_of_every_role_goes_out_and_is_understood(role: Role):
    late = int(datetime(2026, 11, 16, 21, 40, tzinfo=UTC).timestamp()) * 1_000_000
    asked = ("site.test", ("site.test",), "adult", "s", "", Action.NXDOMAIN, Channel.DNS, "", "", 3, model.Kind.ATTEMPT)
    reading = Reading(Attempt(late, late, *asked), Sort.REQUEST, Confidence.HIGH, ())
    facts = DayFacts(DAY, {State.MONITORED: 300, State.OFF: 1140}, [reading], screen=250, late=20, earlier=[1, 0, 2])
    log = Log()
    log.beats(5)
    told = payload(facts, role, ZoneInfo("Europe/Berlin"))
    log.events.append((bytes(16), encode(Daily(END, str(DAY), role.value, told))))
    opened = evidence.opening(5, *log.events[5], 6, log.node())
    note = evidence.attachment(said(head=log.head(), to=role.value, openings=(opened,)), KEY.sign)
    mail = verify.Mail("x", MADE // 60_000_000, note=verify.read_note(note))
    verify.judge([mail], [KEY.public.text])
    assert str(mail.answer) == "continues"
    assert b"figure cover.monitored 300\n" in note
