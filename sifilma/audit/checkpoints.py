"""Checkpoints: size and root of the log, signed in the HSM. They are stored in the database and in a file beside it.

The file lets `sign` notice a database that was restored to an older state, and a witness lets it notice that of both.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from config.settings import Settings
from hsm.contract import Signer
from sifilma.audit.models import AuditEntry, LogCheckpoint, LogLeaf, PendingEntry
from sifilma.audit.note import Checkpoint, NoteRefused, claim, sign_checkpoint
from sifilma.audit.store import LogBroken, StoredTree, log_size
from sifilma.kernel.context import Context
from sifilma.kernel.db import upsert
from sifilma.kernel.errors import NotFound
from sifilma.kernel.ids import uuid7

LABEL = "audit-sign"
EVERY = timedelta(seconds=45)
"""The least age of the newest checkpoint before the next is signed. With the worker's rounds one is signed at least once a minute."""
SETTLED = timedelta(seconds=30)
"""The age at which a checkpoint is committed and visible everywhere. A reference to a checkpoint by time then never changes."""


def get_newest(session: Session) -> LogCheckpoint:
    """Return the newest checkpoint. Raise NotFound before the first."""
    found = _newest(session)
    if found is None:
        raise NotFound("Nothing has been signed yet: the first checkpoint comes within a minute of the first entry.")
    return found


def newest_moment_query() -> Select[datetime]:
    """Return a query of the moments at which checkpoints were signed, the newest first."""
    return select(LogCheckpoint.at).order_by(LogCheckpoint.size.desc())


def unsigned_since(session: Session) -> datetime | None:
    """Return the moment of the oldest entry that no checkpoint covers, in the log or waiting for it. None if all are signed."""
    last = _newest(session)
    in_log = select(AuditEntry.at).join(LogLeaf, LogLeaf.entry_id == AuditEntry.id).where(LogLeaf.seq == (0 if last is None else last.size))
    waiting = select(AuditEntry.at).join(PendingEntry, PendingEntry.entry_id == AuditEntry.id).order_by(PendingEntry.entry_id).limit(1)
    return session.scalars(in_log).first() or session.scalars(waiting).first()


def printed(session: Session, moment: datetime) -> dict[str, str] | None:
    """Return what a document of this moment states about the log: the newest checkpoint that was settled at this moment.

    The answer never changes, so that the document can be made again with the same bytes. Whoever holds the paper can check the log
    against it. Return None for a document from before the first checkpoint.
    """
    query = select(LogCheckpoint).where(LogCheckpoint.at <= moment - SETTLED).order_by(LogCheckpoint.at.desc(), LogCheckpoint.size.desc())
    found = session.scalars(query.limit(1)).first()
    return None if found is None else {"size": f"{found.size:,}".replace(",", "."), "root": base64.b64encode(found.root).decode()}


def sign(
    ctx: Context, settings: Settings, signer: Signer, *, now: bool = False,
    name: str = "", witnessed: Callable[[], Checkpoint | None] = lambda: None,
) -> int | None:  # fmt: skip
    """Sign the log's present state under `name` (else that of the settings) and return its size, or None if nothing was signed.

    A signature is due if entries were added and the last checkpoint is EVERY old (or `now`), or dated later than the present moment. The
    steps are: read, sign without a transaction, write. `witnessed` returns the newest checkpoint that a witness knows; where a signature
    is due it is asked, without a transaction, and what it raises is raised. Raise LogBroken, without signing, if the log does not continue
    what was signed last or witnessed, and ClockNotTrusted. Raise as `Signer.sign` does; nothing is then half done, and the next call signs.
    """
    ctx.uow.begin_read()
    if not _is_due(log_size(ctx.session), _newest(ctx.session), ctx.now, now):
        return None
    ctx.require_trusted_clock()
    ctx.uow.end_read()
    elsewhere = witnessed()
    ctx.uow.begin_read()
    size, last, tree, name = log_size(ctx.session), _newest(ctx.session), StoredTree(ctx.session), name or settings.log_name
    # All are compared: a restored database can be older than the file, a new node has no file yet, and both can be put back together.
    for known in (_as_checkpoint(last), kept(settings), elsewhere):
        _require_continuation(tree, size, known, name)
    made = Checkpoint(name, size, tree.root(size))
    ctx.uow.end_read()
    note = sign_checkpoint(made, signer.public_key(LABEL), lambda digest: signer.sign(LABEL, digest))
    ctx.uow.begin_write()
    _store(ctx, made, note)
    _keep(settings, note)
    return size


def _is_due(size: int, last: LogCheckpoint | None, moment: datetime, at_once: bool) -> bool:
    if size == 0 or last is None:
        return size > 0
    return last.size != size and (at_once or not timedelta() <= moment - last.at < EVERY)


def kept(settings: Settings) -> Checkpoint | None:
    """Return the checkpoint in the file beside the database, or None if there is no readable one."""
    try:
        return claim(_path(settings).read_text())
    except (OSError, UnicodeDecodeError, NoteRefused):
        return None


def kept_note(settings: Settings) -> list[str]:
    """Return the note in the file as `verify` takes it: a list of one note, or an empty list."""
    return [_path(settings).read_text()] if kept(settings) is not None else []


def _newest(session: Session) -> LogCheckpoint | None:
    return session.scalars(select(LogCheckpoint).order_by(LogCheckpoint.size.desc()).limit(1)).first()


def _as_checkpoint(row: LogCheckpoint | None) -> Checkpoint | None:
    return None if row is None else Checkpoint(row.origin, row.size, bytes(row.root))


def _require_continuation(tree: StoredTree, size: int, known: Checkpoint | None, name: str) -> None:
    """Raise LogBroken unless the log begins with what was signed before. A checkpoint of another origin belongs to another log."""
    if known is None or known.origin != name or known.size == 0:
        return
    if known.size > size:
        raise LogBroken(f"The log ends after {size} entries, but a checkpoint over {known.size} was signed: its tail was cut.")
    if tree.root(known.size) != known.root:
        raise LogBroken(f"The log is not the one whose first {known.size} entries were signed.")


def _store(ctx: Context, made: Checkpoint, note: str) -> None:
    """Store a checkpoint. If two processes sign at the same time over the same entries, the first is kept."""
    values = {"size": made.size, "root": made.root, "origin": made.origin, "note": note, "at": ctx.trusted_now}
    ctx.session.execute(upsert(ctx.session, LogCheckpoint).values(values).on_conflict_do_nothing(index_elements=["size"]))


def _path(settings: Settings) -> Path:
    return settings.trust / "log-checkpoint.txt"


def _keep(settings: Settings, note: str) -> None:
    """Write the file before the commit of the checkpoint. The leaves that it covers are committed already."""
    path = _path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own per process, then a rename: readers never see a partial file.
    temporary = path.with_name(f".{path.name}.{uuid7().hex}")
    temporary.write_text(note)
    temporary.replace(path)
