"""The worker's side of a file: it takes a file for a turn, looks up its rows once, writes them part by part, and ends it.

A part is stored in the transaction that counts its rows, and only in the file's latest turn. So a worker that dies loses what it has not
stored, the next one goes on behind it, and each row is in the file once. The rows of a file are those of one moment; each is written as it
is when its part is made, if whoever asked may still see it then.
"""

from __future__ import annotations

import tempfile
import time
from datetime import timedelta
from hashlib import sha256
from typing import IO, Any
from uuid import UUID

import structlog
from sqlalchemy import delete, insert, select, update

from config.settings import Settings
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.dispatch.contract import Turn
from sifilma.dispatch.turns import Barred, Lost, rate_of
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import changed
from sifilma.kernel.errors import NotFound
from sifilma.kernel.text import say
from sifilma.notifications import bell
from sifilma.own_files.kinds import ID, IDS_A_PART, Contexts, Taken, add_part, mine, packed
from sifilma.own_files.models import OPEN, OWN_FILE, FileState, OwnFile, OwnFilePart, OwnFileRows, Role
from sifilma.own_files.queries import waiting_query

AT_ONCE = 1.0
"""Seconds for which a turn goes on."""
PART = 1024 * 1024
"""Bytes of a part of the end of a file. What a turn stores is a part of its own, of a few megabytes at most."""
READY_TASK = "own_file_ready"
"""The task of the notice that a file is ready (`reports/task_labels.py`)."""
log = structlog.get_logger()


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
    except NotFound:  # by now it is gone, or out of the reach of whoever asked
        _end(taken, FileState.STOPPED, Action.FILE_STOP, say("What this file is of is not there any more for whoever asked for it."))
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
        rate = rate_of(taken.file, taken.done, ctx.now)
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

MOST_ENDED = 10
"""Files that one round ends: of each, thousands of parts may be deleted."""


def end_old(ctx: Context) -> int:
    """Delete the contents of files whose time is over. Return their number. Raise ClockNotTrusted: what is deleted is gone."""
    due = select(OwnFile).where(OwnFile.state == FileState.READY, OwnFile.ends_at <= ctx.due_until()).limit(MOST_ENDED)
    files = list(ctx.session.scalars(due.with_for_update(skip_locked=True)))
    for file in files:
        OWN_FILE.move(ctx.session, file, FileState.EXPIRED, _act(ctx, Action.FILE_EXPIRE, file))
    ctx.session.flush()
    return len(files)
