"""sources.toml: what commands write stays what people wrote, and a mistake in it changes nothing."""

from pathlib import Path

import pytest

from blockerd.lists import added
from blockerd.lists.added import AddedError, parse, switched, with_source, without_source
from blockerd.lists.sources import list_sources
from blockerd.settings import Scope, Source, Trust
from tests.lists.places import Place

FILE = Path("/own/sources.toml")
A = Source(id="a", category="cam", path=Path("/lists/a.txt"))
B = Source(id="b", category="bypass", url="https://lists.test/b", scope=Scope.EXACT, enabled=False)


def test_what_is_written_is_read_back_whole():
    made = parse(with_source(with_source(None, A), B), FILE)
    assert made.source == (A, B)
    assert made.disabled.ids == ()


def test_a_relative_path_starts_at_the_own_folder():
    made = parse(b'[[source]]\nid = "a"\ncategory = "cam"\npath = "x/a.txt"\n', FILE)
    assert made.source[0].path == Path("/own/x/a.txt")


def test_comments_and_order_of_the_person_stay():
    mine = b'# mine\n\n# from a friend\n[[source]]\nid = "x"  # short\ncategory = "chat"\nurl = "https://x.test/x"\n'
    grown = with_source(mine, A)
    assert grown.startswith(mine)
    assert without_source(grown, "a").strip() == mine.strip()
    off = switched(mine, ("starter-cam",), on=False)
    assert off.startswith(mine)
    assert parse(off, FILE).disabled.ids == ("starter-cam",)
    assert switched(off, ("starter-cam",), on=True).strip() == mine.strip()


def test_removing_a_list_takes_the_comment_right_above_it_and_no_other():
    text = with_source(None, A) + b'\n# about x\n[[source]]\nid = "x"\ncategory = "chat"\nurl = "https://x.test/x"\n'
    left = without_source(text, "x").decode()
    assert "about x" not in left
    assert left.startswith("# Lists added by")
    assert [source.id for source in parse(left.encode(), FILE).source] == ["a"]


def test_switching_on_also_undoes_enabled_false():
    data = switched(with_source(None, B), ("b",), on=True)
    assert parse(data, FILE).source[0].enabled


def test_a_removed_list_is_no_longer_among_the_disabled():
    data = without_source(switched(with_source(None, A), ("a",), on=False), "a")
    assert parse(data, FILE) == added.Added()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[[source]]\nid = "a"\ncategory = "cam"\n', 1, "either path or url"),
        ('[[source]]\nid = "a"\ncategory = "com"\nurl = "https://x.test/"\n', 3, 'did you mean "cam"'),
        ('[[source]]\nid = "a"\ncategory = "cam"\nurl = "http://x.test/"\n', 4, "https://host/path"),
        ('[[source]]\nid = "own-a"\ncategory = "cam"\nurl = "https://x.test/"\n', 2, "are taken"),
        ('[[source]]\nid = "a"\ncategory = "cam"\nurl = "https://x.test/"\ntitel = 1\n', 5, "unknown key"),
        ('[disabled]\nids = ["Not An Id"]\n', 2, "list id"),
        (2 * '[[source]]\nid = "a"\ncategory = "cam"\nurl = "https://x.test/"\n', 6, "used twice"),
    ],
)
def test_a_mistake_names_file_line_and_key(text: str, line: int, said: str):
    with pytest.raises(AddedError) as error:
        parse(text.encode(), FILE)
    assert str(error.value).startswith(f"{FILE}:{line}: ")
    assert said in str(error.value)


def test_what_is_no_toml_is_refused_in_one_line():
    with pytest.raises(AddedError, match="not TOML"):
        parse(b"[[source]\n", FILE)
    with pytest.raises(AddedError, match="not TOML"):
        parse(b"\xff\xfe\x00", FILE)


@pytest.mark.parametrize(
    ("old", "new", "way"),
    [
        (None, A, "stronger"),
        (A, None, "weaker"),
        (A, Source(id="a", category="cam", path=Path("/lists/a.txt"), enabled=False), "weaker"),
        (B, Source(id="b", category="bypass", url="https://lists.test/b", scope=Scope.EXACT), "stronger"),
        (B, None, "neutral"),
        (A, Source(id="a", category="cam", path=Path("/other")), "weaker"),
        (A, Source(id="a", category="cam", path=Path("/lists/a.txt"), max_bytes=1 << 30), "stronger"),
        (A, Source(id="a", category="cam", path=Path("/lists/a.txt"), scope=Scope.EXACT), "weaker"),
        (None, Source(id="a", category="cam", path=Path("/a"), trust=Trust.REWRITE), "weaker"),
    ],
)
def test_the_direction_of_a_change_of_a_list(old: Source | None, new: Source | None, way: str):
    before, after = (added.Added((source,) if source else ()) for source in (old, new))
    (found,) = added.differences(before, after)
    assert found.direction == way


def test_switching_any_list_off_is_weaker_and_on_is_stronger():
    on, off = added.Added((A,)), added.Added((A,), added.Disabled(("a", "starter-cam")))
    assert [(d.what, d.direction) for d in added.differences(on, off)] == [
        ("list a", "weaker"),
        ("list starter-cam", "weaker"),
    ]
    assert {d.direction for d in added.differences(off, on)} == {"stronger"}
    assert added.differences(on, on) == []


def test_added_lists_block_and_switched_off_ones_do_not(tmp_path: Path):
    place = Place(tmp_path)
    place.add("mine", "mine.test\n")
    (tmp_path / "more.txt").write_text("more.test\n")
    own = place.var / "own"
    own.mkdir(parents=True)
    more = Source(id="more", category="adult", path=tmp_path / "more.txt")
    (own / "sources.toml").write_bytes(with_source(None, more))
    place.build()
    assert place.blocked("more.test")
    assert place.blocked("mine.test")
    (own / "sources.toml").write_bytes(switched((own / "sources.toml").read_bytes(), ("mine",), on=False))
    place.build()
    assert place.blocked("more.test")
    assert not place.blocked("mine.test")


def test_the_configuration_wins_over_an_added_list_of_the_same_id(tmp_path: Path):
    place = Place(tmp_path)
    place.add("mine", "mine.test\n")
    own = place.var / "own"
    own.mkdir(parents=True)
    (own / "sources.toml").write_bytes(with_source(None, Source(id="mine", category="cam", path=Path("/nowhere"))))
    settings = place.settings
    assert [source.category for source in list_sources(settings) if source.id == "mine"] == ["adult"]
    assert added.merged(added.merged(settings)) == added.merged(settings)


def test_a_broken_file_leaves_the_last_good_one_in_force_and_says_why(tmp_path: Path):
    (tmp_path / added.RECORDED).mkdir()
    (tmp_path / added.RECORDED / added.FILE).write_bytes(with_source(None, A))
    (tmp_path / added.FILE).write_text("[[source]]\nid = 7\n")
    found, problem = added.current(tmp_path)
    assert found.source == (A,)
    assert "sources.toml:2" in problem
