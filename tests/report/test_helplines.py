"""Help lines: many countries, each with number, source and date, found without a network."""

import re
from pathlib import Path
from zoneinfo import available_timezones

import pytest

from blockerd.data import __file__ as data
from blockerd.report.compose import help_lines
from blockerd.report.helplines import FALLBACK, HelplinesError, parse
from blockerd.report.texts import help_by_country, load

ALL = help_by_country().countries
NUMBER = re.compile(r"[0-9*][0-9 ]*")


def protected() -> set[str]:
    lines = (Path(data).parent / "protected.txt").read_text("utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_there_are_at_least_forty_countries():
    assert len(ALL) >= 40


@pytest.mark.parametrize("code", ALL)
def test_each_country_has_numbers_a_source_and_a_date(code: str):
    country = ALL[code]
    assert re.fullmatch("[A-Z]{2}", code)
    assert NUMBER.match(country.emergency)
    assert all(NUMBER.match(one.number) and one.name for one in country.lines)
    assert re.fullmatch(r"https?://[a-z0-9.-]+(/[\w./-]*)?", country.source)
    assert country.checked.year >= 2026
    assert country.zones
    assert set(country.zones) <= available_timezones() | {"Asia/Calcutta", "Asia/Katmandu", "Europe/Kiev"}


def test_no_time_zone_belongs_to_two_countries():
    zones = [zone for country in ALL.values() for zone in country.zones]
    assert len(zones) == len(set(zones))


def test_a_country_is_found_by_code_or_by_time_zone_and_a_wrong_code_is_not_replaced():
    lines = help_by_country()
    assert (lines.of("ie"), lines.of("", "Europe/Dublin")) == (ALL["IE"], ALL["IE"])
    assert lines.of("", "Antarctica/Troll") is None
    assert lines.of("XX", "Europe/Dublin") is None


@pytest.mark.parametrize("country", [None, *ALL.values()])
def test_the_directories_for_all_countries_stand_beside_each(country: object):
    blocks = help_lines(country, load(), mine=False)  # type: ignore[arg-type]
    assert all(name in str(blocks) for name in FALLBACK)
    assert set(FALLBACK) <= protected()


def test_resources_in_the_texts_are_names_that_no_filter_closes():
    c = load()
    named = set(
        re.findall(r"[a-z0-9-]+\.(?:org|com)", " ".join(c.lists["resources.self"] + c.lists["resources.partner"]))
    )
    assert len(named) >= 6
    assert named <= protected()


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[country", "help lines: "),
        ('[country.XX]\nname = "X"\n', "an entry has no 'checked'"),
        ('[country.XX]\nname="X"\nemergency="1"\nline=[]\nzones=[]\nsource="s"\nchecked=2026-01-01\n', "of XX"),
    ],
)
def test_a_file_with_a_gap_is_refused(toml: str, message: str):
    with pytest.raises(HelplinesError, match=re.escape(message)):
        parse(toml)
