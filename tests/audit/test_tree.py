"""The Merkle tree against RFC 6962: known answers, the definition itself, and proofs for every shape of tree."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifilma.audit import tree
from sifilma.audit.tree import Frontier, Place, ProofRefused

CT_INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The inputs and roots Certificate Transparency's own tests use, for 1 to 8 leaves."""


def mth(leaves: Sequence[bytes]) -> bytes:
    """Compute the Merkle tree hash of RFC 6962, section 2.1, literally, over hashes of leaves."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


class GrownTree:
    """A tree that grows leaf by leaf, with the hashes that the database stores."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.frontier, self.kept = Frontier(), dict[Place, bytes]()
        for seq, leaf in enumerate(leaves):
            self.kept[0, seq] = leaf
            self.kept.update(self.frontier.append(leaf))

    def hashes(self, ranges: Sequence[tree.Range]) -> list[bytes]:
        assert tree.needed(ranges) <= set(self.kept)
        return [tree.hash_of(part, self.kept.__getitem__) for part in ranges]


def numbered(size: int) -> list[bytes]:
    return [tree.leaf_hash(str(number).encode()) for number in range(size)]


def test_the_roots_of_certificate_transparencys_own_vectors() -> None:
    frontier = Frontier()
    assert frontier.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for data, root in zip(CT_INPUTS, CT_ROOTS, strict=True):
        frontier.append(tree.leaf_hash(data))
        assert frontier.root().hex() == root


def test_a_published_path_and_a_published_consistency_proof() -> None:
    """From the same vectors: inclusion of leaf 5 of 8, and consistency of 6 with 8."""
    grown = GrownTree([tree.leaf_hash(data) for data in CT_INPUTS])
    assert [value.hex() for value in grown.hashes(tree.inclusion(5, 8))] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [value.hex() for value in grown.hashes(tree.consistency(6, 8))] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(st.integers(1, 700), st.data())
def test_an_inclusion_proof_holds_for_its_leaf_alone(size: int, data: st.DataObject) -> None:
    leaves = numbered(size)
    grown, index = GrownTree(leaves), data.draw(st.integers(0, size - 1))
    root, proof = mth(leaves), grown.hashes(tree.inclusion(index, size))
    assert grown.frontier.root() == root
    tree.check_inclusion(leaves[index], index, size, proof, root)
    wrong: list[tuple[bytes, int, int, list[bytes], bytes]] = [
        (tree.leaf_hash(b"another"), index, size, proof, root),
        (leaves[index], index, size, [*proof, root], root),
        (leaves[index], index, size, proof, bytes(32)),
        (leaves[index], size, size, proof, root),
    ]
    wrong += [(leaves[index], index, size, proof[:-1], root), (leaves[index], index ^ 1, size, proof, root)] if proof else []
    for refused in wrong:
        with pytest.raises(ProofRefused):
            tree.check_inclusion(*refused)


@given(st.integers(1, 700), st.data())
def test_a_consistency_proof_holds_for_its_two_trees_alone(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new))
    leaves = numbered(new)
    proof = GrownTree(leaves).hashes(tree.consistency(old, new))
    old_root, new_root = mth(leaves[:old]), mth(leaves)
    tree.check_consistency(old, old_root, new, new_root, proof)
    for refused in (
        (old, bytes(32), new, new_root, proof),
        (old, old_root, new, bytes(32), proof),
        (old, old_root, new, new_root, [*proof, new_root]),
        *([(old, old_root, new, new_root, proof[:-1])] if proof else []),
    ):
        with pytest.raises(ProofRefused):
            tree.check_consistency(*refused)


@given(st.integers(0, 700), st.integers(0, 40))
def test_a_tree_grows_from_its_stored_hashes(size: int, more: int) -> None:
    leaves = numbered(size + more)
    grown = GrownTree(leaves[:size])
    parts = [(index << height, (index + 1) << height) for height, index in tree.complete_parts(0, size)]
    again = Frontier(size, grown.hashes(parts))
    for leaf in leaves[size:]:
        again.append(leaf)
    assert again.root() == mth(leaves)


def test_a_proof_needs_few_rows_of_a_large_tree() -> None:
    for size in (10_000_000, 16_777_215, 16_777_216):
        for index in (0, 1, size // 2, size - 2, size - 1):
            assert len(tree.needed(tree.inclusion(index, size))) <= 190
    assert len(tree.needed(tree.consistency(9_999_999, 10_000_000))) <= 190


def test_an_impossible_proof_is_refused() -> None:
    for index, size in ((-1, 3), (3, 3), (0, 0)):
        with pytest.raises(ProofRefused):
            tree.inclusion(index, size)
    for old, new in ((0, 3), (4, 3)):
        with pytest.raises(ProofRefused):
            tree.consistency(old, new)
    with pytest.raises(ProofRefused):
        tree.check_consistency(3, b"a" * 32, 3, b"b" * 32, [])
    with pytest.raises(ProofRefused):
        tree.check_consistency(3, b"a" * 32, 5, b"b" * 32, [])
