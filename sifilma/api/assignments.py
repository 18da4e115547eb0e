"""Who of the directorate has which work: see it, take it, give it to a colleague, put it back."""

from __future__ import annotations

from uuid import UUID

from flask import Response
from pydantic import BaseModel, ConfigDict

from sifilma.api.common import ListQuery, Page, answer, blueprint, page_of
from sifilma.assignment import queries, service
from sifilma.assignment.pages import desk_of
from sifilma.assignment.schemas import AssignmentIn, AssignmentOut, DeskOut, Kind
from sifilma.assignment.serializers import assignment_out, assignments_out, desk_out
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("assignments")


class AssignmentsQuery(ListQuery):
    """A page of what is assigned, or only of what the caller has."""

    mine: bool = False


class ObjectQuery(BaseModel):
    """One object."""

    model_config = ConfigDict(extra="forbid")

    object_kind: Kind
    object_id: UUID


@api.get("/assignments", responses={200: Page[AssignmentOut]}, summary="Work that somebody has")
@operation("work.assign")
def list_assignments(query: AssignmentsQuery) -> Response:
    """List the objects that somebody has, with who that is."""
    ctx = context()
    select, key = queries.list_assignments(ctx, mine=query.mine)
    return page_of(select, key, query, lambda rows: assignments_out(ctx, rows))


@api.get("/assignments/object", responses={200: DeskOut}, summary="Who has one object, and who could have it")
@operation("work.assign")
def show(query: ObjectQuery) -> Response:
    """Return who has an object, whether it waits for the caller, and the colleagues for whom it waits."""
    return answer(desk_out(desk_of(context(), query.object_kind, query.object_id)))


@api.post("/assignments", responses={200: AssignmentOut}, summary="Take work, give it to a colleague, put it back")
@operation("work.assign")
def assign(body: AssignmentIn) -> Response:
    """Give the work on an object to an account, one's own or a colleague's, or to nobody."""
    holder = service.assign(context(), body)
    return answer(assignment_out(body.object_kind, body.object_id, holder))
