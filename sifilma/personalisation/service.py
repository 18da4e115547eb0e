"""Personalisation requests: draft and edit them, and what differs from other requests when they are submitted and approved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Select, select

from config.settings import Settings
from sifilma.approvals.four_eyes import EDITABLE
from sifilma.approvals.letters import LETTER_KNOWN, letter_faults, letter_key, refuse_letter
from sifilma.approvals.service import Operations, Requests, Submissions
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import Card, Unit
from sifilma.cards.service import register_cards
from sifilma.documents.models import Document, DocumentKind
from sifilma.documents.service import Upload, keep_pdf, keep_table
from sifilma.documents.tables.sheets import Measured, Sheet
from sifilma.documents.uploads import inspect_pdf
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.db import among
from sifilma.kernel.errors import MISSING, Conflict, Faults, Forbidden, Invalid, NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say
from sifilma.oversight.service import require_right
from sifilma.personalisation.batch import Batch, read_batch, read_table, require_fitting, saved_rows
from sifilma.personalisation.intake import service as intake
from sifilma.personalisation.models import PERSONALISATION, BatchRow, PersonalisationApproval, PersonalisationRequest, ReplacedCard
from sifilma.personalisation.models import PersonalisationState as State
from sifilma.personalisation.rules import replaced_cards
from sifilma.personalisation.schemas import PersonalisationIn

KIND = "personalisation_request"
Table: TypeAlias = Sheet | Measured | None
"""A batch: its rows, or what is known of one whose rows are many, or that none came."""
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
    table = _table(settings, files)  # may take seconds, so before the database is used
    request = _blank(ctx)
    _fill(ctx, store, request, data, files, table)
    act = record(ctx, Action.PERSONALISATION_DRAFT, KIND, request.id, quantity=request.quantity, function=request.function)
    PERSONALISATION.born(request, State.DRAFT, act)
    ctx.session.add(request)
    ctx.session.flush()
    _begin_intake(ctx, request, files, table)
    return _with_parties(ctx, request)


def _blank(ctx: Context) -> PersonalisationRequest:
    own = ctx.actor.organisation_id
    return PersonalisationRequest(id=uuid7(), requester_id=own, buyer_id=own, created_at=ctx.now)


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
    if _is_sent_again(ctx, request, data, files, table):
        files, table = replace(files, batch=None), None
    if files.batch:
        intake.withdraw(ctx, request, intake.REPLACED)
    _fill(ctx, store, request, data, files, table)
    record(ctx, Action.PERSONALISATION_EDIT, KIND, request.id, quantity=request.quantity)
    ctx.session.flush()
    _begin_intake(ctx, request, files, table)
    return _with_parties(ctx, request)


def _is_sent_again(ctx: Context, request: PersonalisationRequest, data: PersonalisationIn, files: Files, table: Table) -> bool:
    """Return whether the batch is the one that is being taken in already, for the same buyer."""
    is_same = isinstance(table, Measured) and request.buyer_id == data.on_behalf_of and files.batch is not None
    return is_same and files.batch is not None and intake.is_taken(ctx, request, files.batch)


def _begin_intake(ctx: Context, request: PersonalisationRequest, files: Files, table: Table) -> None:
    """Have the worker read a batch of many rows."""
    if isinstance(table, Measured) and files.batch:
        intake.begin(ctx, request, files.batch, table)


def _with_parties(ctx: Context, request: PersonalisationRequest) -> PersonalisationRequest:
    ctx.session.refresh(request)
    return request


def _table(settings: Settings, files: Files) -> Table:
    return read_table(files.batch.data, settings.rows_at_once) if files.batch else None


def faults(
    ctx: Context, settings: Settings, given: Mapping[str, Any], files: Files, request: PersonalisationRequest | None = None
) -> Faults:
    """Return what is wrong with a request of which not all fields could be read: with those that could, and with its files.

    `request` is the one that is edited.
    """
    table, found = None, Faults()
    with found.taking():
        table = _table(settings, files)
    checked = _check(ctx, given, files, table, request or _blank(ctx))
    found += checked.faults
    if checked.is_letter_known:
        found.add("letter_number", LETTER_KNOWN)
    for field, file in (("letter", files.letter), ("purchase_order", files.purchase_order)):
        with found.taking():
            if file:
                inspect_pdf(file.data, field)
    return found


@dataclass(frozen=True)
class _Checked:
    """What the values of a request come to. `buyer_id` is None if no buyer could be read."""

    faults: Faults
    buyer_id: UUID | None
    batch: Batch | None
    replaced: list[Card]
    quantity: int
    is_letter_known: bool


def _check(ctx: Context, given: Mapping[str, Any], files: Files, table: Table, request: PersonalisationRequest) -> _Checked:
    """Check the values that are given, all of them, against each other and against what is stored. Nothing changes."""
    by_maker = ctx.actor.organisation_kind is OrganisationKind.MANUFACTURER
    found = _shape_faults(ctx, given, files, request, by_maker)
    found += letter_faults(ctx.now, given)
    batch, buyer_id = None, None if by_maker else request.buyer_id
    # The checks query the database while the request is only half filled in; it must not be written yet.
    with ctx.session.no_autoflush:
        with found.taking():
            if by_maker:
                buyer_id = _buyer(ctx, given, files, request)
        with found.taking():
            batch = read_batch(ctx, table, buyer_id) if isinstance(table, Sheet) and buyer_id else None
        replaced = replaced_cards(ctx, given, buyer_id, request.id, found) if buyer_id else []
        quantity = given.get("quantity") or len(given.get("replaces") or [])
        rows = _rows_of(request, batch or table)
        if rows and quantity and quantity != rows:
            told = say("The letter asks for %(count)s cards, the batch has %(rows)s rows.", count=quantity, rows=rows)
            found.add("quantity", told)
        if given.get("replaces") and quantity != len(given["replaces"]):
            told = say("The letter asks for %(count)s cards and replaces %(cards)s.", count=quantity, cards=len(given["replaces"]))
            found.add("quantity", told)
        known = _is_letter_known(ctx, request, given)
    return _Checked(found, buyer_id, batch, replaced, rows or quantity or 0, known)


def _rows_of(request: PersonalisationRequest, batch: Batch | Table) -> int:
    """Return how many rows the batch has that came, or else the stored one."""
    if isinstance(batch, Measured):
        return batch.rows
    return len(batch.rows) if isinstance(batch, Batch) else request.quantity if request.batch_document_id else 0


def _fill(ctx: Context, store: FileStore, request: PersonalisationRequest, data: PersonalisationIn, files: Files, table: Table) -> None:
    checked = _check(ctx, dict(data), files, table, request)
    found = checked.faults
    with ctx.session.no_autoflush:
        kept = _kept_pdfs(ctx, store, files, found)
    refuse_letter(found, checked.is_letter_known)
    for column, document_id in kept.items():
        setattr(request, column, document_id)
    request.buyer_id = checked.buyer_id or request.buyer_id
    request.quantity = checked.quantity
    request.function, request.notes = data.function, data.notes
    request.required_approvals = 2 if data.function == "RW" else 1
    request.letter_number, request.letter_key = data.letter_number, letter_key(data.letter_number)
    request.letter_date, request.subject = data.letter_date, data.subject
    request.purchase_order_number = data.purchase_order_number
    _keep_replaced(ctx, request, checked.replaced)
    came = table if isinstance(table, Measured) else checked.batch
    if files.batch and came:
        _keep_batch(ctx, store, request, files.batch, came)


def _keep_replaced(ctx: Context, request: PersonalisationRequest, cards: list[Card]) -> None:
    if [row.card_id for row in request.replaced] == [card.id for card in cards]:
        return
    # The old rows are deleted before the new ones are inserted, as those of a batch are.
    request.replaced.clear()
    if request in ctx.session:
        ctx.session.flush()
    request.replaced.extend(ReplacedCard(card_id=card.id, position=position) for position, card in enumerate(cards, start=1))


def _shape_faults(ctx: Context, given: Mapping[str, Any], files: Files, request: PersonalisationRequest, by_maker: bool) -> Faults:
    """Return what is missing, and what only a manufacturer may give. Raise Forbidden for an API key of an office."""
    if not by_maker and ctx.actor.api_key_id is not None:
        raise Forbidden("An office's letter is drafted by a person.")
    found = Faults()
    needed: dict[str, Any] = {"letter": files.letter or request.letter_document_id}
    replaces = bool(given.get("replaces"))
    if by_maker and replaces:
        needed["on_behalf_of"] = given.get("on_behalf_of", True)
    elif by_maker:
        needed |= {
            "on_behalf_of": given.get("on_behalf_of", True),
            "purchase_order_number": given.get("purchase_order_number", True),
            "purchase_order": files.purchase_order or request.purchase_order_document_id,
            "batch": files.batch or request.batch_document_id,
        }
    if by_maker and given.get("function", "R") != "R":
        found.add("function", say("A manufacturer asks for R cards only."))
    if not by_maker:
        needed["quantity"] = given.get("quantity", True) or replaces
        if ctx.actor.organisation_kind is OrganisationKind.INSTITUTION and not given.get("replaces", True):
            found.add("replaces", say("An institution asks for cards that replace others. Its first cards come by their manufacturer."))
        besides = {"on_behalf_of": given.get("on_behalf_of"), "purchase_order": files.purchase_order, "batch": files.batch}
        besides["purchase_order_number"] = given.get("purchase_order_number")
        for name in [name for name, there in besides.items() if there]:
            found.add(name, say("Only a manufacturer gives this."))
    for name in [name for name, there in needed.items() if not there]:
        found.add(name, say("The letter (PDF) is missing.") if name == "letter" else MISSING)
    return found


def _buyer(ctx: Context, given: Mapping[str, Any], files: Files, request: PersonalisationRequest) -> UUID | None:
    """Return the buyer's id, None if it is not given.

    Raise Invalid for an organisation that buys nothing, and if the buyer changes without a new batch: the stored one names units of the
    former buyer.
    """
    wanted = given.get("on_behalf_of")
    if wanted is None:
        return None
    buyer = ctx.session.get(Organisation, wanted)
    if buyer is None or buyer.kind in (OrganisationKind.DIRECTORATE, OrganisationKind.MANUFACTURER):
        raise Invalid.field("on_behalf_of", "The buyer must be an institution or an office.")
    if request.buyer_id != buyer.id and request.batch_document_id and not files.batch:
        raise Invalid.field("batch", "The batch names units of the former buyer. Send that of the new one.")
    return buyer.id


def _is_letter_known(ctx: Context, request: PersonalisationRequest, given: Mapping[str, Any]) -> bool:
    number, day = given.get("letter_number"), given.get("letter_date")
    if not number or day is None:
        return False
    same = select(PersonalisationRequest.id).where(
        PersonalisationRequest.requester_id == request.requester_id,
        PersonalisationRequest.letter_key == letter_key(number),
        PersonalisationRequest.letter_date == day,
        PersonalisationRequest.id != request.id,
        PersonalisationRequest.state.not_in(("rejected", "cancelled")),
    )
    return ctx.session.scalar(same) is not None


def _kept_pdfs(ctx: Context, store: FileStore, files: Files, found: Faults) -> dict[str, UUID]:
    """Store the PDFs that came, and return their ids by the columns that hold them."""
    kept: dict[str, UUID] = {}
    with found.taking():
        if files.letter:
            kept["letter_document_id"] = keep_pdf(ctx, store, files.letter, DocumentKind.LETTER, "letter").id
    with found.taking():
        if files.purchase_order:
            order = keep_pdf(ctx, store, files.purchase_order, DocumentKind.PURCHASE_ORDER, "purchase_order")
            kept["purchase_order_document_id"] = order.id
    return kept


def _keep_batch(ctx: Context, store: FileStore, request: PersonalisationRequest, file: Upload, batch: Batch | Measured) -> None:
    request.batch_document_id = keep_table(ctx, store, file, batch.media_type).id
    # The old rows are deleted before the new ones are inserted: both may have the same row numbers and units, which are unique.
    if request in ctx.session:
        ctx.session.flush()
        intake.clear(ctx, request.id)
        ctx.session.expire(request, ["rows"])
    if isinstance(batch, Batch):
        request.rows.extend(BatchRow(**row) for row in batch.rows)


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
        "batch": [
            [row.row_no, str(row.unit_id), row.pcid, row.sam_uid, row.sam_perso] for rows in saved_rows(ctx, request.id) for row in rows
        ],
        "notes": request.notes,
        # Only of a request that replaces cards: the digests of those from before stay as they are.
        **({"replaces": [row.card.uid for row in request.replaced]} if request.replaced else {}),
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
    lambda ctx, request, _act: intake.withdraw(ctx, request),
    intake.require_whole,
)


def approve(ctx: Context, settings: Settings, request_id: UUID, digest: str, note: str = "") -> PersonalisationRequest:
    """Store the actor's approval of this digest. After the last one needed, apply the batch to the units and register its cards.

    Raise as `Requests.approve` does, and Conflict (`no-agreement`, `batch-changed`) if the buyer has no PKS or the batch does not fit.
    """
    return REQUESTS.approve(ctx, request_id, digest, note, lambda request, _: _register_batch(ctx, settings, request))


def _register_batch(ctx: Context, settings: Settings, request: PersonalisationRequest) -> None:
    """Set PCID and SAM Perso of the batch's units, and register the cards whose UIDs it names. Raise Conflict if the batch does not fit."""
    require_fitting(ctx, request)
    for rows in saved_rows(ctx, request.id):
        _register_rows(ctx, settings, request, rows)


def _register_rows(ctx: Context, settings: Settings, request: PersonalisationRequest, rows: Sequence[Any]) -> None:
    """Do so for some rows of the batch, and let go of what was read and made."""
    query = select(Unit).where(among(ctx.session, Unit.id, [row.unit_id for row in rows]))
    units = {unit.id: unit for unit in ctx.session.scalars(query)}
    for row in rows:
        units[row.unit_id].pcid = row.pcid
        units[row.unit_id].sam_perso = row.sam_perso or units[row.unit_id].sam_perso
    supplied = [unit for unit in units.values() if ctx.session.is_modified(unit)]
    if supplied:
        record(ctx, Action.UNIT_CHANGE, KIND, request.id, organisation_id=request.buyer_id, rows=supplied, count=len(supplied))
    cards = [new_card(ctx, settings, request, row.sam_uid, row.unit_id) for row in rows if row.sam_uid]
    if cards:
        register_cards(ctx, cards)
    ctx.session.flush()
    for one in (*units.values(), *cards):
        ctx.session.expunge(one)


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
