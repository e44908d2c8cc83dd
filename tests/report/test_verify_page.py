"""verify.html in a real browser: the same answers as verify.py, no network, nothing put in as markup.

Chromium runs headless on file:// addresses. Where many cases are judged at once, a copy of the page has a script more.
"""

import base64
import hashlib
import html
import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest

from blockerd.report import verify
from blockerd.report.evidence import Kind
from tests.report.chains import DAY, FIRST, Log, Sender, key_of, quarter
from tests.report.journeys import HARMED, UNHARMED, rough
from tests.report.judging import (
    RESENT,
    ROWS,
    SUMMED,
    alike,
    at,
    changed_mail,
    end,
    fresh,
    honest,
    resent,
    rows,
    summed,
    told_ahead,
    told_quarter,
)

PAGE = Path(verify.__file__).with_name("verify.html")
CASE = """
const cases = JSON.parse(document.getElementById("cases").textContent);
const results = cases.map(({ mails, keys, today }) => {
  const read = mails.flatMap(([name, text]) => {
    const found = mailsIn(name, bytesOf(atob(text)));
    return found.length ? found : [{ file: name, note: null, answer: new Answer(UNKNOWN, "its evidence is missing") }];
  });
  const { overall, remarks, mails: order } = judge(read, keys, today);
  return [overall.message, remarks, order.map((mail) => mail.answer.message)];
});
document.body.replaceChildren(document.createElement("pre"));
document.body.firstChild.textContent = JSON.stringify(results);
"""
HASHES = """
const cases = JSON.parse(document.getElementById("cases").textContent);
const results = cases.map(({ mails, keys, today, hashes }) => {
  const began = performance.now();
  const read = mails.flatMap(([name, text]) => mailsIn(name, bytesOf(atob(text))));
  const { overall } = judge(read, keys, today);
  const told = checkHashes(hashesIn(utf8(hashes)), read) || overall;
  return [told.message, performance.now() - began];
});
document.body.replaceChildren(document.createElement("pre"));
document.body.firstChild.textContent = JSON.stringify(results);
"""
SHOW = """
const { mails, keys, today } = JSON.parse(document.getElementById("cases").textContent)[0];
kept = mails.map(([name, text]) => [name, bytesOf(atob(text))]);
by("key").value = keys.join(", ");
show(today);
"""
TAKE = """
const files = JSON.parse(document.getElementById("cases").textContent);
const given = ([name, text]) => [{ name, slice: () => ({ arrayBuffer: async () => bytesOf(atob(text)).buffer }) }];
(async () => {
  for (const one of files) await take(given(one));
  document.body.replaceChildren(document.createElement("pre"));
  document.body.firstChild.textContent = JSON.stringify(kept.map(([name, bytes]) => [name, btoa(binaryOf(bytes))]));
})();
"""
needs_browser = pytest.mark.needs_tool("chromium")


def test_the_page_opens_no_connection_and_holds_its_own_digests():
    text = PAGE.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    script, style = (re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("script", "style"))
    assert script
    assert style
    allowed = f"script-src {_source(script[1])}; style-src {_source(style[1])}; base-uri 'none'; form-action 'none'"
    assert policy[1] == f"default-src 'none'; {allowed}", "write the digests anew"
    assert len(re.findall(r"<script|<style", text)) == 2
    assert not re.search(
        r"https?://|fetch\(|XMLHttp|WebSocket|import\(|innerHTML|outerHTML|insertAdjacent|eval\(", text
    )
    assert not re.search(r"localStorage|sessionStorage|indexedDB|cookie", text)


@needs_browser
def test_the_page_runs_under_its_own_policy(tmp_path: Path):
    """Its script takes the first line away that says that it does not run."""
    shown = dumped(PAGE, tmp_path)
    assert "Do these mails fit together?" in shown
    assert "the page's own program does not run" not in shown


@needs_browser
def test_both_verifiers_give_the_same_answers(tmp_path: Path):
    names = ("honest", "edited", "gap", "restored")
    cases = [case(told_quarter(name), str(end())) for name in names]
    key = quarter(until=0).key.public
    cases += [case(honest().mails[:4], str(FIRST), one) for one in (key.text, key.fingerprint, "11111 22222")]
    cases += [
        case([], str(FIRST)),
        case(honest().mails[:9], str(FIRST + 40 * DAY)),
        case(honest().mails[3:6], str(FIRST)),
    ]
    cases += [case(rows(name), str(FIRST)) for name in ROWS]
    cases += [case(rows(name)[-2:], str(FIRST)) for name in ROWS]
    keys = [key_of(1).public.text, key_of(7, "blockerd/0badcafe").public.text]
    cases += [case(rows("another record"), str(FIRST), *keys)]
    cases += [case(resent(name), str(FIRST)) for name in RESENT]
    cases += [case(told_ahead(), str(FIRST))]
    cases += [case(summed(number), str(FIRST)) for number in SUMMED]
    assert answers(cases, tmp_path) == [answered(one) for one in cases]


