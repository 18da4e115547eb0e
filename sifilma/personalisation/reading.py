"""Which requests somebody looks for, which of them wait for them, and the files behind one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, false, func, or_

from sifilma.accounts.files import HandedOut, hand_out
from sifilma.accounts.models import Organisation
from sifilma.accounts.permissions import Operation, grants
from sifilma.documents.store import FileStore
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.four_eyes import EDITABLE
from sifilma.kernel.letters import letter_key
from sifilma.kernel.paging import Listing
from sifilma.personalisation.models import PersonalisationApproval, PersonalisationRequest
from sifilma.personalisation.models import PersonalisationState as State
from sifilma.personalisation.service import KIND, get, requests_query

FILES = {"surat": "letter_document_id", "pesanan": "purchase_order_document_id", "batch": "batch_document_id"}
R = PersonalisationRequest


@dataclass(frozen=True)
class Wanted:
    """Which requests. `text` is a part of the letter number, the requester or the buyer; `waiting`: only what the actor can act on;
    `days`: only what was submitted (or, as yet, drafted) at least so long ago.
    """

    state: str = ""
    text: str = ""
    waiting: bool = False
    function: str = ""
    days: int = 0


def listing(ctx: Context, wanted: Wanted) -> Listing[PersonalisationRequest]:
    """The requests the actor may see, narrowed by what is wanted."""
    query = requests_query(ctx)
    if wanted.state:
        query = query.where(R.state == wanted.state)
    if wanted.function:
        query = query.where(R.function == wanted.function)
    if wanted.days:
        query = query.where(func.coalesce(R.submitted_at, R.created_at) <= ctx.now - timedelta(days=wanted.days))
    if wanted.text:
        named = Organisation.name.icontains(wanted.text, autoescape=True)
        number = R.letter_key.contains(letter_key(wanted.text), autoescape=True)
        query = query.where(or_(number, R.requester.has(named), R.buyer.has(named)))
    return (query.where(waiting(ctx)) if wanted.waiting else query), R.id


def waiting(ctx: Context) -> ColumnElement[bool]:
    """What the actor can do something about now: approve, verify, personalise, or submit."""
    return or_(false(), *_tasks(ctx))


def _tasks(ctx: Context) -> Iterator[ColumnElement[bool]]:
    actor = ctx.actor
    if grants(actor, Operation.PERSONALISATION_APPROVE):
        given = PersonalisationApproval
        mine = exists().where(given.personalisation_request_id == R.id, given.digest == R.digest, given.person_id == actor.person_id)
        yield and_(R.state == State.SUBMITTED, R.submitted_by_person.is_distinct_from(actor.person_id), ~mine)
    if grants(actor, Operation.PERSONALISATION_VERIFY):
        yield and_(R.state == State.SUBMITTED, R.verified_at.is_(None))
    if grants(actor, Operation.PERSONALISE):
        yield R.state.in_((State.APPROVED, State.PERSONALISING))
    if grants(actor, Operation.PERSONALISATION_SUBMIT):
        yield and_(R.state.in_(EDITABLE), R.requester_id == actor.organisation_id)


def open_file(ctx: Context, store: FileStore, request_id: UUID, name: str) -> HandedOut:
    """One of the files of a request the actor may see, recorded; NotFound where there is none."""
    request = get(ctx, request_id)
    if name not in FILES:
        raise NotFound()
    return hand_out(ctx, store, getattr(request, FILES[name]), KIND, request.id, request.requester_id)
