"""The Merkle tree over the journal's entries: RFC 9162 section 2.1, SHA-256. Pure.

Knows hashes, sizes and positions; refuses to know what an entry says. A leaf is the hash of a salted commitment, so the
tree can outlive the entries it was made from. Called by the journal's writer, by `report.evidence`, and by tests.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

DIGEST = 32
"""Bytes of every hash here."""

SALT = 16
"""Bytes of the salt of a commitment."""

EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without leaves (RFC 9162, 2.1.1)."""

Node = Callable[[int, int], bytes]
"""node(level, index): hash of the complete subtree over leaves [index << level, (index + 1) << level). 0: leaves."""

_COMMITMENT = b"blockerd/entry/1"


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree by its size and the roots of its complete subtrees, largest first: all that appending needs."""

    size: int
    peaks: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count() or any(len(one) != DIGEST for one in self.peaks):
            raise ValueError(f"a tree of {self.size} leaves has other peaks: one of {DIGEST} bytes for each bit set")

    def root(self) -> bytes:
        """The tree's hash, 32 bytes (RFC 9162, 2.1.1)."""
        return _fold(self.peaks)


EMPTY = Tree(0, ())


def commitment(salt: bytes, event: bytes) -> bytes:
    """What the log keeps of an entry for good: a hash that says nothing about `event` once `salt` is gone.

    Raises:
        ValueError: the salt is not 16 bytes.
    """
    if len(salt) != SALT:
        raise ValueError(f"a salt has {SALT} bytes, this one {len(salt)}")
    return sha256(_COMMITMENT + salt + event).digest()


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf over `data`, for us a commitment (RFC 9162, 2.1.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of the node above two others (RFC 9162, 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def append(tree: Tree, leaf: bytes) -> tuple[Tree, list[tuple[int, int, bytes]]]:
    """`tree` with one more leaf hash, and (level, index, hash) of each subtree it completes, level 1 first.

    Raises:
        ValueError: the leaf hash is not 32 bytes.
    """
    peaks, completed, at, level = list(tree.peaks), [], tree.size, 0
    while at & 1:
        leaf = node_hash(peaks.pop(), leaf)
        at, level = at >> 1, level + 1
        completed.append((level, at, leaf))
    return Tree(tree.size + 1, (*peaks, leaf)), completed


def tree_of(leaves: Iterable[bytes]) -> Tree:
    """The tree over these leaf hashes, first leaf first."""
    tree = EMPTY
    for leaf in leaves:
        tree, _ = append(tree, leaf)
    return tree


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Root of the tree over these leaf hashes, first leaf first (RFC 9162, 2.1.1).

    Level by level, where a last one without a partner goes up as it is: a third of the time that `tree_of` takes.
    """
    here = list(leaves)
    while len(here) > 1:
        above = [sha256(b"\x01" + left + right).digest() for left, right in zip(here[::2], here[1::2], strict=False)]
        here = above + here[len(here) & ~1 :]
    return here[0] if here else EMPTY_ROOT


def subtrees(begin: int, end: int) -> list[tuple[int, int]]:
    """The fewest complete subtrees (level, index) that tile leaves [begin, end), first leaf first.

    subtrees(0, size) are the peaks of a tree of that size.
    """
    found = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        if begin:
            level = min(level, (begin & -begin).bit_length() - 1)
        found.append((level, begin >> level))
        begin += 1 << level
    return found


def inclusion_path(index: int, size: int, node: Node) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of the first `size` leaves (RFC 9162, 2.1.3.1).

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    path, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_range(middle, end, node))
            end = middle
        else:
            path.append(_range(begin, middle, node))
            begin = middle
    return path[::-1]


def consistency_path(old: int, new: int, node: Node) -> list[bytes]:
    """The hashes that show the tree of `old` leaves to be the beginning of that of `new` (RFC 9162, 2.1.4.1).

    Empty where `old` is 0 or equals `new`: the RFC defines none, and nothing needs showing.

    Raises:
        ValueError: not 0 <= old <= new.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves is no beginning of one of {new}")
    path: list[bytes] = []
    begin, end, whole = 0, new, True
    while 0 < old < end:  # SUBPROOF(m, D[begin:end], b) of the RFC, where m leaves end at `old`
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(_range(middle, end, node))
            end = middle
        else:
            path.append(_range(begin, middle, node))
            begin, whole = middle, False
    if old and not whole:
        path.append(_range(begin, end, node))
    return path[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> bool:
    """True if `path` leads from leaf hash `leaf` at `index` to `root` of `size` leaves (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, here = index, size - 1, leaf
    for other in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            here = node_hash(other, here)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            here = node_hash(here, other)
        at, last = at >> 1, last >> 1
    return last == 0 and here == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """True if `path` shows the tree of `old` leaves to be the beginning of that of `new` (RFC 9162, 2.1.4.2).

    From 0 leaves everything follows with an empty path, where the old root is that of the empty tree.
    """
    if old == 0 or old == new:
        return not path and 0 <= old <= new and old_root == (new_root if old == new else EMPTY_ROOT)
    if not 0 < old < new or not path:
        return False
    hashes = list(path)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    ours = theirs = hashes[0]
    for other in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            ours, theirs = node_hash(other, ours), node_hash(other, theirs)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            theirs = node_hash(theirs, other)
        at, last = at >> 1, last >> 1
    return last == 0 and ours == old_root and theirs == new_root


def _split(count: int) -> int:
    """The largest power of two below `count` (> 1): where a tree of that many leaves divides (RFC 9162, 2.1.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _range(begin: int, end: int, node: Node) -> bytes:
    """Root over leaves [begin, end), where `begin` is one that a division of the whole tree gives."""
    return _fold([node(level, index) for level, index in subtrees(begin, end)])


def _fold(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root
