"""Every file of `files/` is played, and the language itself is held to what README.md says of it."""

import re
from pathlib import Path

import pytest

from tests.scenarios.parse import parse
from tests.scenarios.runner import run
from tests.scenarios.tree import ScenarioError

FILES = sorted((Path(__file__).parent / "files").glob("*.scn"))
SOURCE = re.compile(
    r"RFC \d{4}|CVE-\d{4}-\d+|GHSA-|\bT\d{2,3}\b|draft-|DESIGN|FEATURES|threat model|flag day|[Ss]etting"
)

UPSTREAM = """# RFC 1035
config
  list cam
    listed.test
upstream 192.0.2.53
  to www.site.test A
    send NOERROR
      @ 300 A 192.0.2.1
"""
ASKED = UPSTREAM + "ask www.site.test A edns\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_goes_as_the_scenario_says(path: Path):
    problem = ""
    try:
        run(path)
    except ScenarioError as error:
        problem = str(error)
    if problem:
        pytest.fail(problem, pytrace=False)


def test_there_are_a_hundred_scenarios_and_no_two_alike():
    bodies = [re.sub(r"(?m)^#.*\n", "", path.read_text(encoding="utf-8")) for path in FILES]
    assert len(FILES) >= 100
    assert len(set(bodies)) == len(FILES)


def test_a_scenario_says_where_its_rule_comes_from():
    abouts = {path.name: parse(path, path.read_text(encoding="utf-8")).about for path in FILES}
    assert [name for name, about in abouts.items() if not SOURCE.search(about)] == []


def test_a_scenario_that_is_right_passes(tmp_path: Path):
    _play(tmp_path, ASKED + "expect NOERROR edns ede=none size=512 answers=1\n  @ 300 A 192.0.2.1\nexpect upstream 1\n")


def test_the_example_of_the_readme_plays(tmp_path: Path):
    text = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    _play(tmp_path, text.split("```\n")[1])


@pytest.mark.parametrize(
    "expectation",
    [
        "expect NXDOMAIN", "expect NOERROR|SERVFAIL ad", "expect silence", "expect NOERROR -edns",
        "expect NOERROR ede=17",
        "expect NOERROR size=30 answers=1", "expect NOERROR answers=2", "expect NOERROR no-question any-answer",
        "expect NOERROR", "expect NOERROR\n  @ 300 A 192.0.2.2", "expect NOERROR\n  @ 299 A 192.0.2.1",
        "expect NOERROR\n  other.test 300 A 192.0.2.1", "expect NOERROR\n  answer nothing",
        "expect NOERROR\n  @ 300 A 192.0.2.1\n  authority * * SOA *",
        "expect upstream nothing", "expect upstream 2", "expect upstream most 0", "expect took 1 2",
        "expect upstream\n  192.0.2.54 www.site.test A", "expect upstream\n  192.0.2.53 site.test A",
        "expect upstream\n  192.0.2.53 www.site.test AAAA", "expect upstream\n  192.0.2.53 www.site.test A tcp",
        "expect upstream\n  192.0.2.53 www.site.test A -options +cd",
        "expect attempts 1", "expect attempts\n  www.site.test cam attempt",
    ],
)  # fmt: skip
def test_what_is_not_as_expected_is_told_with_file_and_line(tmp_path: Path, expectation: str):
    with pytest.raises(ScenarioError, match=r"^it\.scn:1[0-2]: "):
        _play(tmp_path, ASKED + expectation + "\n")


@pytest.mark.parametrize(
    "attempt", ["other.test cam attempt", "listed.test adult attempt", "listed.test cam bypass",
                "listed.test cam attempt client=192.168.1.1", "listed.test cam attempt type=AAAA"],
)  # fmt: skip
def test_an_attempt_that_is_not_as_expected_is_told(tmp_path: Path, attempt: str):
    asked = UPSTREAM + "ask listed.test A\nexpect attempts\n"
    _play(tmp_path, asked + "  listed.test cam attempt client=127.0.0.1 type=A\n")
    with pytest.raises(ScenarioError, match=r"^it\.scn:11: expected the attempt's "):
        _play(tmp_path, asked + f"  {attempt}\n")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("ask www.site.test A\n", "1: opens without a comment"),
        ("# RFC 1035\nwait 3\n", '2: "wait" is none of'),
        ("# RFC 1035\nadvance soon\n", '2: "soon" is no whole number'),
        ("# RFC 1035\nconfig\n  colour blue\n", '3: "colour" is no setting'),
        ("# RFC 1035\nupstream 192.0.2.53\n\tto x A\n", "3: a tab"),
        ("# RFC 1035\nupstream 192.0.2.53\n  to www.site.test A\n", "3: says nothing"),
        ("# RFC 1035\nupstream 192.0.2.53\n  to www.site.test A soon\n    silence\n", '3: "soon" is none of'),
        ("# RFC 1035\nupstream 192.0.2.53\n  to www.site.test A\n    send NOERROR late=1\n", '4: "late=1" is none of'),
        ("# RFC 1035\nask www.site.test\n", "2: write"),
        ("# RFC 1035\nask www.site.test A +dnssec\n", '2: "\\+dnssec" is none of'),
        ("# RFC 1035\nask www.site.test NOTYPE\n", '2: "NOTYPE" is no type'),
        ("# RFC 1035\nask packet 12345\n", "2: non-hexadecimal"),
        ("# RFC 1035\nask each n=a..b www.site.test A\n", "2: invalid literal"),
        ("# RFC 1035\nask packet zz\n", '2: "zz" is neither'),
        ("# RFC 1035\nexpect NOERROR\n", "2: nothing was asked yet"),
        ("# RFC 1035\nexpect NOERROR\n  www.site.test A\n", '3: "www.site.test A" is no record'),
        ("# RFC 1035\nexpect upstream\n", "2: write a number"),
        (UPSTREAM + "ask www.site.test AAAA\n", "9: 192.0.2.53 is asked for www.site.test type 28 over UDP, try 1"),
        (UPSTREAM.replace("A 192.0.2.1", "A nonsense") + "ask www.site.test A\n", '7: "A nonsense" is no record'),
    ],
)
def test_a_line_that_is_not_understood_is_told_with_file_and_line(tmp_path: Path, text: str, where: str):
    with pytest.raises(ScenarioError, match=rf"^it\.scn:{where}"):
        _play(tmp_path, text)


def _play(folder: Path, text: str) -> None:
    path = folder / "it.scn"
    path.write_text(text, encoding="utf-8")
    run(path)
