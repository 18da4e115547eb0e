"""Keep what somebody typed and the files that came with it, for that account alone, and give it back. Nothing here is an act.

What is kept is sealed under a key of the settings, since a form may name PCIDs, and its owner may be signed out when it is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, bindparam, delete, select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.kept_forms.models import KEEP, KeptFile, KeptForm, SentForm
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed
from sifilma.kernel.errors import Conflict, NotFound, TooLarge, Unavailable
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.sealing import key, open_sealed, seal
from sifilma.kernel.statements.prepared import Prepared

Fields = list[tuple[str, str]]
MOST_FORMS = 20
MOST_FILES = 40
MOST_BYTES = 200 * 1024 * 1024
LARGEST = 1024 * 1024
"""At most so many forms, files and bytes of files of an account, the oldest go first; and bytes of the fields of one form."""
_FORM, _FILE, _SENT = "kept form", "kept file", "sent form"


@dataclass(frozen=True)
class Page:
    """The page that shows a form (path and query), and the path to which the form is sent."""

    path: str
    query: str
    action: str


@dataclass(frozen=True)
class File:
    """A file as it came with a form: its name for display, and its bytes."""

    filename: str
    data: bytes


def save_form(ctx: Context, settings: Settings, page: Page, fields: Fields, saved: tuple[UUID, int] | None) -> tuple[UUID, int]:
    """Save the fields of a form of the actor, and return its id and revision. `saved` is what the same form was saved as before.

    Raise Conflict (`saved-elsewhere`) if another tab has saved it since, and TooLarge.
    """
    user_id = _owner(ctx)
    if saved is None or (found := _form_of(ctx.session, user_id, saved[0])) is None:
        return add_form(ctx.session, settings, user_id, page, fields, ctx.now)
    taken = (
        update(KeptForm)
        .where(KeptForm.id == found.id, KeptForm.revision == saved[1])
        .values(sealed=_sealed(settings, found.id, fields), revision=saved[1] + 1, saved_at=ctx.now)
        .execution_options(synchronize_session=False)
    )
    if changed(ctx.session.execute(taken)) == 0:
        raise Conflict("This form was saved in another tab since.", type="saved-elsewhere")
    return found.id, saved[1] + 1


def add_form(session: Session, settings: Settings, user_id: UUID, page: Page, fields: Fields, now: datetime) -> tuple[UUID, int]:
    """Keep a form of an account, which need not be signed in. Return its id and revision. Raise TooLarge."""
    made = KeptForm(id=uuid4(), user_id=user_id, path=page.path, query=page.query, action=page.action, sealed=b"", revision=1, saved_at=now)
    made.sealed = _sealed(settings, made.id, fields)
    session.add(made)
    session.flush()
    oldest = select(KeptForm.id).where(KeptForm.user_id == user_id).order_by(KeptForm.saved_at.desc(), KeptForm.id).offset(MOST_FORMS)
    too_many = list(session.scalars(oldest))
    if too_many:
        session.execute(delete(KeptForm).where(KeptForm.id.in_(too_many)).execution_options(synchronize_session=False))
    return made.id, 1


def _sealed(settings: Settings, form_id: UUID, fields: Fields) -> bytes:
    plain = json.dumps(fields).encode()
    if len(plain) > LARGEST:
        raise TooLarge("What was typed is too much to be kept.")
    return seal(settings, _FORM, form_id, plain)


def find_form(ctx: Context, settings: Settings, form_id: UUID) -> tuple[KeptForm, Fields] | None:
    """Return a form of the actor with its fields, or None: another's, none, or sealed under a key that is gone."""
    found = _form_of(ctx.session, ctx.actor.user_id, form_id)
    if found is None or found.saved_at < ctx.now - KEEP:
        return None
    try:
        return found, [(str(name), str(value)) for name, value in json.loads(open_sealed(settings, _FORM, found.id, found.sealed))]
    except Unavailable:
        return None


@dataclass(frozen=True)
class Left:
    """A form that was left unfinished: where, with which query, and when it was last saved."""

    id: UUID
    path: str
    query: str
    saved_at: datetime


_AT = Prepared(
    select(KeptForm.id, KeptForm.path, KeptForm.query, KeptForm.saved_at)
    .where(KeptForm.user_id == bindparam("user"), KeptForm.path == bindparam("path"), KeptForm.saved_at >= bindparam("since"))
    .order_by(KeptForm.saved_at.desc())
)


def forms_at(ctx: Context, path: str) -> Sequence[Left]:
    """Return the forms that the actor left at a page, newest first, without what they hold."""
    rows = _AT.read(ctx.session, {"user": ctx.actor.user_id, "path": path, "since": ctx.now - KEEP})
    return [Left(*row) for row in rows]


def replace_form(session: Session, user_id: UUID, form_id: UUID) -> None:
    """Delete a form of an account that is about to be kept anew."""
    mine = (KeptForm.id == form_id, KeptForm.user_id == user_id)
    session.execute(delete(KeptForm).where(*mine).execution_options(synchronize_session=False))


