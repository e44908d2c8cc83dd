"""The table of listed names against a plain dict, and the rules of what a line covers."""

import random
from pathlib import Path

import pytest

from blockerd.lists.formats import parse
from blockerd.lists.guard import protected
from blockerd.lists.snapshot import open_table, table_of, write
from blockerd.lists.sources import ListSource
from blockerd.lists.table import TableBuilder
from blockerd.policy.match import Table
from blockerd.policy.name import from_text, suffixes, to_text
from blockerd.policy.rule import Scope
from tests.lists.places import Place

NAMES = 20_000


def _table(*lists: tuple[str, bytes, str]) -> Table:
    """A table of lists given as (id, text, scope), all of category adult."""
    builder = TableBuilder(protected(), 42)
    for name, text, scope in lists:
        builder.add(ListSource(name, name, "adult", None, scope=scope), parse(text))
    return table_of(builder.finish())


def _names(chance: random.Random, count: int) -> list[str]:
    """Names of two to five labels over few letters, so that many stand above, below and beside each other."""
    tops = ("test", "example", "invalid")
    made = []
    for _ in range(count):
        labels = ["".join(chance.choices("abc", k=chance.randint(1, 4))) for _ in range(chance.randint(1, 4))]
        made.append(".".join([*labels, chance.choice(tops)]))
    return made


def test_lookups_of_random_names_equal_a_plain_dict():
    chance = random.Random(3)
    subtree, exact = (_names(chance, 6000) for _ in range(2))
    table = _table(
        ("subtree", "\n".join(subtree).encode(), "subtree"), ("exact", "\n".join(exact).encode(), "exact")
    )  # fmt: skip
    lines: dict[tuple[bytes, Scope], int] = {}
    for names, scope in ((subtree, Scope.SUBTREE), (exact, Scope.EXACT)):
        for number, text in enumerate(names, 1):
            lines.setdefault((from_text(text), scope), number)
    hits = 0
    for text in _names(chance, NAMES):
        name = from_text(text)
        expected = {
            (suffix, scope, lines[suffix, scope])
            for depth, suffix in enumerate(suffixes(name))
            for scope in (Scope.SUBTREE, Scope.EXACT)
            if (suffix, scope) in lines and (scope is Scope.SUBTREE or depth == 0)
        }
        found = table.hits(name)
        assert {(table.name_at(h.slot), h.combo.scope, table.line_at(h.slot)) for h in found} == expected, text
        assert len(found) == len(expected)
        assert [hit.depth for hit in found] == sorted(hit.depth for hit in found)
        hits += bool(found)
    assert NAMES // 10 < hits < NAMES


def test_a_table_read_back_from_its_file_is_the_same(tmp_path: Path):
    builder = TableBuilder(protected(), 7)
    text = b"||a.test^\n@@||x.a.test^\n||b.test^$dnstype=AAAA\n/ads[0-9]+\\.test/\nplain.test\n"
    builder.add(ListSource("one", "one", "adult", None), parse(text))
    content = builder.finish()
    write(tmp_path / "policy-1.snapshot", 1, content)
    filed, fresh = open_table(tmp_path / "policy-1.snapshot"), table_of(content)
    for text_name in ("a.test", "x.a.test", "y.x.a.test", "b.test", "plain.test", "www.plain.test", "other.test"):
        assert filed.hits(from_text(text_name)) == fresh.hits(from_text(text_name))
    assert filed.extras == fresh.extras
    assert filed.combos == fresh.combos
    assert filed.sources == fresh.sources
    assert filed.patterns is not None
    assert list(filed.patterns.matching("ads12.test")) == [0]


def test_a_list_with_too_large_patterns_costs_its_own_patterns_only(tmp_path: Path):
    place = Place(tmp_path)
    place.add("first", "/ads[0-9]+\\.test/\n")
    place.add("heavy", "plain.test\n" + "".join(f"/(cam|sex){{1,300}}{n}/\n" for n in range(60)))
    place.add("last", "/shop[0-9]+\\.test/\n")
    report = place.build()
    assert [len(one.issues) for one in report.sources][-3:] == [0, 60, 0]
    assert "together" in report.sources[-2].issues[0]["reason"]
    assert [name for name in ("ads1.test", "plain.test", "shop2.test") if not place.blocked(name)] == []
    assert not place.blocked("camsex1.test")
    assert not place.build().written, "the policy is good, and stays"


