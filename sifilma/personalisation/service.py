"""Personalisation requests: draft and edit them, and what differs from other requests when they are submitted and approved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from config.settings import Settings
from sifilma.approvals.four_eyes import EDITABLE
from sifilma.approvals.letters import letter_key, require_past
from sifilma.approvals.service import Operations, Requests, Submissions
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import Card, Unit
from sifilma.cards.service import register_cards
from sifilma.documents.models import Document, DocumentKind
from sifilma.documents.service import Upload, keep_pdf, keep_table
from sifilma.documents.tables.sheets import Sheet
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import Listing
from sifilma.kernel.text import say
from sifilma.oversight.service import require_right
from sifilma.personalisation.batch import Batch, read_batch, read_table, require_fitting
from sifilma.personalisation.models import PERSONALISATION, PersonalisationApproval, PersonalisationRequest
from sifilma.personalisation.models import PersonalisationState as State
from sifilma.personalisation.schemas import PersonalisationIn

KIND = "personalisation_request"
WAY = Submissions(PERSONALISATION, PersonalisationRequest, PersonalisationApproval, "personalisation", "requester_id")


@dataclass(frozen=True)
class Files:
    """The uploaded files of a request. None means that no file came; on an edit the stored one then stays."""

    letter: Upload | None = None
    purchase_order: Upload | None = None
    batch: Upload | None = None


def requests_query(ctx: Context, operation: Operation = Operation.PERSONALISATION_VIEW) -> Select[PersonalisationRequest]:
    """Return a query of the requests the actor may see: those its organisation made, and those made for it as the buyer."""
    owners = (PersonalisationRequest.requester_id, PersonalisationRequest.buyer_id)
    return scoped(select(PersonalisationRequest), ctx.actor, operation, owners)


def list_by_state(ctx: Context, state: str | None) -> Listing[PersonalisationRequest]:
    """Return the requests the actor may see, of one state if it is given."""
    query = requests_query(ctx)
    return (query.where(PersonalisationRequest.state == state) if state else query), PersonalisationRequest.id


def get_request(ctx: Context, request_id: UUID, operation: Operation = Operation.PERSONALISATION_VIEW) -> PersonalisationRequest:
    """Return one request. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(requests_query(ctx, operation).where(PersonalisationRequest.id == request_id)).first()
    if found is None:
        raise NotFound()
    return found


def draft(ctx: Context, settings: Settings, store: FileStore, data: PersonalisationIn, files: Files) -> PersonalisationRequest:
    """Save a draft with its files and return it.

    Raise Invalid that names missing fields and every error of the batch, Forbidden for an API key of an office, and Conflict
    (`letter-known`) if the requester has an open request with the same letter.
    """
    if files.letter is None:
        raise Invalid.field("letter", "The letter (PDF) is missing.")
    table = _table(settings, files)  # may take seconds, so before the database is used
    request = PersonalisationRequest(
        id=uuid7(), requester_id=ctx.actor.organisation_id, buyer_id=ctx.actor.organisation_id, created_at=ctx.now
    )
    _fill(ctx, store, request, data, files, table)
    act = record(ctx, Action.PERSONALISATION_DRAFT, KIND, request.id, quantity=request.quantity, function=request.function)
    PERSONALISATION.born(request, State.DRAFT, act)
    ctx.session.add(request)
    ctx.session.flush()
    return _with_parties(ctx, request)


def edit(
    ctx: Context, settings: Settings, store: FileStore, request_id: UUID, data: PersonalisationIn, files: Files
) -> PersonalisationRequest:
    """Change a draft or a returned request and return it. A file that does not come again stays.

    Raise Conflict in other states, and otherwise as `draft` and `Requests.get_own` do.
    """
    table = _table(settings, files)
    request = REQUESTS.get_own(ctx, request_id)
    if request.state not in EDITABLE:
        raise Conflict("What is submitted does not change.", state=request.state)
    _fill(ctx, store, request, data, files, table)
    record(ctx, Action.PERSONALISATION_EDIT, KIND, request.id, quantity=request.quantity)
    ctx.session.flush()
    return _with_parties(ctx, request)


def _with_parties(ctx: Context, request: PersonalisationRequest) -> PersonalisationRequest:
    ctx.session.refresh(request)
    return request


def _table(settings: Settings, files: Files) -> Sheet | None:
    return read_table(files.batch.data, settings.batch_max_rows) if files.batch else None


