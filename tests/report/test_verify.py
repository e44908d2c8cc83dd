"""The verifier: honest mails continue, gaps and changes are named, and it stands alone.

Numbers T74 to T78 are those of the test plan. Mails come from tests.report.chains, as a provider would deliver them.
"""

import ast
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from blockerd.report import evidence, verify
from blockerd.report.evidence import Evidence, Kind
from blockerd.report.verify import RETRIED, UNTOLD
from tests.report.chains import DAY, FIRST, Log, Sender, key_of, one_day, quarter
from tests.report.journeys import HARMED, UNHARMED
from tests.report.judging import (
    GOLDEN,
    RESENT,
    ROWS,
    SUMMED,
    at,
    delayed,
    duplicate,
    end,
    evidence_of,
    forged,
    honest,
    judged,
    made_of,
    moved,
    resent,
    rows,
    saved,
    summed,
    told_ahead,
    told_quarter,
    with_evidence,
)

PLACES = range(100)


# --- honest mails


def test_a_simulated_quarter_continues():
    overall, remarks, mails = judged(honest().mails, end())
    assert str(overall) == "continues"
    assert len(mails) == 105
    assert {str(mail.answer) for mail in mails} == {"continues"}
    assert "mail 70 came late: the mail server was out of reach" in remarks
    assert "mail 20 has no figures for 2026-09-09 to 2026-09-09: the computer was off" in remarks


def test_t70_a_hundred_honest_runs_pass():
    for run in PLACES:
        mails = list(honest().mails[: 2 + run % 42])  # the lengths that are tampered with among them
        Random(run).shuffle(mails)
        assert str(judged(mails, made_of(mails))[0]) == "continues"


def test_messages_attached_to_another_one_are_read():
    inner = honest().mails[:3]
    outer = b"From: x@y.test\nContent-Type: multipart/mixed; boundary=zz\n\nhello\n"
    for raw in inner:
        outer += b"--zz\nContent-Type: message/rfc822\n\n" + raw.replace(b"\r\n", b"\n") + b"\n"
    mails = verify.mails_in("forwarded.eml", outer + b"--zz--\n")
    assert [mail.note and mail.note.number for mail in mails] == [1, 2, 3]
    overall, remarks = verify.judge(mails, [], FIRST)
    assert str(overall) == "continues"
    assert verify.WITHIN.format(3) in remarks, "the sender may have put them there, and the times with them"
    assert verify.WITHIN.format(3) not in judged(inner, FIRST)[1]


@pytest.mark.parametrize("change", ["lf", "quoted-printable", "spaces", "signature", "name"])
def test_what_a_journey_does_to_a_mail_changes_nothing(change: str):
    def travel(raw: bytes) -> bytes:
        match change:
            case "lf":
                return raw.replace(b"\r\n", b"\n")
            case "quoted-printable":
                return raw.replace(b"7bit\r\n\r\nMail", b"quoted-printable\r\n\r\n=4Dai=\r\nl")
            case "spaces":
                return raw.replace(b"adult: ", b"adult: ").replace(b"\r\n\r\nThis seal", b"  \r\n \t\r\nThis seal")
            case "signature":
                return raw.replace(b"MIME-Version", b"DKIM-Signature: v=1; a=rsa-sha256\r\nX-Spam: no\r\nMIME-Version")
            case _:
                return raw.replace(b'filename="evidence.txt"', b"filename=ATT00001.dat")

    mails = [travel(raw) for raw in honest().mails[:12]]
    assert mails != list(honest().mails[:12])
    assert str(judged(mails, made_of(mails))[0]) == "continues"


@pytest.mark.parametrize("name", UNHARMED)
def test_what_another_program_makes_of_a_mail_changes_nothing(name: str):
    mails = [UNHARMED[name](raw) for raw in honest().mails[:4]]
    assert mails != list(honest().mails[:4])
    assert str(judged(mails, FIRST)[0]) == "continues"


@pytest.mark.parametrize("name", HARMED)
def test_what_harms_a_mail_is_never_passed_over(name: str):
    mails = [*honest().mails[:2], HARMED[name](honest().mails[2]), honest().mails[3]]
    assert mails[2] != honest().mails[2]
    told = str(judged(mails, FIRST)[0])
    assert told != "continues"
    assert not name.startswith("time") or told == "cannot tell (the time when mail 3 was received is missing)"


