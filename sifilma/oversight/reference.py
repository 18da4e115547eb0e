"""Changes of reference data: an operator proposes rows, and an approver, who is another person, executes them (docs/domain.md, rule 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Select, select

from sifilma.accounts.import_table import ORGANISATIONS
from sifilma.approvals.file_access import HandedOut, hand_out
from sifilma.approvals.four_eyes import content_digest
from sifilma.approvals.proposals import Proposals
from sifilma.approvals.service import not_what_was_seen, require_note
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.documents.models import Document, DocumentKind
from sifilma.documents.service import Upload, keep_pdf
from sifilma.documents.tables.rows import Table
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
from sifilma.oversight.import_table import AGREEMENTS, MODELS, register_agreements
from sifilma.oversight.models import CHANGE, ChangeKind, ChangeState, ReferenceChange
from sifilma.oversight.schemas import AgreementIn

PROPOSALS = Proposals(CHANGE, ReferenceChange, say("Whoever submitted never approves."))
TABLES: dict[ChangeKind, Table[Any]] = {
    ChangeKind.ORGANISATIONS: ORGANISATIONS,
    ChangeKind.AGREEMENTS: AGREEMENTS,
    ChangeKind.MODELS: MODELS,
}


def changes_query(ctx: Context, operation: Operation = Operation.REFERENCE_PROPOSALS_VIEW) -> Select[ReferenceChange]:
    """Return a query of the changes the actor may see."""
    return scoped(select(ReferenceChange), ctx.actor, operation, ())


def list_changes(ctx: Context, state: str = "", kind: str = "") -> Listing[ReferenceChange]:
    """Return the changes the actor may see. Empty texts do not filter."""
    query = changes_query(ctx)
    if state:
        query = query.where(ReferenceChange.state == state)
    return (query.where(ReferenceChange.kind == kind) if kind else query), ReferenceChange.id


def get_change(ctx: Context, change_id: UUID, operation: Operation = Operation.REFERENCE_PROPOSALS_VIEW) -> ReferenceChange:
    """Return one change. Raise NotFound if the actor may not see it or there is none."""
    found = ctx.session.scalars(changes_query(ctx, operation).where(ReferenceChange.id == change_id)).first()
    if found is None:
        raise NotFound()
    return found


def propose_file(ctx: Context, kind: ChangeKind, file: Upload | None, max_rows: int) -> ReferenceChange:
    """Propose the new rows of a CSV or XLSX file. Rows that are registered already are left out.

    Raise Invalid if there is no file or no new row, and with every error of every row.
    """
    if file is None:
        raise Invalid.field("file", "Choose a file.")
    new, _ = TABLES[kind].read(ctx, file.data, max_rows)
    if not new:
        raise Invalid.field("file", "Everything in this file is registered already.")
    return _propose(ctx, kind, new)


def propose_row(ctx: Context, kind: ChangeKind, row: BaseModel) -> ReferenceChange:
    """Propose one row. Raise Invalid that names the fields with errors, also if the row is registered already."""
    return _propose(ctx, kind, _checked(ctx, kind, row))


def propose_agreement(ctx: Context, store: FileStore, row: AgreementIn, file: Upload | None) -> ReferenceChange:
    """Propose one agreement with its PDF, which the proposal's digest covers. Raise as `propose_row` and `keep_pdf` (`document`) do."""
    new = _checked(ctx, ChangeKind.AGREEMENTS, row)
    document = keep_pdf(ctx, store, file, DocumentKind.AGREEMENT, "document") if file else None
    return _propose(ctx, ChangeKind.AGREEMENTS, new, document)


def _checked(ctx: Context, kind: ChangeKind, row: BaseModel) -> list[Any]:
    table = TABLES[kind]
    try:
        new = table.checked(ctx, {1: row})
    except Invalid as refused:
        errors = [{"field": error["field"], "message": error["message"]} for error in refused.errors]
        raise Invalid(refused.detail, errors=errors) from None
    if not new:
        raise Invalid.field(table.name, "This is registered already.")
    return new


def propose_rows(ctx: Context, kind: str, rows: Sequence[BaseModel]) -> ReferenceChange:
    """Propose the new ones of these rows. Raise Invalid if there is no new row, and with every error by the row's number, from 1."""
    new = TABLES[ChangeKind(kind)].checked(ctx, dict(enumerate(rows, start=1)))
    if not new:
        raise Invalid.field("rows", "All of it is registered already.")
    return _propose(ctx, ChangeKind(kind), new)