def _fill(
    ctx: Context, store: FileStore, request: PersonalisationRequest, data: PersonalisationIn, files: Files, table: Sheet | None
) -> None:
    by_maker = ctx.actor.organisation_kind is OrganisationKind.MANUFACTURER
    _require_shape(ctx, data, files, request, by_maker)
    require_past(ctx.now, data.letter_date)
    # The checks query the database while the request is only half filled in; it must not be written yet.
    with ctx.session.no_autoflush:
        if by_maker:
            _change_buyer(request, _buyer(ctx, data).id, files)
        batch = read_batch(ctx, table, request.buyer_id) if table else None
        request.quantity = _quantity(data, batch, request)
        _require_new_letter(ctx, request, data)
    request.function, request.notes = data.function, data.notes
    request.required_approvals = 2 if data.function == "RW" else 1
    request.letter_number, request.letter_key = data.letter_number, letter_key(data.letter_number)
    request.letter_date, request.subject = data.letter_date, data.subject
    request.purchase_order_number = data.purchase_order_number
    _keep_files(ctx, store, request, files, batch)


def _require_shape(ctx: Context, data: PersonalisationIn, files: Files, request: PersonalisationRequest, by_maker: bool) -> None:
    """Raise Invalid for what is missing, and for what only a manufacturer may give. Raise Forbidden for an API key of an office."""
    if by_maker:
        missing = [
            name
            for name, there in (
                ("on_behalf_of", data.on_behalf_of),
                ("purchase_order_number", data.purchase_order_number),
                ("purchase_order", files.purchase_order or request.purchase_order_document_id),
                ("batch", files.batch or request.batch_document_id),
            )
            if not there
        ]
        if data.function != "R":
            raise Invalid.field("function", "A manufacturer asks for R cards only.")
    elif ctx.actor.api_key_id is not None:
        raise Forbidden("An office's letter is drafted by a person.")
    else:
        extra = {"on_behalf_of": data.on_behalf_of, "purchase_order": files.purchase_order, "batch": files.batch}
        present = [name for name, there in extra.items() if there]
        missing = [] if data.quantity else ["quantity"]
        if present or data.purchase_order_number:
            errors = [{"field": name, "message": say("Only a manufacturer gives this.")} for name in present or ["purchase_order_number"]]
            raise Invalid("An office asks for itself.", errors=errors)
    if missing:
        raise Invalid("Something is missing.", errors=[{"field": name, "message": say("This is needed.")} for name in missing])


def _buyer(ctx: Context, data: PersonalisationIn) -> Organisation:
    buyer = ctx.session.get(Organisation, data.on_behalf_of) if data.on_behalf_of else None
    if buyer is None or buyer.kind in (OrganisationKind.DIRECTORATE, OrganisationKind.MANUFACTURER):
        raise Invalid.field("on_behalf_of", "The buyer must be an institution or an office.")
    return buyer


def _change_buyer(request: PersonalisationRequest, buyer_id: UUID, files: Files) -> None:
    """Set the buyer. Raise Invalid if it changes without a new batch, since the stored one names units of the former buyer."""
    if request.buyer_id != buyer_id and request.batch_document_id and not files.batch:
        raise Invalid.field("batch", "The batch names units of the former buyer. Send that of the new one.")
    request.buyer_id = buyer_id


def _quantity(data: PersonalisationIn, batch: Batch | None, request: PersonalisationRequest) -> int:
    rows = len(batch.rows) if batch else len(request.rows) if request.batch_document_id else 0
    if rows and data.quantity and data.quantity != rows:
        raise Invalid.field(
            "quantity", say("The letter asks for %(count)s cards, the batch has %(rows)s rows.", count=data.quantity, rows=rows)
        )
    return rows or data.quantity or 0


def _require_new_letter(ctx: Context, request: PersonalisationRequest, data: PersonalisationIn) -> None:
    same = select(PersonalisationRequest.id).where(
        PersonalisationRequest.requester_id == request.requester_id,
        PersonalisationRequest.letter_key == letter_key(data.letter_number),
        PersonalisationRequest.letter_date == data.letter_date,
        PersonalisationRequest.id != request.id,
        PersonalisationRequest.state.not_in(("rejected", "cancelled")),
    )
    if ctx.session.scalar(same):
        raise Conflict("There is a request with this letter (number and date) already.", type="letter-known")


