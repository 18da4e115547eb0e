"""Ask for a file, cancel it, and hand it out to whoever asked for it, if they may still see every row of it."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.dispatch import queue
from sifilma.dispatch.contract import FILES
from sifilma.dispatch.models import WorkRun
from sifilma.documents.uploads import clean_name
from sifilma.identity.models import Organisation
from sifilma.kernel import deadline
from sifilma.kernel.context import Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Forbidden
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say
from sifilma.own_files.kinds import IDS_A_PART, KINDS, Contexts, stored_parts, unpacked
from sifilma.own_files.models import OPEN, OWN_FILE, FileKind, FileState, OwnFile, OwnFileRows, Role
from sifilma.own_files.queries import files_query, get_file

OUT_OF_REACH = say("Some rows of this file are out of the reach of your account by now. Ask for the file anew.")
AT_ONCE = 16
"""Parts of ids that are looked for together before a file is sent: 65,536 rows."""
MOST_OPEN = 5
"""Files of one account, or key, that are written at a time."""
MOST_KEPT = 20
"""Files of one account, or key, that are written or kept: each may have hundreds of megabytes in the database."""


@dataclass(frozen=True)
class NewFile:
    """What somebody asks for: the kind, the file's name and ending, and what it is of (JSON, as its kind reads it)."""

    kind: FileKind
    name: str
    form: str
    spec: dict[str, Any]

    @property
    def digest(self) -> str:
        """Return the SHA-256 (hex) of what is asked for, whatever the file is called."""
        return sha256(json.dumps([self.kind, self.form, self.spec], sort_keys=True).encode()).hexdigest()


def ask(ctx: Context, new: NewFile) -> OwnFile:
    """Have the worker write a file for the actor. What the actor has asked for already, and is not ready yet, is not asked for again.

    Raise Conflict (`too-many-files`) if MOST_OPEN of the actor's files are being written, or MOST_KEPT are written or kept.
    """
    # One call of an organisation at a time: two at once would both find nothing.
    mine = ctx.actor.organisation_id
    ctx.session.execute(select(Organisation.id).where(Organisation.id == mine).with_for_update(key_share=True))
    going = files_query(ctx).where(OwnFile.state.in_(OPEN))
    found = ctx.session.scalars(going.where(OwnFile.digest == new.digest)).first()
    if found is not None:
        return found
    _require_room(ctx)
    user_id, key_id = ctx.actor.user_id, ctx.actor.api_key_id
    file = OwnFile(id=uuid7(), kind=str(new.kind), organisation_id=mine, user_id=user_id, api_key_id=key_id, asked_by=user_id or key_id)
    file.name, file.form, file.spec, file.digest, file.created_at = clean_name(new.name), new.form, new.spec, new.digest, ctx.now
    act = record(ctx, Action.FILE_ASK, OWN_FILE.kind, file.id, kind=file.kind, name=file.filename)
    OWN_FILE.born(file, FileState.QUEUED, act)
    ctx.session.add(file)
    ctx.session.flush()
    queue.enqueue(ctx.session, FILES, file.id, file.organisation_id)
    return file


def _require_room(ctx: Context) -> None:
    """Raise Conflict if the actor has as many files as one may have."""
    counted = files_query(ctx).where(OwnFile.state.in_((*OPEN, FileState.READY))).with_only_columns(OwnFile.state, func.count())
    counts: dict[str, int] = dict(ctx.session.execute(counted.group_by(OwnFile.state)).all())
    if sum(counts.get(state, 0) for state in OPEN) >= MOST_OPEN:
        told = say("%(most)s of your files are being written. Wait until one of them is ready, or cancel one.", most=MOST_OPEN)
        raise Conflict(told, type="too-many-files")
    if sum(counts.values()) >= MOST_KEPT:
        told = say("You have %(most)s files, as many as one account may have. Delete one before you ask for another.", most=MOST_KEPT)
        raise Conflict(told, type="too-many-files")


def cancel(ctx: Context, file_id: UUID) -> OwnFile:
    """Cancel a file, or delete one that is ready. Doing so once more changes nothing. Raise NotFound, and Conflict if it is gone."""
    file = get_file(ctx, file_id)
    hold(ctx.session, file)
    if file.state != FileState.CANCELLED:
        act = record(ctx, Action.FILE_CANCEL, OWN_FILE.kind, file.id, kind=file.kind, done=file.done)
        OWN_FILE.move(ctx.session, file, FileState.CANCELLED, act)
        file.ended_at = ctx.now
        ctx.session.flush()
        queue.cancel(ctx.session, FILES, file.id)
        # What is noted of its turns would stay for ever: nothing is left to be tried again.
        noted = delete(WorkRun).where(WorkRun.chore == FILES, WorkRun.subject == str(file.id))
        ctx.session.execute(noted.execution_options(synchronize_session=False))
    return file


def hand_out(ctx: Context, file_id: UUID) -> OwnFile:
    """Record that the actor takes a file of theirs. The caller sends `content`, after the commit. Ends the reading transaction.

    Raise NotFound, Conflict (`not-ready`) for one that is not there, and Forbidden (`out-of-reach`) if the actor does not see a row of it
    any more: it was written as they saw it then.
    """
    file = _ready(ctx, file_id)
    deadline.allow_for(file.total or 0)
    if KINDS[file.kind].unseen(ctx, file, _rows(ctx, file)):
        raise Forbidden(OUT_OF_REACH, type="out-of-reach")
    ctx.uow.begin_write()
    file = _ready(ctx, file_id)
    record(ctx, Action.FILE_FETCH, OWN_FILE.kind, file.id, kind=file.kind, name=file.filename, count=file.written, sha256=file.sha256)
    return file


def _rows(ctx: Context, file: OwnFile) -> Iterator[list[UUID]]:
    """Yield the ids of a file's rows, group by group."""
    query = select(OwnFileRows.ids).where(OwnFileRows.file_id == file.id).order_by(OwnFileRows.place)
    places = -(-(file.total or 0) // IDS_A_PART)
    for first in range(0, places, AT_ONCE):
        some = ctx.session.scalars(query.where(OwnFileRows.place.between(first, first + AT_ONCE - 1))).all()
        yield unpacked(b"".join(bytes(part) for part in some))


def _ready(ctx: Context, file_id: UUID) -> OwnFile:
    file = get_file(ctx, file_id)
    if file.state != FileState.READY or file.ends_at is None or file.ends_at <= ctx.now:
        raise Conflict("This file is not there.", type="not-ready")
    return file


def content(contexts: Contexts, file: OwnFile) -> Generator[bytes, None, None]:
    """Yield the bytes of a file that is ready, part by part. Each is read by itself, so a slow reader holds nothing."""
    opened = KINDS[file.kind].opener(contexts)
    for part in stored_parts(contexts, file.id, Role.BODY):
        yield opened(part)