def test_the_digits_read_aloud_or_the_key_itself_pin_the_record():
    mails, key = honest().mails[:4], key_of(1).public
    assert str(judged(mails, FIRST, key.fingerprint)[0]) == "continues"
    assert str(judged(mails, FIRST, key.text)[0]) == "continues"
    digits = key.fingerprint.replace(key.fingerprint[0], str((int(key.fingerprint[0]) + 1) % 10), 1)
    assert "not the one whose digits were given" in str(judged(mails, FIRST, digits)[0])
    other = key_of(9).public.text
    assert str(judged(mails, FIRST, other)[0]) == "does not continue (mail 1: it is not signed by the known key)"
    assert verify.fingerprint(key.text) == key.fingerprint


def test_two_readers_in_one_folder_are_two_chains():
    log = Log()
    first = quarter(log=log, until=3)
    assert first.before
    second = Sender(log, to="mentor", place=2, follows=first.before.head)
    second.pairing(at(3, 9))
    mails = [*first.mails, *second.mails]
    assert str(judged(mails, FIRST)[0]) == "continues"
    assert (
        str(judged([*first.mails[:2], *first.mails[3:], *second.mails], FIRST)[0]) == "cannot tell (mail 3 is missing)"
    )


@pytest.mark.parametrize("name", ROWS)
def test_the_first_mail_of_a_further_row_goes_on_from_the_row_before(name: str):
    mails = rows(name)
    assert str(judged(mails, FIRST)[0]) == ROWS[name]
    assert str(judged(mails[-2:], FIRST)[0]) in ("continues", ROWS[name]), "who has no mail of another row misses none"


def test_a_record_whose_key_is_given_may_begin_in_a_row_of_its_own():
    mails = rows("another record")
    keys = [key_of(1).public.text, key_of(7, "blockerd/0badcafe").public.text]
    assert str(judged(mails, FIRST, *keys)[0]) == "continues"
    assert str(judged(mails, FIRST, keys[0])[0]).startswith("does not continue (mail 1: new origin")


def test_the_first_mail_of_a_further_row_is_judged_by_the_first_of_its_copies():
    mails = rows("sound")
    mails.append(delayed(mails[-2], 22))
    assert str(judged(mails, FIRST)[0]) == "continues"
    sender = quarter(log=Log(), until=3)
    assert sender.before
    second = Sender(sender.log, to="mentor", place=2, follows=sender.before.head)
    second.pairing(at(3, 9))
    sender.log.beats(1)
    sender.send(Kind.NOTICE, at(3, 9) + timedelta(minutes=17), None)
    mails = [*sender.mails, *second.mails, delayed(second.mails[0], 40)]
    assert str(judged(mails, FIRST)[0]) == "continues", "between its copies another row told more"


# --- T74: mails skipped, replayed, swapped, late


def test_t74_a_skipped_mail_is_missing():
    mails = honest().mails[:10]
    assert str(judged([*mails[:4], *mails[5:]], made_of(mails))[0]) == "cannot tell (mail 5 is missing)"
    assert str(judged(mails[1:], made_of(mails))[0]) == "cannot tell (mail 1 is missing)"
    assert str(judged([], FIRST)[0]) == "cannot tell (mail 1 is missing)"


def test_t74_whichever_mail_is_skipped_is_the_one_named():
    for number in range(1, 40):
        mails = [*honest().mails[: number - 1], *honest().mails[number:42]]
        told = judged(mails, FIRST)
        assert str(told[0]) == f"cannot tell (mail {number} is missing)"
        assert {mail.answer.word for mail in told[2]} == (
            {"cannot tell"} if number == 1 else {"continues", "cannot tell"}
        )


def test_t70_whichever_mail_is_edited_is_the_only_one_that_does_not_continue():
    for number in range(2, 40):
        mails = list(honest().mails[:42])
        mails[number - 1] = mails[number - 1].replace(b"<p>Mail", b"<p>mail")
        told = judged(mails, FIRST)
        assert str(told[0]).startswith(f"does not continue (mail {number}: its text/html part was changed")
        assert [mail.answer.word for mail in told[2]].count("continues") == 41


def test_t74_a_last_mail_taken_away_is_missing_once_the_next_was_due():
    mails = honest().mails[:10]
    assert str(judged(mails[:9], made_of(mails))[0]) == "continues", "it may still be on its way"
    overall, remarks, _ = judged(mails[:9], made_of(mails) + 2 * DAY)
    assert str(overall) == "cannot tell (mail 10 is missing)"
    assert "mail 9 said that the next one would come on 2026-09-01" in remarks


