"""Check the entries against the log, and the log against everything that was signed about it, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import exists, func, or_, select

from sifilma.audit.displacement import Misfit, explain
from sifilma.audit.findings import Fault, Finding, Report
from sifilma.audit.leaf import leaf_bytes
from sifilma.audit.models import LogCheckpoint, PendingEntry
from sifilma.audit.note import Checkpoint, NoteRefused, read_checkpoint
from sifilma.audit.store import ENTRY, LEAF, NODE, UNREADABLE, LogBroken, Row, StoredTree, as_bytes, log_size, rows_by
from sifilma.audit.tree import HASH_SIZE, Frontier, Place, leaf_hash
from sifilma.kernel.context import Context

__all__ = ["Fault", "Finding", "Report", "verify"]

CHUNK = 1000  # leaves read at a time
PAGE = 5000  # entries looked up at a time
MISFITS = 500  # of them are kept to be explained
LATE = timedelta(minutes=5)
"""No transaction lasts longer. An entry that enters the log this long after a checkpoint cannot have existed when it was signed."""

Keys = Sequence[ec.EllipticCurvePublicKey]


@dataclass(frozen=True)
class _Signed:
    """A checkpoint to compare with: its content, its name in findings, and the moment of signing if the database has it."""

    says: Checkpoint
    name: str
    at: datetime | None = None


def verify(ctx: Context, keys: Keys, kept: Sequence[str] = (), newest: int | None = None, *, in_one: bool = False) -> Report:
    """Hash every entry again, build the tree, and check every checkpoint and every note of `kept` (signed here, stored elsewhere).

    With `newest` only that many entries from the end are read; for those before, the stored hashes are trusted. `ctx` needs a reading unit
    of its own: its transaction is restarted between chunks, so that a long verification blocks nothing. `in_one` leaves the transaction
    open, for a caller that has it open. The log may grow meanwhile.
    """
    pause = _nothing if in_one else ctx.uow.restart_read
    pause()
    size = log_size(ctx.session)
    walk = _Walk(ctx, keys, kept, Report(size))
    start = max(0, size - newest) if newest is not None else 0
    if walk.begin(start):
        for low in range(start, size, CHUNK):
            walk.read(low, min(low + CHUNK, size))
            pause()
        explain(walk.misfits, walk.report)
    walk.look_beyond(size)
    if newest is None:
        _find_unlogged(ctx, walk.report, pause)
    walk.report.waiting = ctx.session.scalar(select(func.count()).select_from(PendingEntry)) or 0
    return walk.report


class _Walk:
    """One pass over the log from left to right."""

    def __init__(self, ctx: Context, keys: Keys, kept: Sequence[str], report: Report) -> None:
        self._ctx, self._keys, self.report = ctx, keys, report
        self._kept = [signed for number, note in enumerate(kept, start=1) if (signed := self._read_kept(number, note))]
        self._frontier = Frontier()
        self._right_up_to, self._rewritten = 0, False
        self._latest: datetime | None = None
        self._sealed: datetime | None = None
        self.misfits: list[Misfit] = []

    def begin(self, size: int) -> bool:
        """Start after the first `size` entries. Return False, with a finding, if the stored tree is damaged."""
        try:
            self._frontier = StoredTree(self._ctx.session).frontier(size)
        except LogBroken as broken:
            self.report.add(Fault.TREE, broken.detail)
            return False
        self._right_up_to = size
        return True

    def read(self, low: int, high: int) -> None:
        """Check entries, leaves, subtrees and checkpoints of the places `low` to `high` - 1."""
        session = self._ctx.session
        leaves = rows_by(session, LEAF, "seq", range(low, high))
        entries = rows_by(session, ENTRY, "id", [leaf["entry_id"] for leaf in leaves.values() if leaf is not None])
        signed = _by_size([*self._stored_checkpoints(low, high), *(one for one in self._kept if low < one.says.size <= high)])
        made: dict[Place, bytes] = {}
        for seq in range(low, high):
            made.update(self._frontier.append(self._leaf(seq, leaves.get(seq), entries)))
            for one in signed.get(seq + 1, ()):
                self._compare(one)
        self._compare_nodes(made)

    def look_beyond(self, size: int) -> None:
        """Report checkpoints over more entries than the log has.

        Leaves that were added during the reading are counted: what was signed meanwhile has them.
        """
        beyond = [*self._stored_checkpoints(size, None), *self._kept]
        end = log_size(self._ctx.session)
        for one in beyond:
            if one.says.size > end:
                self.report.add(Fault.CUT, f"the log ends after {end} entries, but {one.name} was signed: its tail was cut", end)

    def _leaf(self, seq: int, leaf: Row | None, entries: Mapping[UUID, Row | None]) -> bytes:
        """Return the hash stored at a place, after comparing its entry with it."""
        if leaf is None:
            self.report.add(Fault.DELETED, f"place {seq} is missing from the log, or cannot be read", seq)
            return bytes(HASH_SIZE)  # a hash that nothing has, so that the tree goes on and the root differs
        stands, entry_id = as_bytes(leaf["hash"]), leaf["entry_id"]
        if entry_id not in entries:
            self.report.add(Fault.DELETED, f"entry {entry_id}, logged at place {seq}, is gone", seq, entry_id)
        elif (entry := entries[entry_id]) is None:
            self.report.add(Fault.EDITED, f"entry {entry_id}, logged at place {seq}, cannot be read", seq, entry_id)
        else:
            self._hold(seq, entry, stands)
        return stands

    def _hold(self, seq: int, entry: Row, stands: bytes) -> None:
        at: datetime = entry["at"]
        if leaf_hash(leaf_bytes(seq, entry)) != stands:
            if len(self.misfits) < MISFITS:
                self.misfits.append(Misfit(seq, entry, stands))
        elif self._sealed is not None and at < self._sealed - LATE:
            # An entry whose moment lies before a checkpoint, but whose place after it, was inserted later with a false moment.
            told = f"entry {entry['id']} at place {seq} says it is of {at:%Y-%m-%d %H:%M:%S} UTC, but came after what was signed later"
            self.report.add(Fault.INSERTED, told, seq, entry["id"])
        self._latest = at if self._latest is None else max(self._latest, at)

    def _compare(self, one: _Signed) -> None:
        """Compare a checkpoint with the tree at its size. After the first stored one that differs the following ones are not reported."""
        size = one.says.size
        if one.says.root == self._frontier.root():
            self._right_up_to = max(self._right_up_to, size)
            if one.at is not None and self._latest is not None:
                self._sealed = min(one.at, self._latest)
        # All later roots differ as well: one finding tells it. Kept checkpoints (without `at`) are reported each.
        elif not self._rewritten or one.at is None:
            self._rewritten = True
            told = f"the log does not lead to {one.name}: something at places {self._right_up_to} to {size - 1} is not what was signed"
            self.report.add(Fault.REWRITTEN, told, self._right_up_to)

    def _compare_nodes(self, made: dict[Place, bytes]) -> None:
        """Compare the stored hashes, from which proofs are made, with those just computed."""
        for height in {place[0] for place in made}:
            wanted = [index for at, index in made if at == height]
            query = select(NODE.c.idx, NODE.c.hash).where(NODE.c.height == height, NODE.c.idx.in_(wanted))
            stored = {index: as_bytes(value) for index, value in self._ctx.session.execute(query)}
            for index in wanted:
                if stored.get(index) != made[height, index]:
                    low, high = index << height, (index + 1) << height
                    self.report.add(Fault.TREE, f"the kept hash over places {low} to {high - 1} is not theirs", low)

    def _stored_checkpoints(self, low: int, high: int | None) -> Iterator[_Signed]:
        """Yield the checkpoints over more than `low` and at most `high` entries with valid signatures. Others become findings."""
        query = select(LogCheckpoint).where(LogCheckpoint.size > low).order_by(LogCheckpoint.size)
        try:
            rows = self._ctx.session.scalars(query if high is None else query.where(LogCheckpoint.size <= high)).all()
        except UNREADABLE:
            self.report.add(Fault.CHECKPOINT, f"a checkpoint over more than {low} entries cannot be read", low)
            return
        for row in rows:
            self.report.checkpoints += 1
            name = f"the checkpoint over {row.size} entries"
            said = self._signed(row.note, name)
            if said is not None and (said.origin, said.size, said.root) != (row.origin, row.size, as_bytes(row.root)):
                self.report.add(Fault.CHECKPOINT, f"{name} is not what its signed text says", row.size)
            elif said is not None:
                yield _Signed(said, name, row.at)

    def _read_kept(self, number: int, note: str) -> _Signed | None:
        said = self._signed(note, f"kept checkpoint {number}")
        return None if said is None else _Signed(said, f"the kept checkpoint over {said.size} entries")

    def _signed(self, note: str, name: str) -> Checkpoint | None:
        try:
            return read_checkpoint(note, self._keys)
        except NoteRefused as refused:
            self.report.add(Fault.CHECKPOINT, f"{name} is not to be trusted: {refused}")
            return None


def _by_size(signed: Iterable[_Signed]) -> dict[int, list[_Signed]]:
    found: dict[int, list[_Signed]] = {}
    for one in signed:
        found.setdefault(one.says.size, []).append(one)
    return found


def _nothing() -> None:
    """Do nothing: the transaction stays open."""


def _find_unlogged(ctx: Context, report: Report, pause: Callable[[], None]) -> None:
    """Report entries that are neither in the log nor waiting for it, and waiting entries that do not exist."""
    known = or_(exists().where(LEAF.c.entry_id == ENTRY.c.id), exists().where(PendingEntry.entry_id == ENTRY.c.id))
    # Keyset paging in pages of their own, so that no transaction lasts for the whole log.
    query = select(ENTRY.c.id, known).order_by(ENTRY.c.id).limit(PAGE)
    after: UUID | None = UUID(int=0)
    while after is not None:
        try:
            page = ctx.session.execute(query.where(ENTRY.c.id > after)).all()
        except UNREADABLE:
            report.add(Fault.INSERTED, f"an entry after {after} has an id that cannot be read: it was put there past its rules")
            break
        for entry_id in (entry_id for entry_id, is_known in page if not is_known):
            report.add(Fault.INSERTED, f"entry {entry_id} never came into the log: it was put there past its rules", None, entry_id)
        after = page[-1][0] if len(page) == PAGE else None
        pause()
    is_there = exists().where(ENTRY.c.id == PendingEntry.entry_id)
    for entry_id in ctx.session.scalars(select(PendingEntry.entry_id).where(~is_there)):
        report.add(Fault.DELETED, f"entry {entry_id} was taken away before it came into the log", None, entry_id)
