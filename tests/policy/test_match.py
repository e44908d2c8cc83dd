"""The table of names as the decision reads it, against a plain dictionary."""

from hypothesis import given
from hypothesis import strategies as st

from blockerd.policy.match import HASH_MASK, STRIP_UNKNOWN, STRIP_UP, Combo, strip_of
from blockerd.policy.name import from_text, suffixes, to_text
from tests.fakes.policies import Listing, policy

_name = st.lists(st.sampled_from(["a", "b", "c", "dd"]), min_size=1, max_size=4).map(lambda p: ".".join([*p, "test"]))


@given(first=st.lists(_name, min_size=1, max_size=30), second=st.lists(_name, max_size=30), asked=_name)
def test_hits_are_what_a_dictionary_would_find_most_specific_first(first: list[str], second: list[str], asked: str):
    lists = [Listing("\n".join(first), "adult", "one", "domains")]
    if second:
        lists.append(Listing("\n".join(second), "cam", "two", "domains", scope="exact"))
    table = policy(*lists).table
    hits = table.hits(from_text(asked))
    chain = suffixes(from_text(asked))
    expected = [("one", name) for name in chain if to_text(name) in first]
    expected += [("two", chain[0])] if asked in second else []
    assert sorted((table.sources[hit.combo.source].id, table.name_at(hit.slot)) for hit in hits) == sorted(expected)
    assert [hit.depth for hit in hits] == sorted(hit.depth for hit in hits)
    for hit in hits:
        own = first if table.sources[hit.combo.source].id == "one" else second
        assert own[table.line_at(hit.slot) - 1] == to_text(table.name_at(hit.slot))


def test_a_hit_is_confirmed_by_its_full_name():
    """Two names whose stored hash bits are equal are told apart; here the stored name is another one's."""
    table = policy(Listing("site.test", format="domains")).table
    assert [table.name_at(hit.slot) for hit in table.hits(from_text("site.test"))] == [from_text("site.test")]
    slot = table.hits(from_text("site.test"))[0].slot
    names = bytearray(table.names)
    at = bytes(names).index(b"\x04site")
    names[at : at + 5] = b"\x04sitf"
    object.__setattr__(table, "names", memoryview(bytes(names)))
    assert table.slots[slot] & HASH_MASK
    assert table.hits(from_text("site.test")) == []


def test_strip_counts_the_labels_to_the_registrable_domain():
    assert strip_of(from_text("site.test")) == 0
    assert strip_of(from_text("a.b.site.test")) == 2
    assert strip_of(from_text("www.shop.co.uk")) == 1
    assert strip_of(from_text("co.uk")) == strip_of(from_text("test")) == STRIP_UP
    assert strip_of(from_text("x." * 14 + "site.test")) == STRIP_UNKNOWN


def test_a_combination_says_its_category_by_id():
    assert Combo(0, 1).category_id == "cam"
