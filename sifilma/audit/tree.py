"""RFC 6962 Merkle trees over SHA-256: hashes, proofs, and which hashes must be stored for them. Imports the standard library only.

A tree of `size` leaves is described by ranges `[low, high)` of leaves. A complete subtree is named (height, index): the `index`-th from
the left of its height, over 2**height leaves. Only complete subtrees of every STRIDE-th height are stored; they never change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

STRIDE = 4  # about one stored node per 15 leaves; every other hash is computed from at most 8 stored ones
HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Range = tuple[int, int]
Place = tuple[int, int]
"""(height, index) of a complete subtree. A leaf has height 0."""
Lookup = Callable[[Place], bytes]


class ProofRefused(ValueError):
    """A proof does not show what it should. The text says why."""


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00 ‖ data), the hash of a leaf (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 ‖ left ‖ right), the hash of a node (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


# --- growing ---------------------------------------------------------------------------------------------------------


class Frontier:
    """The right edge of a tree: the roots of the complete subtrees it consists of, largest first. Appending needs nothing else."""

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)

    def append(self, leaf: bytes) -> list[tuple[Place, bytes]]:
        """Add the hash of a leaf. Return the subtrees to be stored that it completes, with their hashes."""
        made, height, index, found = [], 0, self.size, leaf
        # Each 1 bit at the end of the index stands for a complete left sibling, which is joined with what was made so far.
        while index & 1:
            found, height, index = node_hash(self.peaks.pop(), found), height + 1, index >> 1
            if height % STRIDE == 0:
                made.append(((height, index), found))
        self.peaks.append(found)
        self.size += 1
        return made

    def root(self) -> bytes:
        """Return the root hash at this size."""
        return fold(self.peaks) if self.peaks else EMPTY_ROOT


def fold(peaks: Sequence[bytes]) -> bytes:
    """Return the hash over adjacent complete subtrees, largest first."""
    found = peaks[-1]
    for peak in reversed(peaks[:-1]):
        found = node_hash(peak, found)
    return found


def complete_parts(low: int, high: int) -> list[Place]:
    """Return the complete subtrees that a subtree `[low, high)` consists of, largest first."""
    parts = []
    while low < high:
        height = (high - low).bit_length() - 1
        parts.append((height, low >> height))
        low += 1 << height
    return parts


# --- reading ---------------------------------------------------------------------------------------------------------


def kept_below(place: Place) -> Iterator[Place]:
    """Return the stored subtrees (or leaves) from which the hash at a place is computed."""
    height, index = place
    base = height - height % STRIDE
    width = 1 << (height - base)
    return ((base, index * width + offset) for offset in range(width))


def needed(ranges: Iterable[Range]) -> set[Place]:
    """Return every stored hash that the hashes of these ranges need."""
    return {kept for low, high in ranges for place in complete_parts(low, high) for kept in kept_below(place)}


def hash_of(part: Range, lookup: Lookup) -> bytes:
    """Return the hash over a range of leaves, computed from stored hashes."""
    places = complete_parts(*part)
    return fold([_hash_at(place, lookup) for place in places]) if places else EMPTY_ROOT


def _hash_at(place: Place, lookup: Lookup) -> bytes:
    hashes = [lookup(kept) for kept in kept_below(place)]
    while len(hashes) > 1:
        hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


# --- proving (RFC 6962, sections 2.1.1 and 2.1.2) --------------------------------------------------------------------


def inclusion(index: int, size: int) -> list[Range]:
    """Return the ranges whose hashes prove that a leaf is at `index` in a tree of `size`, from the leaf upwards.

    Raise ProofRefused if the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ProofRefused(f"there is no leaf {index} in a tree of {size}")
    path, low, high = [], 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append((middle, high))
            high = middle
        else:
            path.append((low, middle))
            low = middle
    return path[::-1]


def consistency(old: int, new: int) -> list[Range]:
    """Return the ranges whose hashes prove that the tree of `old` leaves is the beginning of the tree of `new` leaves.

    Raise ProofRefused if it cannot be.
    """
    if not 0 < old <= new:
        raise ProofRefused(f"a tree of {old} cannot be the beginning of one of {new}")
    path, low, high, whole = [], 0, new, True
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            path.append((middle, high))
            high = middle
        else:
            path.append((low, middle))
            low, whole = middle, False
    return ([] if whole else [(low, high)]) + path[::-1]


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


# --- checking (RFC 9162, sections 2.1.3.2 and 2.1.4.2) ---------------------------------------------------------------


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise ProofRefused unless the proof leads from the leaf's hash to the root."""
    if not 0 <= index < size:
        raise ProofRefused(f"there is no leaf {index} in a tree of {size}")
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofRefused("the proof is too long")
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            at, last = _climb(at, last)
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    if last != 0 or found != root:
        raise ProofRefused("the proof does not lead to the root")


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raise ProofRefused unless the proof leads from the old root to the new one."""
    if not 0 < old <= new:
        raise ProofRefused(f"a tree of {old} cannot be the beginning of one of {new}")
    if old == new:
        if proof or old_root != new_root:
            raise ProofRefused("two roots of one size differ")
        return
    # A complete old tree is a node of the new one, and the proof leaves its hash out (RFC 9162, section 2.1.4.2).
    hashes = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not hashes:
        raise ProofRefused("the proof is empty")
    _check_paths(old - 1, new - 1, hashes, old_root, new_root)


def _check_paths(at: int, last: int, hashes: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Follow one path to both roots."""
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofRefused("the proof is too long")
        if at & 1 or at == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            at, last = _climb(at, last)
        else:
            second = node_hash(second, sibling)
        at, last = at >> 1, last >> 1
    if last != 0 or first != old_root or second != new_root:
        raise ProofRefused("the proof does not lead to both roots")


def _climb(at: int, last: int) -> Place:
    """Move up while the node is a left child, to where the path is a right child again (RFC 9162, section 2.1.3.2)."""
    while not at & 1 and at != 0:
        at, last = at >> 1, last >> 1
    return at, last