def _keep_files(ctx: Context, store: FileStore, request: PersonalisationRequest, files: Files, batch: Batch | None) -> None:
    if files.letter:
        request.letter_document_id = keep_pdf(ctx, store, files.letter, DocumentKind.LETTER, "letter").id
    if files.purchase_order:
        request.purchase_order_document_id = keep_pdf(ctx, store, files.purchase_order, DocumentKind.PURCHASE_ORDER, "purchase_order").id
    if files.batch and batch:
        request.batch_document_id = keep_table(ctx, store, files.batch, batch.media_type).id
        # The old rows are deleted before the new ones are inserted: both may have the same row numbers and units, which are unique.
        request.rows.clear()
        if request in ctx.session:
            ctx.session.flush()
        request.rows.extend(batch.rows)


def content(ctx: Context, request: PersonalisationRequest) -> dict[str, Any]:
    """Return the content that is submitted and approved: every field, the files by their SHA-256 (hex), the batch row by row."""
    ids = [request.letter_document_id, request.purchase_order_document_id, request.batch_document_id]
    documents = {d.id: d.sha256 for d in ctx.session.scalars(select(Document).where(Document.id.in_([i for i in ids if i])))}
    return {
        "id": str(request.id),
        "requester": str(request.requester_id),
        "buyer": str(request.buyer_id),
        "function": request.function,
        "quantity": request.quantity,
        "letter": [request.letter_number, request.letter_date.isoformat(), request.subject],
        "purchase_order_number": request.purchase_order_number,
        "files": [documents[i] if i else None for i in ids],
        "batch": [[row.row_no, str(row.unit_id), row.pcid, row.sam_uid, row.sam_perso] for row in request.rows],
        "notes": request.notes,
    }


def _require_right(ctx: Context, request: PersonalisationRequest) -> None:
    require_right(ctx, request.buyer_id, request.buyer.kind)


REQUESTS = Requests(
    WAY,
    Operations(
        view=Operation.PERSONALISATION_VIEW,
        verify=Operation.PERSONALISATION_VERIFY,
        send_back=Operation.PERSONALISATION_RETURN,
        approve=Operation.PERSONALISATION_APPROVE,
    ),
    get_request,
    content,
    _require_right,
)


def approve(ctx: Context, settings: Settings, request_id: UUID, digest: str, note: str = "") -> PersonalisationRequest:
    """Store the actor's approval of this digest. After the last one needed, apply the batch to the units and register its cards.

    Raise as `Requests.approve` does, and Conflict (`no-agreement`, `batch-changed`) if the buyer has no PKS or the batch does not fit.
    """
    return REQUESTS.approve(ctx, request_id, digest, note, lambda request, _: _register_batch(ctx, settings, request))


def _register_batch(ctx: Context, settings: Settings, request: PersonalisationRequest) -> None:
    """Set PCID and SAM Perso of the batch's units, and register the cards whose UIDs it names. Raise Conflict if the batch does not fit."""
    require_fitting(ctx, request)
    units = {unit.id: unit for unit in ctx.session.scalars(select(Unit).where(Unit.id.in_([row.unit_id for row in request.rows])))}
    for row in request.rows:
        units[row.unit_id].pcid = row.pcid
        units[row.unit_id].sam_perso = row.sam_perso or units[row.unit_id].sam_perso
    supplied = [unit for unit in units.values() if ctx.session.is_modified(unit)]
    if supplied:
        record(ctx, Action.UNIT_CHANGE, KIND, request.id, organisation_id=request.buyer_id, rows=supplied, count=len(supplied))
    cards = [new_card(ctx, settings, request, row.sam_uid, row.unit_id) for row in request.rows if row.sam_uid]
    if cards:
        register_cards(ctx, cards)


def new_card(ctx: Context, settings: Settings, request: PersonalisationRequest, uid: str, unit_id: UUID | None) -> Card:
    """Return a new card of the request. Its holder is the actor's organisation, which is the directorate here."""
    return Card(
        id=uuid7(),
        uid=uid,
        function=request.function,
        holder_id=ctx.actor.organisation_id,
        buyer_id=request.buyer_id,
        personalisation_request_id=request.id,
        unit_id=unit_id,
        key_version=settings.master_version,
        kcv="",
        seq=0,
    )
