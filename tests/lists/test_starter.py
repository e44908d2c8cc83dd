"""The starter lists and the catalogue in `blocklists/`, as shipped.

Refuses what a careless edit would bring in: a public suffix, a name under another, a wrong count, a name that is
protected, a source with an unknown category. Called by pytest; resolves and fetches nothing.
"""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from publicsuffixlist import PublicSuffixList

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "blocklists"
NAME = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))+")
TLD = re.compile(r"[a-z]{2,63}|xn--[a-z0-9-]{1,59}")
# The fewest names a file may hold: what its head promises a newcomer.
FEWEST = {
    **dict.fromkeys(("adult", "cam", "chat"), 170),
    **dict.fromkeys(("random-video", "sexting", "dating", "escort", "phone-sex"), 45),
    **dict.fromkeys(("venue", "usenet", "erotica", "ai-companion"), 45),
    **dict.fromkeys(("mixed", "bypass", "no-safe-search", "shortener"), 20),
    "demo": 1,
}
FORMATS = {"auto", "hosts", "domains", "wildcard", "adblock", "dnsmasq", "rpz", "unbound", "squidguard", "regex"}
LEVELS = {"default", "strict", "maximum", "opt-in", "archive"}
KEYS: dict[str, type] = {
    "id": str,
    "title": str,
    "categories": list,
    "url": str,
    "mirrors": list,
    "format": str,
    "licence": str,
    "entries": int,
    "as_of": date,
    "cadence": str,
    "level": str,
    "homepage": str,
}
# Whole platforms where anyone gets a page or a room: closing them closes other people's pages.
PLATFORMS = {
    *("blogspot.com", "wordpress.com", "tumblr.com", "reddit.com", "x.com", "twitter.com", "discord.com", "t.me"),
    *("telegram.org", "github.io", "cloudfront.net", "amazonaws.com", "googleusercontent.com", "fc2.com"),
    *("livejournal.com", "narod.ru", "canalblog.com", "over-blog.fr", "webnode.com", "archive.org", "wattpad.com"),
    *("intercom.io", "zendesk.com", "tawk.to", "livechatinc.com", "crisp.chat", "google.com", "archiveofourown.org"),
}


def lines_of(category: str) -> list[str]:
    return (FOLDER / f"{category}.txt").read_text("ascii").splitlines()


def names_of(category: str) -> list[str]:
    return [line for line in lines_of(category) if not line.startswith("#")]


def parents(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[at:]) for at in range(1, len(labels))]


def protected() -> set[str]:
    text = (ROOT / "blockerd" / "data" / "protected.txt").read_text("ascii")
    return {line for line in text.splitlines() if line and not line.startswith("#")}


def catalogue() -> list[dict[str, Any]]:
    sources: list[dict[str, Any]] = tomllib.loads((FOLDER / "catalogue.toml").read_text("utf-8"))["source"]
    return sources


def test_each_category_of_the_settings_has_its_file():
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(FEWEST)


@pytest.mark.parametrize("category", FEWEST)
def test_names_are_plain_lower_case_ascii(category: str):
    wrong = [name for name in names_of(category) if not (NAME.fullmatch(name) and TLD.fullmatch(name.split(".")[-1]))]
    assert wrong == []


@pytest.mark.parametrize("category", FEWEST)
def test_names_are_sorted_and_unique(category: str):
    names = names_of(category)
    assert names == sorted(set(names))


@pytest.mark.parametrize("category", FEWEST)
def test_head_tells_category_date_and_count(category: str):
    lines = lines_of(category)
    head = [line for line in lines if line.startswith("#")]
    assert lines[: len(head)] == head, "comments stand at the top only"
    assert head[0] == f"# blockerd starter list: {category}"
    assert f"# Entries: {len(names_of(category))}" in head
    assert any(re.fullmatch(r"# Date: 20\d\d-\d\d-\d\d", line) for line in head)
    assert any("names are facts" in line.lower() for line in head)


@pytest.mark.parametrize(("category", "fewest"), FEWEST.items())
def test_a_list_is_long_enough_to_be_useful(category: str, fewest: int):
    assert len(names_of(category)) >= fewest


@pytest.mark.parametrize("category", FEWEST)
def test_no_name_stands_under_another(category: str):
    names = set(names_of(category))
    assert [name for name in names if names.intersection(parents(name))] == []


def test_no_name_is_in_two_categories_nor_under_a_name_of_another():
    owner = {name: category for category in FEWEST for name in names_of(category)}
    assert sum(len(names_of(category)) for category in FEWEST) == len(owner)
    assert [name for name in owner if any(parent in owner for parent in parents(name))] == []


def test_no_name_is_a_public_suffix_of_either_section():
    suffixes = PublicSuffixList(accept_unknown=False)
    # blocked.example is reserved (RFC 6761), so its TLD is on no list of suffixes.
    names = [name for category in FEWEST if category != "demo" for name in names_of(category)]
    assert [name for name in names if suffixes.is_public(name)] == []
    assert [name for name in names if suffixes.privatesuffix(name) is None] == []


def test_no_name_closes_a_whole_platform():
    listed = {name for category in FEWEST for name in names_of(category)}
    assert listed & PLATFORMS == set()


def test_no_name_touches_a_protected_name():
    keep = protected()
    above = {parent for name in keep for parent in parents(name)}
    listed = {name for category in FEWEST for name in names_of(category)}
    assert listed & (keep | above) == set(), "it would close a protected name"
    assert [name for name in listed if keep.intersection(parents(name))] == [], "it stands below a protected name"


def test_demo_is_exactly_blocked_example():
    assert names_of("demo") == ["blocked.example"]


def test_catalogue_has_25_sources_and_an_id_names_one():
    ids = [source["id"] for source in catalogue()]
    assert len(ids) >= 25
    assert len(ids) == len(set(ids))
    assert [name for name in ids if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name)] == []


@pytest.mark.parametrize("source", catalogue(), ids=lambda source: source["id"])
def test_a_source_has_every_key_with_its_type(source: dict[str, Any]):
    assert {key for key in KEYS if not isinstance(source.get(key), KEYS[key])} == set()
    assert source.keys() - KEYS.keys() <= {"note"}
    assert source["entries"] > 0
    assert source["title"]
    assert source["licence"]
    assert source["cadence"]


@pytest.mark.parametrize("source", catalogue(), ids=lambda source: source["id"])
def test_a_source_uses_known_words_only(source: dict[str, Any]):
    assert source["categories"]
    assert set(source["categories"]) <= FEWEST.keys() - {"demo"}
    assert source["format"] in FORMATS
    assert source["level"] in LEVELS


@pytest.mark.parametrize("source", catalogue(), ids=lambda source: source["id"])
def test_a_source_is_fetched_over_https_only(source: dict[str, Any]):
    addresses = [source["url"], *source["mirrors"], source["homepage"]]
    assert [address for address in addresses if not re.fullmatch(r"https://[a-z0-9.-]+(?:/\S*)?", address)] == []
    assert source["url"] not in source["mirrors"]


def test_the_default_set_covers_the_categories_others_publish():
    covered = {category for source in catalogue() if source["level"] == "default" for category in source["categories"]}
    assert covered >= {"adult", "dating", "bypass", "no-safe-search"}
