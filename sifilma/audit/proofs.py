"""Proofs for strangers that an entry is in the log, and that the log only grew (RFC 6962, sections 2.1.1 and 2.1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from sifilma.audit.checkpoints import get_newest
from sifilma.audit.leaf import leaf_bytes
from sifilma.audit.models import LogCheckpoint, LogLeaf
from sifilma.audit.store import ENTRY, StoredTree
from sifilma.audit.tree import ProofRefused, consistency, inclusion
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Invalid, NotFound
from sifilma.kernel.text import say


@dataclass(frozen=True)
class Inclusion:
    """A leaf, its place, and the hashes that lead from it to the checkpoint's root."""

    seq: int
    leaf: bytes
    hashes: list[bytes]
    checkpoint: LogCheckpoint


def get_leaf(ctx: Context, seq: int) -> LogLeaf:
    """Return the leaf at a place. Raise NotFound beyond the end of the log."""
    found = ctx.session.get(LogLeaf, seq)
    if found is None:
        raise NotFound("The log has no such place.")
    return found


def prove_inclusion(ctx: Context, leaf: LogLeaf) -> Inclusion:
    """Return the inclusion proof of a leaf for the newest checkpoint. Raise Conflict while no checkpoint covers the leaf."""
    checkpoint = get_newest(ctx.session)
    if checkpoint.size <= leaf.seq:
        raise Conflict("This entry is in the log, but not signed yet: the next checkpoint comes within a minute.", type="not-signed-yet")
    entry = ctx.session.execute(select(ENTRY).where(ENTRY.c.id == leaf.entry_id)).mappings().one()
    hashes = StoredTree(ctx.session).hashes(inclusion(leaf.seq, checkpoint.size))
    return Inclusion(leaf.seq, leaf_bytes(leaf.seq, entry), hashes, checkpoint)


def prove_consistency(ctx: Context, since: int, checkpoint: LogCheckpoint) -> list[bytes]:
    """Return the proof that the log of `since` entries is the beginning of the checkpoint's log.

    Raise Invalid if `since` is 0 or greater than the checkpoint's size.
    """
    return prove_growth(ctx, since, checkpoint.size)


def prove_growth(ctx: Context, since: int, size: int) -> list[bytes]:
    """Return the proof that the log of `since` entries is the beginning of that of `size`. Raise Invalid as `prove_consistency` does."""
    try:
        return StoredTree(ctx.session).hashes(consistency(since, size))
    except ProofRefused as refused:
        raise Invalid.field("since", say("%(what)s.", what=str(refused))) from refused


def places_of(ctx: Context, entry_ids: list[UUID]) -> dict[UUID, int]:
    """Return the places of entries in the log. Entries that still wait are left out."""
    query = select(LogLeaf.entry_id, LogLeaf.seq).where(LogLeaf.entry_id.in_(entry_ids))
    return dict(ctx.session.execute(query).all())
