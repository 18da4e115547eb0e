"""Assignments as they come in and go out."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from sifilma.kernel.schemas import Strict

Kind = Literal["personalisation_request", "activation_request", "destruction", "manifest", "reference_change", "model_case", "activation"]


class AssignmentIn(Strict):
    """Give the work on an object to somebody: `to` and `held_by` are ids of accounts.

    `to` null puts it back; one's own id takes it. `held_by` is who has it as the caller saw it, null for nobody: if that has changed, the
    call is refused.
    """

    object_kind: Kind
    object_id: UUID
    to: UUID | None = None
    held_by: UUID | None = None


class HolderOut(BaseModel):
    """Who has the work on an object, in which role and since when."""

    id: UUID
    name: str
    role: str
    since: datetime


class AssignmentOut(BaseModel):
    """An object, and who has the work on it; null: nobody."""

    object_kind: str
    object_id: UUID
    holder: HolderOut | None


class ColleagueOut(BaseModel):
    """Somebody to whom the work on an object may be given."""

    id: UUID
    name: str


class DeskOut(AssignmentOut):
    """The same with what the caller may do: `mine` says whether the object waits for them too, `colleagues` to whom they may give it."""

    mine: bool
    colleagues: list[ColleagueOut]