@needs_browser
def test_both_verifiers_give_the_same_answers_to_mutated_mails(tmp_path: Path):
    """Python's reader of mails and the page's own may part ways over a broken mail, yet neither says "continues"."""
    cases, intact = [], []
    for run in range(150):
        chance = Random(run)
        mails = list(honest().mails[:4])
        where = chance.randrange(4)
        mails[where] = changed_mail(mails[where], chance)
        cases.append(case(mails, str(FIRST)))
        intact.append(alike(verify.mails_in("", mails[where]), verify.mails_in("", honest().mails[where])))
    ours, theirs = [answered(one) for one in cases], answers(cases, tmp_path)
    for same, one, other in zip(intact, ours, theirs, strict=True):
        assert same or "continues" not in (one[0], other[0])
    assert sum(one == other for one, other in zip(ours, theirs, strict=True)) > 140


@needs_browser
def test_both_verifiers_read_a_mail_alike_whatever_became_of_it(tmp_path: Path):
    first = honest().mails[:4]
    trips = [trip for journeys in (UNHARMED, HARMED) for trip in journeys.values()]
    cases = [case([*first[:2], trip(first[2]), first[3]], str(FIRST)) for trip in trips]
    assert answers(cases, tmp_path) == [answered(one) for one in cases]


@needs_browser
def test_both_verifiers_say_the_same_word_to_mails_that_had_a_rough_journey(tmp_path: Path):
    """Which part of a broken mail is named may differ in one of a hundred."""
    cases = []
    for run in range(400):
        chance = Random(run)
        mails = list(honest().mails[:4])
        where = chance.randrange(4)
        mails[where] = (rough if run % 2 else changed_mail)(mails[where], chance)
        cases.append(case(mails, str(FIRST)))
    ours, theirs = [answered(one) for one in cases], answers(cases, tmp_path)
    words = [[str(one[0]).partition(" (")[0] for one in each] for each in (ours, theirs)]
    assert words[0] == words[1]
    assert sum(one == other for one, other in zip(ours, theirs, strict=True)) >= 396


@needs_browser
@pytest.mark.parametrize("encoding", [b"7bit", b"quoted-printable"])
def test_a_line_of_many_blanks_does_not_keep_the_page_busy(encoding: bytes, tmp_path: Path):
    """Half a minute for 200,000 of them, and four times that for twice as many, is what a pattern takes."""
    mails = list(honest().mails[:3])
    row = b"\r\n\r\n" + b" " * 400_000 + b"x\r\nMail"
    mails[1] = mails[1].replace(b"7bit\r\n\r\nMail", encoding + row)
    mails[2] = mails[2].replace(b"Content-Type: text/plain;", b"Content-Type: text/plain;" + b" " * 400_000)
    given = [case(mails, str(FIRST))]
    began = time.monotonic()
    assert answers(given, tmp_path) == [answered(given[0])]
    assert time.monotonic() - began < 20


@needs_browser
@pytest.mark.once
def test_t78_ten_thousand_leaves_take_at_most_two_seconds_and_the_broken_one_is_named_as_python_names_it(
    tmp_path: Path, record_property: Callable[[str, object], None]
):
    sender = Sender(Log())
    sender.log.beats(9_990)
    sender.pairing(at(0, 9))
    sender.log.beats(10)
    sender.send(Kind.SEAL, at(1, 9), None)
    lines = sender.log.exported(opened=True)
    changed = [*lines[:77], lines[77].replace('"at":77', '"at":78'), *lines[78:]]
    bare = sender.log.exported()
    unlike = [*bare[:9_995], f"9995 {'00' * 32}", *bare[9_996:]]
    listed = [lines, changed, unlike, bare[:9_000], [*bare[:5], *bare[6:]], [*lines, "rubbish"]]
    cases = [{**case(sender.mails, str(FIRST)), "hashes": "".join(f"{one}\n" for one in each)} for each in listed]
    shown = results(cases, tmp_path, HASHES)
    mails = [mail for raw in sender.mails for mail in fresh(raw, "")]
    verify.judge(mails, [], FIRST)
    assert [told for told, _ in shown] == [str(verify.check_leaves(each, mails) or "continues") for each in listed]
    record_property("ms for 10,000 leaves", round(shown[0][1]))
    assert shown[0][1] < 2000