def test_t74_a_mail_delivered_twice_within_minutes_is_one_mail():
    mails = honest().mails[:5]
    overall, remarks, _ = judged([*mails, mails[2]], FIRST)
    assert str(overall) == "continues"
    assert "mail 3 is here twice, both alike" in remarks


def test_t74_a_mail_replayed_later_is_seen():
    mails = list(honest().mails[:5])
    duplicate(mails, 2)
    told = "mail 3: it was received 7260 minutes after it was made, as also happens where a mail server held it back or"
    assert told in str(judged(mails, FIRST)[0])


@pytest.mark.parametrize("name", RESENT)
def test_t74_the_same_mail_sent_again_is_one_mail_until_the_next_is_made(name: str):
    mails = resent(name)
    overall, remarks, found = judged(mails, FIRST)
    assert str(overall) == RESENT[name]
    assert sum(mail.answer.word != "continues" for mail in found) == (0 if RESENT[name] == "continues" else 1)
    if name.startswith("said"):
        told = "mail 5 came late: mail 6 says that it may have gone more than once"
        assert remarks.count(told) == (1 if RESENT[name] == "continues" else 0)


def test_a_mail_of_which_the_next_says_nothing_may_not_be_older_than_it_looks():
    """Whoever has the key makes a mail of last week today: without `again` or `late` in what is signed, time tells."""
    for place in range(1, 40):
        mails = list(honest().mails[:42])
        mails[place] = delayed(mails[place], 22)
        assert str(judged(mails, FIRST)[0]) == _late(place + 1, 23)


def test_a_mail_that_came_late_without_a_word_hides_no_change():
    """It is nobody's fault that a server held it back; what else does not fit is told first."""
    for late in (0, 40):
        mails = list(honest().mails[:42])
        mails[20] = delayed(with_evidence(mails[20], evidence_of(forged()[20])), late)
        assert str(judged(mails, FIRST)[0]).startswith("does not continue (mail 21: ")
        changed = [*honest().mails[:20], *(delayed(raw, late) for raw in forged()[20:22])]
        assert str(judged(changed, FIRST)[0]).startswith("does not continue (mail 21: ")


@pytest.mark.parametrize(("late", "wanted"), [(0, "continues"), (40, f"cannot tell ({UNTOLD.format(1, 40)})")])
def test_the_first_mail_of_a_further_row_that_was_held_back_is_no_change_of_the_record(late: int, wanted: str):
    """Meanwhile the last word in the row before came at once, and tells of a longer record."""
    mails = moved(quarter(log=Log(), until=3), timedelta(0))
    place = next(at for at, raw in enumerate(mails) if at and b"\nmail 1\n" in evidence_of(raw).replace(b"\r", b""))
    mails[place] = delayed(mails[place], late)
    assert str(judged(mails, FIRST)[0]) == wanted


def test_a_checker_that_does_not_know_the_line_says_that_it_is_of_a_later_version(monkeypatch: pytest.MonkeyPatch):
    mails = resent("said, 22 minutes")
    monkeypatch.delitem(verify._LINES, "again")
    overall = verify.judge([mail for raw in mails for mail in verify.mails_in("6.eml", raw)], [], FIRST)[0]
    told = "6.eml: its evidence is damaged or of a later version: line"
    assert str(overall).startswith(f"does not continue ({told}")


def _late(number: int, minutes: int) -> str:
    return f"cannot tell ({UNTOLD.format(number, minutes)})"


def test_a_late_mail_replayed_later_still_is_seen():
    mails = list(honest().mails[:72])
    late = mails[69]
    mails.append(late.replace(b"2026 07:00:00 +0000\r\nReceived", b"2026 09:00:00 +0000\r\nReceived", 1))
    assert mails[-1] != late
    assert str(judged(mails, FIRST)[0]) == f"does not continue (mail 70: it was delivered again later{RETRIED})"


@pytest.mark.parametrize(
    ("minutes", "late", "wanted"),
    [
        (15, "", "continues"),
        (16, "", f"cannot tell ({UNTOLD.format(2, 16)})"),
        (-15, "", "continues"),
        (-16, "", "does not continue (mail 2: it was received 16 minutes before it was made)"),
        (5000, "the mail server was out of reach", "continues"),
        (-16, "asleep", "does not continue (mail 2: it was received 16 minutes before it was made)"),
    ],
)
def test_t74_the_providers_clock_is_heard(minutes: int, late: str, wanted: str):
    sender = quarter(until=0)
    sender.send(Kind.SEAL, at(1, 7), None, late=late, delay=timedelta(minutes=minutes))
    assert str(judged(sender.mails, FIRST)[0]) == wanted