@pytest.mark.parametrize(
    ("line", "covered", "open_"),
    [
        ("site.test", ["site.test", "www.site.test", "a.b.site.test"], ["notsite.test", "test", "site.test.example"]),
        ("0.0.0.0 site.test", ["site.test", "www.site.test"], ["notsite.test"]),
        ("||site.test^", ["site.test", "www.site.test"], ["notsite.test"]),
    ],
)
def test_a_line_covers_whole_labels_only(tmp_path: Path, line: str, covered: list[str], open_: list[str]):
    place = Place(tmp_path)
    place.add("mine", line + "\n")
    place.build()
    assert [name for name in covered if not place.blocked(name)] == []
    assert [name for name in open_ if place.blocked(name)] == []


def test_below_covers_what_is_below_only(tmp_path: Path):
    place = Place(tmp_path)
    place.add("mine", "server=/*.site.test/\n", format="dnsmasq")
    place.build()
    assert not place.blocked("site.test")
    assert place.blocked("www.site.test")


def test_exact_covers_the_name_alone(tmp_path: Path):
    place = Place(tmp_path)
    place.add("mine", "site.test\n", scope="exact")
    place.build()
    assert place.blocked("site.test")
    assert not place.blocked("www.site.test")


def test_a_private_public_suffix_stands_for_itself_alone(tmp_path: Path):
    place = Place(tmp_path)
    place.add("mine", "github.io\nperson.github.io\n")
    place.build()
    assert place.blocked("github.io")
    assert not place.blocked("somebody.github.io")
    assert place.blocked("www.person.github.io")


@pytest.mark.parametrize("line", ["com\n", "co.uk\n", "0.0.0.0 com\n"])
def test_a_public_suffix_of_a_downloaded_list_blocks_nothing(tmp_path: Path, line: str):
    place = Place(tmp_path)
    place.add("mine", line + "listed.test\n")
    place.build()
    assert not place.blocked("example.com")
    assert not place.blocked("example.co.uk")
    assert place.blocked("listed.test")


def test_names_at_and_below_protected_ones_are_left_out_and_those_above_keep_them_open(tmp_path: Path):
    guard = protected()
    name = next(name for name in sorted(guard.names) if len(suffixes(name)) == 2)
    deep = next(name for name in sorted(guard.names) if len(suffixes(name)) == 3 and _registrable(suffixes(name)[1]))
    above = to_text(suffixes(deep)[1])
    place = Place(tmp_path)
    place.add("mine", f"{to_text(name)}\nwww.{to_text(name)}\n{above}\nlisted.test\n")
    place.build()
    policy = place.policy()
    held = {policy.table.name_at(slot) for slot, entry in enumerate(policy.table.slots) if entry}
    assert held == {from_text(text) for text in (above, "listed.test", "blocked.example")}
    for text in (to_text(name), f"www.{to_text(name)}", to_text(deep), f"www.{to_text(deep)}"):
        assert not place.blocked(text)
    assert place.blocked(above)
    assert place.blocked(f"other.{above}")


def _registrable(name: bytes) -> bool:
    from blockerd.policy.name import public_suffix

    return public_suffix(name) != name


def test_a_list_with_exceptions_keeps_its_own_entry_of_a_name_that_another_holds(tmp_path: Path):
    """An exception cancels the rules of its own list only."""
    place = Place(tmp_path)
    place.add("plain", "both.test\n")
    place.add("rules", "||both.test^\n||alone.test^\n@@||ok.both.test^\n@@||ok.alone.test^\n")
    place.build()
    assert place.blocked("ok.both.test")
    assert not place.blocked("ok.alone.test")
    assert place.blocked("alone.test")
