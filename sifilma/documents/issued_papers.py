"""Papers that this system writes: kept as issued, handed out, and looked up by anybody who has one.

A paper is looked up by its file (SHA-256) or by the content of its QR code: an id and the SHA-256 of what it states. A number alone leads
to nothing. What is told stands on the paper, and what became of it since.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, select
from sqlalchemy.orm import Session

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.documents.models import Document, DocumentKind, IssuedPaper
from sifilma.documents.papers.layout import Unprintable, named
from sifilma.documents.responses import PDF
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid, SifilmaError
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.text import Text, say, visible


@dataclass(frozen=True)
class Made:
    """A paper that was just made: which template made it (`bast/2`), the digest of what it states, the PDF and its name."""

    template: str
    digest: str
    pdf: bytes
    filename: str


@dataclass(frozen=True)
class Paper:
    """What is recorded of a paper and may be told to whoever holds it. It names no person.

    `parties` are pairs of role and organisation, `cards` the UIDs. `fate` says in a sentence what counts of the paper today; `counts` is
    False if it was cancelled or refused. `moved_at` is when that happened.
    """

    digest: str
    number: str
    at: datetime
    state: str
    parties: Sequence[tuple[object, str]]
    cards: Sequence[str]
    fate: object
    counts: bool
    moved_at: datetime


@dataclass(frozen=True)
class Kind:
    """A kind of paper: its name, the kind of the object it is about, and the function that finds one."""

    name: object
    object_kind: str
    find: Callable[[Session, UUID], Paper | None]


class Verdict(StrEnum):
    """The result for a paper. DIFFERENT: its digest is not the recorded one, so it is forged or was changed."""

    KNOWN = "known"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class LookedUp:
    """The result of a look-up. `paper` is set only if the verdict is KNOWN. `by_file`: the very file was compared, not a QR code."""

    kind: Kind
    verdict: Verdict
    paper: Paper | None = None
    by_file: bool = False


Contexts = Callable[[], AbstractContextManager[Context]]
AT_ONCE, MOST_SECONDS = 20, 60.0
"""Papers of a kind that one round of the worker stores later, and the seconds after which it begins no further one."""
_kinds: dict[str, Kind] = {}


# --- kept as issued ----------------------------------------------------------------------------------------------------


def keep(ctx: Context, store: FileStore, object_kind: str, object_id: UUID, made: Made, organisation_id: UUID) -> str:
    """Store a paper and its record. Return the SHA-256 (hex) of the file. `organisation_id` is its issuer."""
    document = Document(
        kind=str(DocumentKind.PAPER),
        sha256=store.put(ctx.session, made.pdf),
        size=len(made.pdf),
        media_type=PDF,
        filename=made.filename,
        organisation_id=organisation_id,
        uploaded_by=ctx.actor.user_id,
        created_at=ctx.now,
    )
    ctx.session.add(document)
    ctx.session.flush()
    ctx.session.add(
        IssuedPaper(object_kind=object_kind, object_id=object_id, document_id=document.id, template=made.template, digest=made.digest)
    )
    ctx.session.flush()
    return document.sha256


def find_paper(session: Session, object_kind: str, object_id: UUID) -> IssuedPaper | None:
    """Return the record of the paper of an object, or None if its paper is not stored yet."""
    return session.get(IssuedPaper, (object_kind, object_id))


def lacking_query(object_kind: str, object_id: Any) -> Select[UUID]:
    """Return a query of the oldest objects whose paper is not stored, given the column of their ids. The caller may restrict it."""
    without = ~exists().where(IssuedPaper.object_kind == object_kind, IssuedPaper.object_id == object_id)
    return select(object_id).where(without).order_by(object_id).limit(AT_ONCE)


def store_lacking(
    contexts: Contexts, store: FileStore, object_kind: str, lacking: Select[UUID], make: Callable[[Context, UUID], tuple[UUID, Made]]
) -> int:
    """Make and store the papers of these objects. Return their number. `make` gives the issuer's id and the paper.

    A long paper takes minutes: it is made in a reading transaction, and stored in one of its own. What cannot be made, because a file is
    away, does not keep the others: its fault is raised at the end.
    """
    with contexts() as ctx:
        ctx.uow.begin_read()
        waiting = list(ctx.session.scalars(lacking))
    faults: list[SifilmaError] = []
    stored, until = 0, time.monotonic() + MOST_SECONDS
    for object_id in waiting:
        if time.monotonic() >= until:  # the next round is soon
            break
        try:
            _store_later(contexts, store, object_kind, object_id, make)
            stored += 1
        except SifilmaError as fault:
            faults.append(fault)
    if faults:
        raise faults[0]
    return stored


def _store_later(
    contexts: Contexts, store: FileStore, object_kind: str, object_id: UUID, make: Callable[[Context, UUID], tuple[UUID, Made]]
) -> None:
    with contexts() as ctx:
        ctx.uow.begin_read()
        issuer_id, made = make(ctx, object_id)
        ctx.uow.begin_write()
        if find_paper(ctx.session, object_kind, object_id) is not None:  # another worker was faster
            return
        sha256 = keep(ctx, store, object_kind, object_id, made, issuer_id)
        record(ctx, Action.PAPER_STORE, object_kind, object_id, organisation_id=issuer_id, paper=sha256, template=made.template)


def template_of(name: str, version: int) -> str:
    """Return the name of a template with its version, as it is recorded: `bast/2`."""
    return f"{name}/{version}"


@contextmanager
def printable(typed: Mapping[str, str]) -> Iterator[None]:
    """Turn Unprintable into Invalid that names the signs, at the fields in which they were typed, and else for the paper as a whole."""
    try:
        yield
    except Unprintable as fault:
        errors = []
        for field, text in typed.items():
            if found := "".join(sign for sign in fault.signs if sign in visible(text)):
                errors.append({"field": field, "message": _cannot(found)})
        raise Invalid(_cannot(fault.signs), errors=errors, type="unprintable") from fault


def _cannot(signs: str) -> Text:
    return say("No font for papers has %(signs)s. Write it in another way.", signs=", ".join(map(named, signs[:10])))


# --- looked up -----------------------------------------------------------------------------------------------------------


def register(parameter: str, kind: Kind) -> None:
    """Register a kind of paper under the query parameter in its QR codes."""
    _kinds[parameter] = kind


def look_up(session: Session, query: Mapping[str, str]) -> LookedUp | None:
    """Return what is recorded of the paper that a query names, or None if it names none."""
    parameter = next((name for name in _kinds if name in query), None)
    if parameter is None:
        return None
    kind, paper_id = _kinds[parameter], _id(query[parameter])
    paper = kind.find(session, paper_id) if paper_id else None
    if paper is None:
        return LookedUp(kind, Verdict.UNKNOWN)
    same = hmac.compare_digest(paper.digest.encode(), query.get("sha256", "").strip().lower().encode())
    return LookedUp(kind, Verdict.KNOWN, paper) if same else LookedUp(kind, Verdict.DIFFERENT)


def look_up_file(session: Session, sha256: str) -> LookedUp | None:
    """Return what is recorded of the paper that is this very file, or None if no paper is."""
    query = select(IssuedPaper).join(Document, Document.id == IssuedPaper.document_id).where(Document.sha256 == sha256)
    found = session.scalars(query.limit(1)).first()
    if found is None:
        return None
    kind = next(kind for kind in _kinds.values() if kind.object_kind == found.object_kind)
    paper = kind.find(session, found.object_id)
    return LookedUp(kind, Verdict.KNOWN, paper, by_file=True) if paper else None


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
