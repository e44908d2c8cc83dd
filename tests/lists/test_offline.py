"""The offline lists as shipped: their form, what they must not close, the hits on popular names with a verdict each.

The hits are computed with the real policy of the default settings; what needs the published files is skipped only where
they are not there. Nothing is resolved or opened.
"""

import gzip
import hashlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blockerd.lists.build import build
from blockerd.lists.formats import parse
from blockerd.lists.formats.suffixes import Reach, reach
from blockerd.lists.guard import protected
from blockerd.lists.snapshot import table_of
from blockerd.lists.sources import ListSource, list_sources
from blockerd.lists.state import open_policy
from blockerd.lists.table import TableBuilder
from blockerd.model import CATEGORIES, Decision, Query
from blockerd.policy.decide import Policy, State, decide
from blockerd.policy.name import BadName, from_text, suffixes, to_text
from blockerd.policy.schedule import compile_schedules
from blockerd.settings import Settings, load
from blocklists.offline import make_offline
from tests.lists.shared import shared_data

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "blocklists" / "offline"
INDEX: list[dict[str, Any]] = tomllib.loads((FOLDER / "index.toml").read_text("ascii"))["list"]
VERDICTS = ROOT / "docs" / "false-positives.tsv"
NAME = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}")
CONTESTED = 3  # of the seven adult lists of the table of popular names; a name that four hold is adult

each_list = pytest.mark.parametrize("entry", INDEX, ids=lambda entry: entry["id"])


def text_of(entry: dict[str, Any]) -> str:
    return gzip.decompress((FOLDER / entry["file"]).read_bytes()).decode("ascii")


def names_of(entry: dict[str, Any]) -> list[str]:
    return [line for line in text_of(entry).splitlines() if not line.startswith("#")]


def parents(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[at:]) for at in range(1, len(labels))]


def defaults(folder: Path, lists: str = "") -> Settings:
    file = folder / "b.toml"
    file.write_text(f'[state]\ndir = "var"\n{lists}')
    return load(file, {}, folder)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """The policy of a first start: default settings, nothing fetched."""
    settings = defaults(tmp_path_factory.mktemp("offline"))
    report = build(settings)
    assert [source.id for source in report.sources if source.issue_count or source.problem] == []
    return open_policy(settings.state.dir, protected())


def asked(policy: Policy, text: str) -> Decision | None:
    """The decision on a name; None for a text that is no name."""
    try:
        return decide(policy, Query(from_text(text)), 0)
    except BadName:
        return None


# ---- form


def test_the_index_names_every_file_and_two_lists_of_adult_sites():
    assert {entry["file"] for entry in INDEX} == {path.name for path in FOLDER.glob("*.gz")}
    assert [entry["id"] for entry in INDEX if entry["category"] == "adult"] == [
        "shadowwhisperer-adult",
        "sinfonietta-porn",
    ]


@each_list
def test_a_list_is_what_the_index_says(entry: dict[str, Any]):
    text = text_of(entry)
    assert hashlib.sha256(text.encode()).hexdigest() == entry["sha256"]
    assert len(names_of(entry)) == entry["names"]
    assert entry["category"] in CATEGORIES
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert {f"# Entries: {entry['names']}", f"# Date: {entry['date']}", f"# Commit: {entry['commit']}"} <= set(head)


@each_list
def test_a_licence_allows_it_and_its_notice_is_there(entry: dict[str, Any]):
    assert entry["licence"] in ("MIT", "Unlicense")
    assert entry["id"] in (FOLDER / "LICENCES").read_text("ascii")


@each_list
def test_the_gzip_head_holds_no_time_and_no_name(entry: dict[str, Any]):
    head = (FOLDER / entry["file"]).read_bytes()[:10]
    assert (head[:2], head[3], head[4:8]) == (b"\x1f\x8b", 0, bytes(4))


@each_list
def test_names_are_canonical_sorted_and_none_is_below_another(entry: dict[str, Any]):
    names = names_of(entry)
    once = set(names)
    assert names == sorted(once)
    assert [name for name in names if not NAME.fullmatch(name)] == []
    assert [name for name in names if not once.isdisjoint(parents(name))] == []


@each_list
def test_no_name_is_protected_above_one_or_a_public_suffix(entry: dict[str, Any]):
    guard = protected()
    wires = [from_text(name) for name in names_of(entry)]
    assert [to_text(wire) for wire in wires if guard.covers(wire) or wire in guard.above] == []
    assert [to_text(wire) for wire in wires if reach(wire) is not Reach.ORDINARY] == []


@each_list
def test_a_name_of_a_starter_file_keeps_the_category_it_has_there(entry: dict[str, Any]):
    """Else a category that is switched off, or has hours, would still block by way of another."""
    elsewhere = make_offline.starter_names(ROOT / "blocklists", entry["category"])
    assert [name for name in names_of(entry) if not elsewhere.isdisjoint(suffixes(from_text(name)))] == []


