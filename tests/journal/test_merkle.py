"""The tree against the recursive definition of RFC 9162, published vectors, and every change of a single bit."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.journal import merkle

# The entries and roots that Certificate Transparency implementations share, for trees of 0 to 8 leaves.
ENTRIES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LARGEST = 64
LEAVES = tuple(merkle.leaf_hash(number.to_bytes(2)) for number in range(LARGEST))


def test_roots_equal_the_published_ones():
    """T76: the vectors of Certificate Transparency."""
    leaves = [merkle.leaf_hash(entry) for entry in ENTRIES]
    assert [merkle.root_of(leaves[:size]).hex() for size in range(9)] == ROOTS


@pytest.mark.parametrize("size", range(LARGEST + 1))
def test_appending_one_by_one_gives_the_root_of_the_definition(size: int):
    tree = merkle.tree_of(LEAVES[:size])
    assert tree.root() == _mth(0, size)
    assert tree.peaks == tuple(_node(*place) for place in merkle.subtrees(0, size))


def test_appending_tells_every_complete_subtree_once():
    tree, told = merkle.EMPTY, []
    for leaf in LEAVES:
        tree, completed = merkle.append(tree, leaf)
        told += completed
    every = [(level, index) for level in range(1, 7) for index in range(LARGEST >> level)]
    assert sorted(told) == [(level, index, _node(level, index)) for level, index in every]


def test_inclusion_paths_are_those_of_the_definition_and_verify():
    for size in range(1, LARGEST + 1):
        root = _mth(0, size)
        for index in range(size):
            path = merkle.inclusion_path(index, size, _node)
            assert path == _path(index, 0, size)
            assert merkle.verify_inclusion(index, size, LEAVES[index], path, root)


def test_consistency_paths_are_those_of_the_definition_and_verify():
    for new in range(LARGEST + 1):
        for old in range(new + 1):
            path = merkle.consistency_path(old, new, _node)
            assert path == (_subproof(old, 0, new, whole=True) if old else [])
            assert merkle.verify_consistency(old, new, _mth(0, old), _mth(0, new), path)


def test_no_inclusion_survives_the_change_of_a_single_bit():
    """In the leaf, the root or any hash of the path, for the trees whose shapes differ most."""
    for size in (1, 2, 3, 7, 8, 13):
        root = _mth(0, size)
        for index in range(size):
            values = [LEAVES[index], root, *merkle.inclusion_path(index, size, _node)]
            for leaf, top, *path in _bit_changes(values):
                assert not merkle.verify_inclusion(index, size, leaf, path, top)


def test_no_consistency_survives_the_change_of_a_single_bit():
    for old, new in ((1, 2), (1, 8), (3, 7), (4, 7), (4, 8), (6, 13), (8, 13)):
        values = [_mth(0, old), _mth(0, new), *merkle.consistency_path(old, new, _node)]
        for first, second, *path in _bit_changes(values):
            assert not merkle.verify_consistency(old, new, first, second, path)


def test_in_every_size_one_changed_bit_of_each_hash_is_seen():
    for new in range(2, LARGEST + 1):
        for old in range(1, new):
            values = [_mth(0, old), _mth(0, new), *merkle.consistency_path(old, new, _node)]
            for place in range(len(values)):
                first, second, *path = _flip(values, place, (old * 7 + new * 31 + place) % 256)
                assert not merkle.verify_consistency(old, new, first, second, path)


@pytest.mark.soak
def test_in_every_size_every_changed_bit_of_each_hash_is_seen():
    for new in range(1, LARGEST + 1):
        for old in range(1, new + 1):
            values = [_mth(0, old), _mth(0, new), *merkle.consistency_path(old, new, _node)]
            for first, second, *path in _bit_changes(values):
                assert not merkle.verify_consistency(old, new, first, second, path)
        for index in range(new):
            values = [LEAVES[index], _mth(0, new), *merkle.inclusion_path(index, new, _node)]
            for leaf, top, *path in _bit_changes(values):
                assert not merkle.verify_inclusion(index, new, leaf, path, top)


def test_no_leaf_passes_for_its_neighbour_and_no_path_in_another_size():
    for size in range(2, 33):
        for index in range(size):
            path = merkle.inclusion_path(index, size, _node)
            others = {(index + 1, size), (index - 1, size), (index ^ 1, size)} - {(index, size)}
            assert not any(merkle.verify_inclusion(at, of, LEAVES[index], path, _mth(0, size)) for at, of in others)
            assert not merkle.verify_inclusion(index, size, LEAVES[index], [*path, bytes(32)], _mth(0, size))
            assert not merkle.verify_inclusion(index, size, LEAVES[index], path[1:], _mth(0, size))


def test_a_path_longer_or_shorter_or_for_equal_sizes_shows_nothing():
    path = merkle.consistency_path(6, 13, _node)
    old, new = _mth(0, 6), _mth(0, 13)
    assert not merkle.verify_consistency(6, 13, old, new, [*path, path[-1]])
    assert not merkle.verify_consistency(6, 13, old, new, path[:-1])
    assert not merkle.verify_consistency(6, 13, old, new, [])
    assert not merkle.verify_consistency(13, 13, new, new, path)
    assert not merkle.verify_consistency(13, 13, old, new, [])
    assert not merkle.verify_consistency(13, 6, new, old, path)
    assert not merkle.verify_consistency(-1, 6, new, old, [])


def test_from_nothing_everything_follows_but_only_with_the_empty_root():
    assert merkle.verify_consistency(0, 13, merkle.EMPTY_ROOT, _mth(0, 13), [])
    assert not merkle.verify_consistency(0, 13, _mth(0, 1), _mth(0, 13), [])
    assert not merkle.verify_consistency(0, 13, merkle.EMPTY_ROOT, _mth(0, 13), [bytes(32)])


@given(old=st.integers(0, 3000), more=st.integers(0, 3000), data=st.data())
def test_any_two_sizes_are_consistent_and_hold_any_leaf(old: int, more: int, data: st.DataObject):
    new = old + more
    path = merkle.consistency_path(old, new, _numbered)
    assert merkle.verify_consistency(old, new, _numbered_root(old), _numbered_root(new), path)
    if new:
        index = data.draw(st.integers(0, new - 1))
        way = merkle.inclusion_path(index, new, _numbered)
        assert len(way) <= new.bit_length()
        assert merkle.verify_inclusion(index, new, _numbered(0, index), way, _numbered_root(new))


@given(
    sizes=st.tuples(st.integers(-2, 40), st.integers(-2, 40)),
    roots=st.tuples(st.binary(max_size=33), st.binary(max_size=33)),
    path=st.lists(st.binary(max_size=33), max_size=9),
)
def test_nonsense_is_answered_with_no(sizes: tuple[int, int], roots: tuple[bytes, bytes], path: list[bytes]):
    assert not merkle.verify_inclusion(*sizes, roots[0], path, roots[1])
    if roots[0] not in (roots[1], merkle.EMPTY_ROOT):
        assert not merkle.verify_consistency(*sizes, *roots, path)


def test_one_event_gives_another_commitment_with_another_salt():
    event = b'{"kind":"beat"}'
    assert merkle.commitment(bytes(16), event) == sha256(b"blockerd/entry/1" + bytes(16) + event).digest()
    assert merkle.commitment(bytes(16), event) != merkle.commitment(bytes(15) + b"\x01", event)


def test_wrong_lengths_are_refused():
    with pytest.raises(ValueError, match="a salt has 16 bytes, this one 15"):
        merkle.commitment(bytes(15), b"")
    with pytest.raises(ValueError, match="other peaks"):
        merkle.append(merkle.EMPTY, bytes(31))
    with pytest.raises(ValueError, match="a tree of 3 leaves has other peaks"):
        merkle.Tree(3, (bytes(32),))
    with pytest.raises(ValueError, match="no leaf 4 in a tree of 4"):
        merkle.inclusion_path(4, 4, _node)
    with pytest.raises(ValueError, match="a tree of 5 leaves is no beginning of one of 4"):
        merkle.consistency_path(5, 4, _node)


# The definitions of RFC 9162 as they stand there, over LEAVES[begin:end].


@cache
def _mth(begin: int, end: int) -> bytes:
    """MTH(D_n), section 2.1.1."""
    count = end - begin
    if count == 0:
        return sha256(b"").digest()
    if count == 1:
        return LEAVES[begin]
    middle = begin + _k(count)
    return sha256(b"\x01" + _mth(begin, middle) + _mth(middle, end)).digest()


def _path(m: int, begin: int, end: int) -> list[bytes]:
    """PATH(m, D_n), section 2.1.3.1."""
    count = end - begin
    if count == 1:
        return []
    k = _k(count)
    if m < k:
        return [*_path(m, begin, begin + k), _mth(begin + k, end)]
    return [*_path(m - k, begin + k, end), _mth(begin, begin + k)]


def _subproof(m: int, begin: int, end: int, *, whole: bool) -> list[bytes]:
    """SUBPROOF(m, D_n, b), section 2.1.4.1."""
    count = end - begin
    if m == count:
        return [] if whole else [_mth(begin, end)]
    k = _k(count)
    if m <= k:
        return [*_subproof(m, begin, begin + k, whole=whole), _mth(begin + k, end)]
    return [*_subproof(m - k, begin + k, end, whole=False), _mth(begin, begin + k)]


def _k(count: int) -> int:
    """The largest power of two smaller than `count`."""
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def _node(level: int, index: int) -> bytes:
    return _mth(index << level, (index + 1) << level)


@cache
def _numbered(level: int, index: int) -> bytes:
    if level == 0:
        return merkle.leaf_hash(index.to_bytes(4))
    return merkle.node_hash(_numbered(level - 1, 2 * index), _numbered(level - 1, 2 * index + 1))


def _numbered_root(size: int) -> bytes:
    peaks = tuple(_numbered(level, index) for level, index in merkle.subtrees(0, size))
    return merkle.Tree(size, peaks).root()


def _flip(values: Sequence[bytes], place: int, bit: int) -> list[bytes]:
    changed = bytearray(values[place])
    changed[bit // 8] ^= 1 << bit % 8
    return [*values[:place], bytes(changed), *values[place + 1 :]]


def _bit_changes(values: Sequence[bytes]) -> list[list[bytes]]:
    return [_flip(values, place, bit) for place in range(len(values)) for bit in range(256)]


@pytest.mark.parametrize("size", [*range(40), 255, 256, 257, 300])
def test_the_root_level_by_level_is_the_root_of_the_tree(size: int):
    leaves = [sha256(b"%d" % at).digest() for at in range(size)]
    assert merkle.root_of(leaves) == merkle.tree_of(leaves).root()