def drop_form(ctx: Context, form_id: UUID) -> str:
    """Delete a form of the actor and return the path of its page. Raise NotFound."""
    found = _form_of(ctx.session, ctx.actor.user_id, form_id)
    if found is None:
        raise NotFound()
    ctx.session.delete(found)
    return found.path


def finish_form(ctx: Context, saved: tuple[UUID, int], action: str) -> None:
    """Delete the form that the actor has just sent with success, unless another tab has saved it since."""
    sent = (KeptForm.id == saved[0], KeptForm.revision == saved[1], KeptForm.action == action, KeptForm.user_id == ctx.actor.user_id)
    ctx.session.execute(delete(KeptForm).where(*sent).execution_options(synchronize_session=False))


def _form_of(session: Session, user_id: UUID | None, form_id: UUID) -> KeptForm | None:
    return session.scalars(select(KeptForm).where(KeptForm.id == form_id, KeptForm.user_id == user_id)).first()


def _owner(ctx: Context) -> UUID:
    if ctx.actor.user_id is None:
        raise NotFound()
    return ctx.actor.user_id


def add_files(
    session: Session, settings: Settings, store: FileStore, user_id: UUID, files: Iterable[File], now: datetime
) -> list[KeptFile]:
    """Keep files of an account, sealed, as they came: nothing reads them before they are sent again. Raise Unavailable."""
    made = [_add_file(session, settings, store, user_id, file, now) for file in files]
    session.flush()
    newest = session.scalars(select(KeptFile).where(KeptFile.user_id == user_id).order_by(KeptFile.kept_at.desc(), KeptFile.id)).all()
    total, too_many = 0, []
    for number, one in enumerate(newest):
        total += one.size
        if (number >= MOST_FILES or total > MOST_BYTES) and one not in made:
            too_many.append(one)
    _remove(session, store, too_many)
    return made


def _add_file(session: Session, settings: Settings, store: FileStore, user_id: UUID, file: File, now: datetime) -> KeptFile:
    made = KeptFile(id=uuid4(), user_id=user_id, filename=file.filename[-200:], size=len(file.data), kept_at=now)
    made.sha256 = store.put(session, seal(settings, _FILE, made.id, file.data))
    session.add(made)
    return made


def list_files(ctx: Context, ids: Sequence[UUID]) -> Sequence[KeptFile]:
    """Return those of the files that are the actor's, in the order in which they were kept."""
    mine = (KeptFile.id.in_(ids), KeptFile.user_id == ctx.actor.user_id, KeptFile.kept_at >= ctx.now - KEEP)
    return ctx.session.scalars(select(KeptFile).where(*mine).order_by(KeptFile.kept_at, KeptFile.id)).all() if ids else []


def open_files(ctx: Context, settings: Settings, store: FileStore, ids: Sequence[UUID]) -> list[File]:
    """Return those of the files that are the actor's and can be opened."""
    opened = []
    for one in list_files(ctx, ids):
        try:
            opened.append(File(one.filename, open_sealed(settings, _FILE, one.id, store.get(ctx.session, one.sha256, cached=False))))
        except Unavailable:
            continue  # the form then says that the file is missing
    return opened


def drop_files(session: Session, store: FileStore, user_id: UUID, ids: Sequence[UUID]) -> None:
    """Delete files of an account, with their bytes."""
    _remove(session, store, session.scalars(select(KeptFile).where(KeptFile.id.in_(ids), KeptFile.user_id == user_id)).all())


def forget_files(ctx: Context, store: FileStore, old: ColumnElement[bool], most: int) -> int:
    """Delete at most so many of the files that meet a condition, with their bytes. Return their number."""
    found = ctx.session.scalars(select(KeptFile).where(old).limit(most)).all()
    _remove(ctx.session, store, found)
    return len(found)


def _remove(session: Session, store: FileStore, files: Sequence[KeptFile]) -> None:
    """Delete rows and bytes, which no other row names."""
    for one in files:
        store.remove(session, one.sha256)
        session.delete(one)
    session.flush()


def mac_of(settings: Settings, content: bytes) -> str:
    """Return the MAC (hex) of what a form says. A plain digest of it would let whoever reads the table guess passwords and tokens."""
    return hmac.new(key(settings.secret("secret_key"), _SENT), content, hashlib.sha256).hexdigest()


def find_outcome(ctx: Context, form_id: UUID, mac: str) -> str | None:
    """Return the page to which the sender of this very form was led, or None if it was not accepted before."""
    same = (SentForm.id == form_id, SentForm.mac == mac, SentForm.user_id == ctx.actor.user_id)
    return ctx.session.scalar(select(SentForm.outcome).where(*same))


def note_sent(ctx: Context, form_id: UUID, mac: str, outcome: str) -> None:
    """Note that a form was accepted, in the transaction of its act. A second one at the same time fails with IntegrityError."""
    ctx.session.add(SentForm(id=form_id, mac=mac, user_id=_owner(ctx), outcome=outcome, sent_at=ctx.now))
    ctx.session.flush()
