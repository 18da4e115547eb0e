"""Changes of reference data: an operator drafts them, an approver, another person, executes them (docs/domain.md, reference data)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Select, select

from sifilma.accounts.import_table import ORGANISATIONS
from sifilma.approvals.four_eyes import content_digest
from sifilma.approvals.proposals import Proposals
from sifilma.approvals.service import not_what_was_seen, require_note
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.documents.rows import Table
from sifilma.documents.service import Upload
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import Listing
from sifilma.kernel.text import say
from sifilma.oversight.import_table import AGREEMENTS, MODELS
from sifilma.oversight.models import CHANGE, ChangeKind, ChangeState, ReferenceChange

PROPOSALS = Proposals(CHANGE, ReferenceChange, say("Whoever submitted never approves."))
TABLES: dict[ChangeKind, Table[Any]] = {
    ChangeKind.ORGANISATIONS: ORGANISATIONS,
    ChangeKind.AGREEMENTS: AGREEMENTS,
    ChangeKind.MODELS: MODELS,
}


def changes_query(ctx: Context, operation: Operation = Operation.REFERENCE_PROPOSALS_VIEW) -> Select[ReferenceChange]:
    """The proposals the actor may see."""
    return scoped(select(ReferenceChange), ctx.actor, operation, ())


def list_changes(ctx: Context, state: str = "", kind: str = "") -> Listing[ReferenceChange]:
    """The proposals, of one state or kind if one is named."""
    query = changes_query(ctx)
    if state:
        query = query.where(ReferenceChange.state == state)
    return (query.where(ReferenceChange.kind == kind) if kind else query), ReferenceChange.id


def get_change(ctx: Context, change_id: UUID, operation: Operation = Operation.REFERENCE_PROPOSALS_VIEW) -> ReferenceChange:
    """One proposal; NotFound."""
    found = ctx.session.scalars(changes_query(ctx, operation).where(ReferenceChange.id == change_id)).first()
    if found is None:
        raise NotFound()
    return found


def propose_file(ctx: Context, kind: ChangeKind, file: Upload | None, max_rows: int) -> ReferenceChange:
    """Propose the new rows of a CSV or XLSX file; what is known already is left out. Invalid lists every error of every row."""
    if file is None:
        raise Invalid.field("file", "Choose a file.")
    new, _ = TABLES[kind].read(ctx, file.data, max_rows)
    if not new:
        raise Invalid.field("file", "Everything in this file is registered already.")
    return _propose(ctx, kind, new)


def propose_row(ctx: Context, kind: ChangeKind, row: BaseModel) -> ReferenceChange:
    """Propose one row; Invalid names its fields."""
    table = TABLES[kind]
    try:
        new = table.checked(ctx, {1: row})
    except Invalid as refused:
        errors = [{"field": error["field"], "message": error["message"]} for error in refused.errors]
        raise Invalid(refused.detail, errors=errors) from None
    if not new:
        raise Invalid.field(table.name, "This is registered already.")
    return _propose(ctx, kind, new)


def propose_rows(ctx: Context, kind: str, rows: Sequence[BaseModel]) -> ReferenceChange:
    """Propose those of some rows that are not known yet; Invalid names every error by the row's number, from 1."""
    new = TABLES[ChangeKind(kind)].checked(ctx, dict(enumerate(rows, start=1)))
    if not new:
        raise Invalid.field("rows", "All of it is registered already.")
    return _propose(ctx, ChangeKind(kind), new)


def _propose(ctx: Context, kind: ChangeKind, rows: list[Any]) -> ReferenceChange:
    _refuse_directorate(kind, rows)
    made = ReferenceChange(
        id=uuid7(),
        kind=str(kind),
        content={"rows": [row.model_dump(mode="json") for row in rows]},
        count=len(rows),
    )
    made.digest = content_digest(body(made))
    act = record(ctx, Action.REFERENCE_PROPOSE, CHANGE.kind, made.id, kind=made.kind, count=made.count, digest=made.digest)
    PROPOSALS.propose(ctx, made, act)
    return made


def _refuse_directorate(kind: ChangeKind, rows: list[Any]) -> None:
    """There is one directorate, and it is there already."""
    if kind is ChangeKind.ORGANISATIONS and any(row.kind is OrganisationKind.DIRECTORATE for row in rows):
        raise Invalid.field("kind", "A directorate is not registered here.")


def body(change: ReferenceChange) -> dict[str, Any]:
    """What is proposed and executed."""
    return {"id": str(change.id), "kind": change.kind, "rows": change.content["rows"]}


def execute(ctx: Context, change_id: UUID, digest: str, note: str = "") -> ReferenceChange:
    """An approver's yes to exactly these rows: they are registered, all or none. Invalid or Conflict when they cannot be any more."""
    found = get_change(ctx, change_id, Operation.REFERENCE_EXECUTE)
    CHANGE.require(found, ChangeState.EXECUTED)
    if content_digest(body(found)) != digest:
        raise not_what_was_seen()
    PROPOSALS.require_second_person(ctx, found)
    table = TABLES[ChangeKind(found.kind)]
    rows = [table.schema.model_validate(row) for row in found.content["rows"]]
    if len(table.checked(ctx, dict(enumerate(rows, start=1)))) < len(rows):
        raise Conflict("Some of it has been registered since. Reject this, and propose what is left.", type="known-already")
    _decide(ctx, found, execute=True, note=note)
    table.register(ctx, rows)
    ctx.session.flush()
    return found


def reject(ctx: Context, change_id: UUID, note: str) -> ReferenceChange:
    """An approver's no, with a note the operator reads."""
    found = get_change(ctx, change_id, Operation.REFERENCE_EXECUTE)
    _decide(ctx, found, execute=False, note=require_note(note))
    return found


def withdraw(ctx: Context, change_id: UUID, note: str = "") -> ReferenceChange:
    """Taken back by whoever proposed it."""
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
    """The organisation a form is for; NotFound unless it is of this kind."""
    found = ctx.session.get(Organisation, organisation_id)
    if found is None or found.kind != kind:
        raise NotFound()
    return found