def test_t74_without_a_received_line_nobody_can_tell():
    mails = list(honest().mails[:3])
    mails[1] = mails[1][mails[1].index(b"From: ") :]
    assert str(judged(mails, FIRST)[0]) == "cannot tell (the time when mail 2 was received is missing)"


# --- T77: keys


def test_t77_a_change_of_key_signed_by_the_old_one_passes_and_the_old_key_is_over():
    sender = quarter(until=3)
    old = sender.key
    sender.rotate(2)
    one_day(sender, FIRST + 3 * DAY)
    assert str(judged(sender.mails, FIRST)[0]) == "continues"
    sender.rotate(3)
    one_day(sender, FIRST + 4 * DAY)
    assert str(judged(sender.mails, FIRST)[0]) == "continues"
    sender.key = old
    one_day(sender, FIRST + 5 * DAY)
    assert str(judged(sender.mails, FIRST)[0]) == "does not continue (mail 7: it is not signed by the known key)"


def test_t77_an_unknown_key_is_refused_with_and_without_a_record_of_its_own():
    for record in ((), ((key_of(7).public.text, key_of(7).signature("x")),)):
        sender = quarter(until=3)
        sender.key, sender.rotations = key_of(7), record
        one_day(sender, FIRST + 3 * DAY)
        assert str(judged(sender.mails, FIRST)[0]) == "does not continue (mail 5: it is not signed by the known key)"


# --- what the evidence says of itself


def lie(**fields: object) -> Callable[[Evidence], Evidence]:
    return lambda said: replace(said, **fields)  # type: ignore[arg-type]


def test_figures_that_are_not_the_sums_of_their_summaries_are_seen(monkeypatch: pytest.MonkeyPatch):
    sender, real = quarter(until=2), evidence.figures
    monkeypatch.setattr(evidence, "figures", lambda events: dict.fromkeys(real(events), 0))
    one_day(sender, FIRST + 2 * DAY)
    assert (
        str(judged(sender.mails, FIRST)[0])
        == "does not continue (mail 4: its figures are not the sums of its summaries)"
    )


@pytest.mark.parametrize("number", SUMMED)
def test_a_summary_has_plain_numbers_that_every_program_adds_up_alike(number: str):
    assert str(judged(summed(number), FIRST)[0]) == SUMMED[number]


def test_a_day_left_out_is_seen():
    sender = quarter(until=9)
    one = FIRST + 8 * DAY
    sender.send(Kind.SEAL, at(10, 7), None, evidence.Days("x", one, one), openings=(), without=())
    assert str(judged(sender.mails, FIRST)[0]) == "does not continue (mail 12: it tells nothing about 2026-09-01)"


def test_a_week_between_reports_left_out_is_seen():
    sender = quarter(until=7)
    for day in range(14, 21):
        sender.opened[FIRST + day * DAY] = sender.log.daily(FIRST + day * DAY, x=1)
    sender.report(FIRST + 14 * DAY, at(21, 7))
    assert str(judged(sender.mails, FIRST)[0]) == "does not continue (mail 10: it tells nothing about 2026-08-31)"


def test_of_days_that_a_clock_ahead_told_the_mail_that_told_them_is_named_and_no_other():
    answers = [str(mail.answer) for mail in judged(told_ahead(), FIRST)[2]]
    assert [answer for answer in answers if answer != "continues"] == [
        "does not continue (it was received 4320 minutes before it was made)"
    ]


def test_a_day_told_a_second_time_in_another_way_is_seen():
    sender = quarter(until=6)
    sender.opened[FIRST] = sender.log.daily(FIRST, minutes={"monitored": 1000})
    one_day(sender, FIRST + 6 * DAY)
    assert str(judged(sender.mails, FIRST)[0]) == "does not continue (mail 9: two entries tell of 2026-08-24)"