# ---- left out by hand


def test_each_name_left_out_stands_once_and_has_a_reason():
    lines = [line for line in make_offline.LEFT_OUT.read_text("ascii").splitlines() if line and line[0] != "#"]
    split = [line.partition("  # ") for line in lines]
    assert [line for line, (_, _, reason) in zip(lines, split, strict=True) if not reason] == []
    assert len({name.removeprefix("*.") for name, _, _ in split}) == len(lines) > 300


def test_names_left_out_are_open_at_a_first_start(policy: Policy):
    names, below = make_offline.left_out()
    told = [to_text(name) for name in names] + [f"www.{to_text(name)}" for name in names | below]
    assert [name for name in told if decide(policy, Query(from_text(name)), 0).blocked] == []


# ---- a first start


def test_offline_lists_are_part_of_the_starter_lists_and_come_last(tmp_path: Path):
    ids = [source.id for source in list_sources(defaults(tmp_path))]
    assert ids[-len(INDEX) :] == [f"offline-{entry['id']}" for entry in INDEX]
    bare = [source.id for source in list_sources(defaults(tmp_path, "[lists]\nstarter = false\n"))]
    assert bare == ["test-name"]


def test_a_first_start_blocks_by_an_offline_list_and_leaves_other_categories_open(policy: Policy):
    adult = next(name for name in names_of(INDEX[0]) if (told := asked(policy, name)) and told.blocked)
    decision = asked(policy, f"www.{adult}")
    assert decision is not None
    assert (decision.blocked, decision.category) == (True, "adult")
    later = [entry for entry in INDEX if entry["category"] != "adult"]
    everything = [asked(policy, name) for entry in later for name in names_of(entry)[::50]]
    assert {told.category for told in everything if told and told.blocked} <= {"adult"}


# ---- false positives


def popular() -> Iterator[tuple[str, str, int]]:
    """(name, where from, adult lists that hold it) of the table of popular names and of the table of benign ones."""
    for line in gzip.decompress((shared_data() / "popular-domains.tsv.gz").read_bytes()).decode().splitlines()[1:]:
        name, source, _, _, hits, _ = line.split("\t")
        yield name, f"{source}, {hits} of 7 lists", int(hits)
    for line in gzip.decompress((shared_data() / "benign-ut1.tsv.gz").read_bytes()).decode().splitlines():
        name, category = line.split("\t")
        yield name, f"ut1 {category}", 1


def test_no_popular_name_that_no_adult_list_holds_is_blocked(policy: Policy):
    free = [name for name, _, hits in popular() if not hits]
    assert len(free) > 80_000
    assert [name for name in free if (told := asked(policy, name)) and told.blocked] == []


def test_every_contested_name_that_is_blocked_has_a_verdict(policy: Policy):
    rows = [line.split("\t") for line in VERDICTS.read_text("utf-8").splitlines()[1:]]
    assert [row for row in rows if row[4] != "block" or not row[5]] == []
    hits = []
    for name, where, count in popular():
        told = asked(policy, name) if 0 < count <= CONTESTED else None
        if told and told.blocked and told.rule:
            hits.append([name, where, told.rule.source, told.rule.text])
    assert hits == [row[:4] for row in rows]


# ---- from the published files


def test_the_lists_are_those_made_from_the_published_files():
    folder = shared_data() / "lists"
    for published, entry in zip(make_offline.LISTS, INDEX, strict=True):
        assert make_offline.text_of(published, make_offline.make(published, folder)) == text_of(entry)


def test_another_file_than_the_one_of_the_commit_is_refused(tmp_path: Path):
    published = make_offline.LISTS[2]
    (tmp_path / published.file).write_text("other.test\n")
    with pytest.raises(ValueError, match=published.commit):
        make_offline.make(published, tmp_path)


def test_protected_names_stay_open_with_every_published_list_on():
    guard = protected()
    builder = TableBuilder(guard, 7)
    for path in sorted((shared_data() / "lists").glob("*.gz")):
        source = ListSource(path.name, path.name, "adult", path)
        builder.begin(source)
        builder.end(parse(gzip.decompress(path.read_bytes()), sink=builder.take))
    state = State(1, frozenset(CATEGORIES), {}, compile_schedules([], "UTC"), "name", "nxdomain", 60)
    table = table_of(builder.finish())
    policy = Policy(1, table, state, guard.names)
    names = [text for name in guard.names for text in (to_text(name), f"www.{to_text(name)}")]
    assert [name for name in names if decide(policy, Query(from_text(name)), 0).blocked] == []
    # The lists do hold names above protected ones (`apple.com`); such an entry is marked, so that no fast path uses it.
    hits = [hit for name in names for hit in table.hits(from_text(name)) if not hit.combo.allow]
    assert hits
    assert [table.name_at(hit.slot) for hit in hits if not hit.combo.guarded] == []
