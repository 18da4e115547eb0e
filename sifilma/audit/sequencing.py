"""The sequencer: it gives waiting entries their places in the log."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, exists, insert, select, text
from sqlalchemy.orm import Session

from sifilma.audit.leaf import leaf_bytes
from sifilma.audit.models import PendingEntry
from sifilma.audit.store import ENTRY, LEAF, NODE, Row, StoredTree, log_size, rows_by
from sifilma.audit.tree import leaf_hash
from sifilma.kernel.context import Context

BATCH = 500  # entries per transaction
LOCK_ID = 0x51F10C  # of an advisory lock; any number that no other lock of this database has


def append(ctx: Context) -> int:
    """Take the oldest waiting entries into the log, at most BATCH, in the caller's writing transaction. Return their number.

    An entry waits from its own transaction on (a trigger records it), so it is found however late that transaction commits. Does nothing
    while another sequencer works. An entry that somebody deleted or made unreadable stays waiting; `verify` reports it.
    """
    session = ctx.session
    if not _alone(session):
        return 0
    ids = list(session.scalars(_waiting()))
    found = rows_by(session, ENTRY, "id", ids) if ids else {}
    entries = [entry for entry_id in ids if (entry := found.get(entry_id)) is not None]
    if entries:
        _extend(session, entries)
    return len(entries)


def _waiting() -> Select[UUID]:
    logged = exists().where(LEAF.c.entry_id == PendingEntry.entry_id)
    query = select(PendingEntry.entry_id).join(ENTRY, ENTRY.c.id == PendingEntry.entry_id).where(~logged)
    return query.order_by(PendingEntry.entry_id).limit(BATCH)


def _alone(session: Session) -> bool:
    """Return whether this is the only sequencer until the transaction ends. On SQLite the write lock ensures it already."""
    if session.get_bind().dialect.name == "sqlite":
        return True
    # Try, do not wait: a second worker has other work to do.
    return bool(session.execute(text("SELECT pg_try_advisory_xact_lock(:id)"), {"id": LOCK_ID}).scalar())


def _extend(session: Session, entries: list[Row]) -> None:
    """Insert the leaves and the subtrees they complete, and remove the entries from the queue."""
    frontier = StoredTree(session).frontier(log_size(session))
    leaves: list[dict[str, Any]] = []
    nodes: list[dict[str, Any]] = []
    for entry in entries:
        seq = frontier.size
        leaf = leaf_hash(leaf_bytes(seq, entry))
        leaves.append({"seq": seq, "entry_id": entry["id"], "hash": leaf})
        nodes += [{"height": height, "idx": index, "hash": made} for (height, index), made in frontier.append(leaf)]
    session.execute(insert(LEAF), leaves)
    if nodes:
        session.execute(insert(NODE), nodes)
    session.execute(delete(PendingEntry).where(PendingEntry.entry_id.in_([leaf["entry_id"] for leaf in leaves])))