def test_a_summary_that_is_not_in_the_log_is_seen():
    def invent(said: Evidence) -> Evidence:
        opened = replace(said.openings[0], event=said.openings[0].event.replace(b'"chat":0', b'"chat":1'))
        return replace(said, openings=(opened,))

    sender = quarter(until=2)
    sender.opened[FIRST + 2 * DAY] = sender.log.daily(FIRST + 2 * DAY, attempts={"chat": 0})
    sender.seal(FIRST + 2 * DAY, at(3, 7), changed=invent)
    told = "does not continue (mail 4: the summary of 2026-08-26 is not in the signed record)"
    assert str(judged(sender.mails, FIRST)[0]) == told


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"before": None}, "it names no mail before it"),
        ({"consistency": ()}, "the record that mail 3 told was changed"),
        ({"consistency": (bytes(32),)}, "the record that mail 3 told was changed"),
        ({"parts": ()}, "its text/plain part was changed after it was sealed, or added, or taken away"),
        ({"parts": (("image/png", bytes(32)),)}, "its image/png part was changed after it was sealed, or added"),
    ],
)
def test_a_bond_that_is_missing_or_wrong_is_seen(fields: dict[str, object], why: str):
    sender = quarter(until=2)
    sender.log.beats(3)
    sender.send(Kind.SEAL, at(3, 7), None, changed=lie(**fields))
    assert str(judged(sender.mails, FIRST)[0]).startswith(f"does not continue (mail 4: {why}")


# --- T78: alone


def test_t78_it_runs_alone_on_a_bare_python(tmp_path: Path):
    copy = tmp_path / "verify.py"
    shutil.copy(verify.__file__, copy)
    folder = saved(tmp_path / "mails", honest().mails)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(copy), "--today", str(end()), str(folder)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "continues"


def test_t78_it_imports_the_standard_library_only():
    tree = ast.parse(Path(verify.__file__).read_text())
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= set(sys.stdlib_module_names)
    assert not {"socket", "urllib", "http", "subprocess"} & {name.split(".")[0] for name in names}


def test_t78_ten_thousand_leaves_take_at_most_two_seconds(tmp_path: Path):
    log, folder = Log(), tmp_path / "mails"
    sender = Sender(log)
    log.beats(9_990)
    sender.pairing(at(0, 9))
    log.beats(10)
    sender.send(Kind.SEAL, at(1, 9), None)
    (tmp_path / "leaves").write_text("".join(f"{line}\n" for line in log.exported(opened=True)))
    began = time.monotonic()
    assert verify.main([str(saved(folder, sender.mails)), "--leaves", str(tmp_path / "leaves")]) == 0
    assert time.monotonic() - began < 2


# --- the command line, and the quarter as golden files


def test_usage_errors_are_one_line_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for words in ([], [str(tmp_path / "none.eml")], ["--key", "x", str(tmp_path)], ["--today", "soon", str(tmp_path)]):
        with pytest.raises(SystemExit) as left:
            verify.main(words)
        assert left.value.code == 2
        assert "Traceback" not in capsys.readouterr().err


def test_other_mails_in_a_folder_are_passed_over_but_a_named_file_must_have_evidence(tmp_path: Path):
    folder = saved(tmp_path, honest().mails[:3])
    other = folder / "other.eml"
    other.write_bytes(b"Received: x; once\nSubject: evidence 12 of the trial\n\nevidence 1 is here\n")
    today = ["--today", str(FIRST)]
    assert verify.main([str(folder), *today]) == 0
    assert verify.main([str(folder), str(other), *today]) == 3


@pytest.mark.parametrize(("name", "code"), [("honest", 0), ("edited", 1), ("gap", 3), ("restored", 1)])
def test_the_quarter_gives_what_the_golden_files_say(
    name: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """To write them anew: delete them and run this test twice; then read them."""
    assert verify.main([str(saved(tmp_path, told_quarter(name))), "--today", str(end())]) == code
    golden, shown = GOLDEN / f"{name}.txt", capsys.readouterr().out
    if not golden.exists():
        golden.write_text(shown)
        pytest.fail(f"{golden.name} was written")
    assert shown == golden.read_text()
    assert not re.search(r"(?i)\b(clean|proof|tamper)", shown)


def test_the_evidence_of_a_report_is_as_the_golden_file_shows_it():
    golden, shown = GOLDEN / "evidence-009.txt", evidence_of(honest().mails[8])
    if not golden.exists():
        golden.write_bytes(shown)
        pytest.fail(f"{golden.name} was written")
    assert shown == golden.read_bytes()


def test_a_name_that_cannot_be_printed_and_the_first_day_of_all_crash_nothing(tmp_path: Path):
    path = tmp_path / "\u043f\u0438\u0441\u044c\u043c\u043e.eml"
    path.write_bytes(b"Subject: another mail\r\n\r\nHello.\r\n")
    command = [sys.executable, str(verify.__file__), "--today", "0001-01-01", str(path)]
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    ran = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (verify.EXIT[verify.UNKNOWN], b"")
    assert b"\\u043f\\u0438\\u0441" in ran.stdout