def _propose(ctx: Context, kind: ChangeKind, rows: list[Any], document: Document | None = None) -> ReferenceChange:
    _refuse_directorate(kind, rows)
    made = ReferenceChange(
        id=uuid7(),
        kind=str(kind),
        content={"rows": [row.model_dump(mode="json") for row in rows]} | ({"document": document.sha256} if document else {}),
        count=len(rows),
        document_id=document.id if document else None,
    )
    made.digest = content_digest(body(made))
    act = record(ctx, Action.REFERENCE_PROPOSE, CHANGE.kind, made.id, kind=made.kind, count=made.count, digest=made.digest)
    PROPOSALS.propose(ctx, made, act)
    return made


def _refuse_directorate(kind: ChangeKind, rows: list[Any]) -> None:
    """Raise Invalid if a row is a directorate: there is one, and it is registered already."""
    if kind is ChangeKind.ORGANISATIONS and any(row.kind is OrganisationKind.DIRECTORATE for row in rows):
        raise Invalid.field("kind", "A directorate is not registered here.")


def body(change: ReferenceChange) -> dict[str, Any]:
    """Return the content of which the digest is made: id, kind, rows and, if a PDF came with them, its SHA-256."""
    return {"id": str(change.id), "kind": change.kind} | change.content


def execute(ctx: Context, change_id: UUID, digest: str, note: str = "") -> ReferenceChange:
    """Execute a change: register all its rows. `digest` is that of the rows the approver saw.

    Raise Conflict if it was decided already, if the digest differs, or if some rows are registered meanwhile (`known-already`), Forbidden
    (`four-eyes`) if the actor proposed it, and Invalid if rows do not fit any more. Nothing is registered then.
    """
    found = get_change(ctx, change_id, Operation.REFERENCE_EXECUTE)
    CHANGE.require(found, ChangeState.EXECUTED)
    if content_digest(body(found)) != digest:
        raise not_what_was_seen()
    PROPOSALS.require_second_person(ctx, found)
    table = TABLES[ChangeKind(found.kind)]
    # The rows are checked again: others may have registered some, or what they refer to may have changed, since they were proposed.
    rows = [table.schema.model_validate(row) for row in found.content["rows"]]
    if len(table.checked(ctx, dict(enumerate(rows, start=1)))) < len(rows):
        raise Conflict("Some of it has been registered since. Reject this, and propose what is left.", type="known-already")
    _decide(ctx, found, execute=True, note=note)
    if found.document_id is not None:
        register_agreements(ctx, rows, found.document_id)
    else:
        table.register(ctx, rows)
    ctx.session.flush()
    return found


def document_of(ctx: Context, store: FileStore, change_id: UUID) -> HandedOut:
    """Return the PDF that came with a change, and record the download. Raise NotFound if the actor may not see it or there is none."""
    found = get_change(ctx, change_id)
    return hand_out(ctx, store, found.document_id, CHANGE.kind, found.id, None)


def reject(ctx: Context, change_id: UUID, note: str) -> ReferenceChange:
    """Reject a change. Raise Invalid without a note, which the operator reads, and Conflict if it was decided already."""
    found = get_change(ctx, change_id, Operation.REFERENCE_EXECUTE)
    _decide(ctx, found, execute=False, note=require_note(note))
    return found


def withdraw(ctx: Context, change_id: UUID, note: str = "") -> ReferenceChange:
    """Withdraw a change the actor proposed. Raise Forbidden (`not-proposer`) for others, and Conflict if it was decided already."""
    found = get_change(ctx, change_id, Operation.REFERENCE_DRAFT)
    if not PROPOSALS.is_own(ctx, found):
        raise Forbidden("Whoever proposed it may withdraw it.", type="not-proposer")
    _decide(ctx, found, execute=False, note=note)
    return found


def _decide(ctx: Context, change: ReferenceChange, *, execute: bool, note: str) -> None:
    CHANGE.require(change, ChangeState.EXECUTED if execute else ChangeState.REJECTED)
    PROPOSALS.take(ctx, change)
    action = Action.REFERENCE_EXECUTE if execute else Action.REFERENCE_REJECT
    act = record(ctx, action, CHANGE.kind, change.id, kind=change.kind, count=change.count, digest=change.digest, note=note)
    PROPOSALS.decide(ctx, change, execute, act, note)


def get_organisation_of_kind(ctx: Context, organisation_id: UUID, kind: OrganisationKind) -> Organisation:
    """Return the organisation that a form is for. Raise NotFound unless it is of this kind."""
    found = ctx.session.get(Organisation, organisation_id)
    if found is None or found.kind != kind:
        raise NotFound()
    return found