@needs_browser
def test_the_list_of_hashes_is_dropped_with_the_mails(tmp_path: Path):
    given = case(honest().mails[:4], str(FIRST))
    assert isinstance(given["mails"], list)
    given["mails"].append(["leaves.txt", base64.b64encode(f"0 {'00' * 32}\n".encode()).decode()])
    shown = dumped(with_script(tmp_path, [given], SHOW), tmp_path)
    assert "does not continue (leaf 0 or one after it is missing)" in html.unescape(shown)


@needs_browser
def test_mails_of_one_name_are_kept_side_by_side_and_a_newer_list_of_hashes_takes_the_place_of_the_old(tmp_path: Path):
    """Mail programs name the file after the subject, which is the same in each note."""
    first, second = (base64.b64encode(raw).decode() for raw in honest().mails[:2])
    old, new = (base64.b64encode(f"0 {digit * 64}\n".encode()).decode() for digit in "01")
    files = [["note.eml", first], ["l.txt", old], ["note.eml", second], ["note.eml", first], ["l.txt", new]]
    shown = dumped(with_script(tmp_path, files, TAKE), tmp_path)
    found = re.search(r"<pre>(.*)</pre>", shown, re.DOTALL)
    assert found, shown[-2000:]
    assert sorted(json.loads(html.unescape(found[1]))) == sorted([files[0], files[2], files[4]])


@needs_browser
def test_what_stands_in_a_mail_is_never_markup(tmp_path: Path):
    name = "<img src=x onerror=alert(1)>.eml"
    page = with_script(tmp_path, [{"mails": [[name, "ZXZpZGVuY2UgMQ=="]], "keys": [], "today": str(FIRST)}], SHOW)
    shown = dumped(page, tmp_path)
    assert "<img" not in shown
    assert html.escape(name, quote=False) in shown


@needs_browser
def test_the_page_shows_the_answer_its_meaning_and_the_limits(tmp_path: Path):
    page = with_script(tmp_path, [case(told_quarter("gap"), str(end()))], SHOW)
    shown = dumped(page, tmp_path)
    assert "cannot tell (mail 58 is missing)" in shown
    assert "Something is missing that would be needed to tell." in shown
    assert verify.LIMITS in shown
    assert shown.count("<li>") == 104 + 13


def case(mails: Sequence[bytes], today: str, *keys: str) -> dict[str, object]:
    named = [[f"{number:03}.eml", base64.b64encode(raw).decode()] for number, raw in enumerate(mails, 1)]
    return {"mails": named, "keys": list(keys), "today": today}


def answered(given: Mapping[str, object]) -> list[object]:
    """What verify.py says to a case."""
    mails, keys, today = given["mails"], given["keys"], given["today"]
    assert isinstance(mails, list)
    assert isinstance(keys, list)
    found = [mail for name, text in mails for mail in fresh(base64.b64decode(text), name)]
    overall, remarks = verify.judge(found, keys, date.fromisoformat(str(today)))
    ordered = [mail for mail in found if not mail.note]
    ordered += sorted(
        (mail for mail in found if mail.note),
        key=lambda mail: (mail.note.one("to"), mail.note.number) if mail.note else ((), 0),
    )
    return [str(overall), remarks, sorted(str(mail.answer) for mail in ordered)]


def answers(cases: Sequence[Mapping[str, object]], folder: Path) -> list[list[object]]:
    """What the page says to them."""
    return [[overall, remarks, sorted(each)] for overall, remarks, each in results(cases, folder, CASE)]


def results(cases: Sequence[Mapping[str, object]], folder: Path, script: str) -> list[Any]:
    """What `script` gives for them in the page."""
    shown = dumped(with_script(folder, cases, script), folder)
    found = re.search(r"<pre>(.*)</pre>", shown, re.DOTALL)
    assert found, shown[-2000:]
    return list(json.loads(html.unescape(found[1])))


def with_script(folder: Path, cases: Sequence[object], script: str) -> Path:
    """A copy of the page without its policy, with data and one more script."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", PAGE.read_text())
    data = json.dumps(cases).replace("<", "\\u003c")
    block = f'<script type="application/json" id="cases">{data}</script><script>{script}</script></body>'
    page = folder / "page.html"
    page.write_text(text.replace("</body>", block))
    return page


def dumped(page: Path, folder: Path, *more: str) -> str:
    """The page's tree after its scripts have run."""
    done = subprocess.run(
        [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=60000", *more, "--dump-dom"),
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
