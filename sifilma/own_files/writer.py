"""The worker's side of a file: it takes a file for a turn, looks up its rows once, writes them part by part, and ends it.

A part is stored in the transaction that counts its rows, and only in the file's latest turn. So a worker that dies loses what it has not
stored, the next one goes on behind it, and each row is in the file once. The rows of a file are those of one moment; each is written as it
is when its part is made, if whoever asked may still see it then.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from typing import IO, Any
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, delete, exists, func, insert, select, update

from config.settings import Settings
from sifilma.audit.models import Action, AuditEntry
from sifilma.audit.service import record
from sifilma.dispatch.contract import Turn
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import changed
from sifilma.kernel.text import say
from sifilma.notifications import bell
from sifilma.own_files.kinds import KINDS, Contexts, Kind, is_granted
from sifilma.own_files.models import OPEN, OWN_FILE, FileState, OwnFile, OwnFilePart, OwnFileRows, Role
from sifilma.own_files.queries import waiting_query
from sifilma.sign_in.authentication import find_actor

AT_ONCE = 1.0
"""Seconds for which a turn goes on."""
IDS_A_PART, ID = 4096, 16
"""Rows whose ids are stored together, and the bytes of an id."""
PART = 1024 * 1024
"""Bytes of a part of the end of a file. What a turn stores is a part of its own, of a few megabytes at most."""
NEWEST, LONGEST_MEASURED = 0.3, timedelta(minutes=1)
"""The share of the newest measurement in the rate, and the longest time between two turns that is measured."""
READY_TASK = "own_file_ready"
"""The task of the notice that a file is ready (`reports/task_labels.py`)."""
log = structlog.get_logger()


class Lost(Exception):
    """The file had another turn meanwhile, or is not written any more. Nothing this worker still does for it counts."""


class Barred(Exception):
    """Whoever asked for the file may not see this any more."""


@dataclass
class Taken:
    """A file that this worker gives a turn. `file` is detached, and shows the state when it was taken."""

    contexts: Contexts
    settings: Settings
    file: OwnFile
    until: float
    done: int = 0
    """Rows that this turn has stored."""
    size: int = 0
    """Bytes that this turn has stored, before they were sealed."""
    _ids: dict[int, list[UUID]] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """Return what is to be known of its kind."""
        return KINDS[self.file.kind]

    @property
    def in_time(self) -> bool:
        """Return whether this turn is not over yet."""
        return time.monotonic() < self.until

    @property
    def begins_at(self) -> int:
        """Return the place in the file behind what is stored."""
        return self.file.size + self.size

    @contextmanager
    def on_behalf(self) -> Iterator[Context]:
        """Give the Context of whoever asked for the file, for reading. Raise Barred if they may not see this any more."""
        with self.contexts() as ctx:
            ctx.uow.begin_read()
            yield on_behalf(ctx, self.file)

    def next_ids(self, most: int, after: int = 0) -> list[UUID]:
        """Return the ids of the next rows that are not stored, without the first `after` of them. They are read as they are needed."""
        first = self.file.done + self.done + after
        last = min(first + most, self.file.total or 0)
        found: list[UUID] = []
        while first < last:
            place, start = divmod(first, IDS_A_PART)
            some = self._part(place)[start : start + last - first]
            found += some
            first += len(some)
            if not some:
                raise Lost  # the rows are gone with the file
        return found

    def _part(self, place: int) -> list[UUID]:
        if place not in self._ids:
            self._ids.clear()
            with self.contexts() as ctx:
                ctx.uow.begin_read()
                query = select(OwnFileRows.ids).where(OwnFileRows.file_id == self.file.id, OwnFileRows.place == place)
                self._ids[place] = unpacked(ctx.session.scalar(query) or b"")
        return self._ids[place]

    def store(self, ctx: Context, *, done: int, written: int, size: int, parts: Sequence[tuple[Role, bytes]]) -> None:
        """Count rows and store what came of them, in the transaction of `ctx`. Raise Lost if the file had another turn meanwhile.

        `size` is the number of bytes that the file grows by. The caller commits, and then calls `stored`.
        """
        counts = {"done": OwnFile.done + done, "written": OwnFile.written + written, "size": OwnFile.size + size}
        counted = update(OwnFile).where(*mine(self.file)).values(**counts).execution_options(synchronize_session=False)
        if changed(ctx.session.execute(counted)) == 0:
            raise Lost
        for role, data in parts:
            add_part(ctx, self.file, role, data)

    def stored(self, done: int, size: int) -> None:
        """Note what was committed."""
        self.done, self.size = self.done + done, self.size + size

    def parts(self, role: Role) -> Iterator[bytes]:
        """Yield the parts of a role, one after the other, each from a reading transaction of its own."""
        return stored_parts(self.contexts, self.file.id, role)


def on_behalf(ctx: Context, file: OwnFile) -> Context:
    """Return the Context of the person or API key that asked for the file. Raise Barred if they may not see this any more."""
    actor = find_actor(ctx, file.user_id, file.api_key_id) if _is_asked_for(ctx, file) else None
    if actor is None or actor.organisation_id != file.organisation_id:
        raise Barred
    operation = KINDS[file.kind].operation(file)
    if not is_granted(grants(actor, Operation(operation)), operation, actor.user_id):
        raise Barred
    return replace(ctx, actor=actor, request_id=str(file.id))


def _is_asked_for(ctx: Context, file: OwnFile) -> bool:
    """Return whether whom the row names asked. If SQL has put another there, they would get what they did not ask for."""
    by = (AuditEntry.user_id.is_not_distinct_from(file.user_id), AuditEntry.api_key_id.is_not_distinct_from(file.api_key_id))
    about = (AuditEntry.object_kind == OWN_FILE.kind, AuditEntry.object_id == str(file.id), AuditEntry.action == Action.FILE_ASK)
    return bool(ctx.session.scalar(select(exists().where(*about, *by))))


def mine(file: OwnFile) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of the turn that a worker gives: nobody has begun another one, and the file is being written."""
    return (OwnFile.id == file.id, OwnFile.served == file.served, OwnFile.state == FileState.RUNNING)


