"""Convert assignments to the schemas of the API."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sifilma.assignment.models import Assignment
from sifilma.assignment.pages import Desk
from sifilma.assignment.queries import Holder, holders
from sifilma.assignment.schemas import AssignmentOut, ColleagueOut, DeskOut, HolderOut
from sifilma.kernel.context import Context


def holder_out(holder: Holder | None) -> HolderOut | None:
    """Return who has an object, None if nobody has."""
    return HolderOut(id=holder.user_id, name=holder.name, role=holder.role, since=holder.at) if holder else None


def assignments_out(ctx: Context, rows: Sequence[Assignment]) -> list[AssignmentOut]:
    """Return assignments with the names of who has them, in one statement."""
    named = holders(ctx, [row.object_id for row in rows])
    return [assignment_out(row.object_kind, row.object_id, named.get(row.object_id)) for row in rows]


def assignment_out(kind: str, object_id: UUID, holder: Holder | None) -> AssignmentOut:
    """Return one object with who has it."""
    return AssignmentOut(object_kind=kind, object_id=object_id, holder=holder_out(holder))


def desk_out(desk: Desk) -> DeskOut:
    """Return one object with who has it and who may."""
    return DeskOut(
        object_kind=desk.kind,
        object_id=desk.key,
        holder=holder_out(desk.holder),
        mine=desk.mine,
        colleagues=[ColleagueOut(id=one.user_id, name=one.name) for one in desk.colleagues],
    )