def add_part(ctx: Context, file: OwnFile, role: Role, data: bytes) -> None:
    """Store a part behind the others of its role."""
    behind = select(func.coalesce(func.max(OwnFilePart.place), -1) + 1).where(OwnFilePart.file_id == file.id, OwnFilePart.role == role)
    ctx.session.execute(insert(OwnFilePart).values(file_id=file.id, role=str(role), place=behind.scalar_subquery(), data=data))


def stored_parts(contexts: Contexts, file_id: UUID, role: Role) -> Iterator[bytes]:
    """Yield the parts of a role. Raise Lost if one is missing."""
    with contexts() as ctx:
        ctx.uow.begin_read()
        where = (OwnFilePart.file_id == file_id, OwnFilePart.role == str(role))
        count = ctx.session.scalar(select(func.count()).select_from(OwnFilePart).where(*where)) or 0
    for place in range(count):
        with contexts() as ctx:
            ctx.uow.begin_read()
            data = ctx.session.scalar(select(OwnFilePart.data).where(*where, OwnFilePart.place == place))
        if data is None:
            raise Lost
        yield bytes(data)


def packed(ids: Sequence[UUID]) -> bytes:
    """Return ids as they are stored."""
    return b"".join(one.bytes for one in ids)


def unpacked(data: bytes) -> list[UUID]:
    """Return the ids of such bytes."""
    return [UUID(bytes=bytes(data[start : start + ID])) for start in range(0, len(data), ID)]


# --- turns ---------------------------------------------------------------------------------------------------------------


def work(contexts: Contexts, settings: Settings, seconds: float = AT_ONCE) -> int:
    """Give the files that wait turns for about `seconds`, where one process does everything. Return the number of rows."""
    until, settled = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        with contexts() as ctx:
            ctx.uow.begin_read()
            waiting = ctx.session.execute(waiting_query().limit(1)).first()
        if waiting is None:
            return settled
        settled += max(1, turn(contexts, settings, waiting[0], until - time.monotonic()).settled)
    return settled


def turn(contexts: Contexts, settings: Settings, file_id: UUID, seconds: float = AT_ONCE) -> Turn:
    """Give a file a turn. Return the number of rows written, and that it is due again at once if it is not ended."""
    file = _take(contexts, file_id)
    if file is None:
        return Turn()
    taken = Taken(contexts, settings, file, time.monotonic() + seconds)
    try:
        if file.total is None:
            _look_up(taken)
        elif file.done < file.total:
            taken.kind.write(taken)
            _measure(taken)
        else:
            _finish(taken)
            return Turn()
    except Lost:
        log.info("file_not_mine", file=str(file_id))
    except Barred:
        _end(taken, FileState.STOPPED, Action.FILE_STOP, say("Whoever asked for it may not see this any more."))
        return Turn()
    return Turn(taken.done, 0.0)


def _take(contexts: Contexts, file_id: UUID) -> OwnFile | None:
    """Begin a turn. Return the file, detached, or None if it is not written any more."""
    with contexts() as ctx:
        file = ctx.session.scalars(select(OwnFile).where(OwnFile.id == file_id, OwnFile.state.in_(OPEN)).with_for_update()).first()
        if file is None:
            return None
        file.served += 1
        if file.state == FileState.QUEUED:
            OWN_FILE.move(ctx.session, file, FileState.RUNNING, _act(ctx, Action.FILE_RUN, file))
        ctx.session.flush()
        ctx.session.refresh(file)
        ctx.session.expunge(file)
        return file


def _act(ctx: Context, action: Action, file: OwnFile, **data: Any) -> Act:
    return record(ctx, action, OWN_FILE.kind, file.id, organisation_id=file.organisation_id, kind=file.kind, **data)


def _look_up(taken: Taken) -> None:
    """Store which rows the file has, once."""
    most, total, found = taken.kind.most(taken.file), 0, bytearray()
    with taken.on_behalf() as ctx:
        for ids in taken.kind.ids(ctx, taken.file, most + 1):
            total += len(ids)
            found += packed(ids)
    kept = min(total, most)
    with taken.contexts() as ctx:
        known = {"total": kept, "cut": total > most, "measured_at": ctx.now}
        counted = update(OwnFile).where(*mine(taken.file)).values(**known).execution_options(synchronize_session=False)
        if changed(ctx.session.execute(counted)) == 0:
            raise Lost
        for place, start in enumerate(range(0, kept * ID, IDS_A_PART * ID)):
            ids_part = bytes(found[start : min(start + IDS_A_PART * ID, kept * ID)])
            ctx.session.execute(insert(OwnFileRows).values(file_id=taken.file.id, place=place, ids=ids_part))


def _measure(taken: Taken) -> None:
    """Note how fast it goes: the rows a second since the last turn, mixed with the rate of before. A long silence is not measured."""
    with taken.contexts() as ctx:
        since, rate = taken.file.measured_at, taken.file.rate
        if since is not None and timedelta(0) < ctx.now - since <= LONGEST_MEASURED:
            newest = taken.done / (ctx.now - since).total_seconds()
            rate = newest if rate is None else NEWEST * newest + (1 - NEWEST) * rate
        noted = update(OwnFile).where(*mine(taken.file)).values(rate=rate, measured_at=ctx.now)
        ctx.session.execute(noted.execution_options(synchronize_session=False))


def _finish(taken: Taken) -> None:
    """Write the end of the file, and have it ready. What takes long is done before the transaction, on the disk."""
    digest, size = sha256(), 0
    with tempfile.TemporaryFile() as rest:
        opened = taken.kind.opener(taken.contexts)
        for part in taken.parts(Role.BODY):
            data = opened(part)
            digest.update(data)
            size += len(data)
        for piece in taken.kind.finish(taken):
            digest.update(piece)
            rest.write(piece)
        _store_end(taken, rest, size + rest.tell(), digest.hexdigest())


def _store_end(taken: Taken, rest: IO[bytes], size: int, digest: str) -> None:
    rest.seek(0)
    sealed = taken.kind.sealer(taken.contexts, taken.file)
    with taken.contexts() as ctx:
        ctx.require_trusted_clock()
        file = ctx.session.scalars(select(OwnFile).where(*mine(taken.file)).with_for_update()).first()
        if file is None:
            raise Lost
        while data := rest.read(PART):
            add_part(ctx, file, Role.BODY, sealed(data))
        staged = delete(OwnFilePart).where(OwnFilePart.file_id == file.id, OwnFilePart.role != str(Role.BODY))
        ctx.session.execute(staged.execution_options(synchronize_session=False))
        OWN_FILE.move(ctx.session, file, FileState.READY, _act(ctx, Action.FILE_READY, file, count=file.written, sha256=digest))
        file.size, file.sha256, file.ended_at = size, digest, ctx.now
        file.ends_at = ctx.trusted_now + timedelta(days=taken.settings.keep_own_files_days)
        if file.user_id is not None:
            bell.ring(ctx.session, ctx.now, [bell.Ring(file.user_id, READY_TASK, file.id, file.filename)])
        ctx.session.flush()


def _end(taken: Taken, state: FileState, action: Action, note: str) -> None:
    """End the file. Do nothing if the turn was lost."""
    with taken.contexts() as ctx:
        file = ctx.session.scalars(select(OwnFile).where(*mine(taken.file)).with_for_update()).first()
        if file is not None:
            OWN_FILE.move(ctx.session, file, state, _act(ctx, action, file), note)
            file.ended_at = ctx.now


# --- by time ---------------------------------------------------------------------------------------------------------------

MOST_ENDED = 100
"""Files that one round ends."""


def end_old(ctx: Context) -> int:
    """Delete the contents of files whose time is over. Return their number. Raise ClockNotTrusted: what is deleted is gone."""
    due = select(OwnFile).where(OwnFile.state == FileState.READY, OwnFile.ends_at <= ctx.due_until()).limit(MOST_ENDED)
    files = list(ctx.session.scalars(due.with_for_update(skip_locked=True)))
    for file in files:
        OWN_FILE.move(ctx.session, file, FileState.EXPIRED, _act(ctx, Action.FILE_EXPIRE, file))
    ctx.session.flush()
    return len(files)
