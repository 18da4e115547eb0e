"""Notices as they go out, and what marks them as seen."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from sifilma.kernel.schemas import Strict

MOST_IDS = 200


class NoticeOut(BaseModel):
    """A notice: the task (a stable word), its words in the person's language, the object with its title, and its page (a URL)."""

    id: UUID
    at: datetime
    task: str
    words: str
    title: str
    object_id: UUID
    url: str
    seen_at: datetime | None


class SeenIn(Strict):
    """Which notices were seen: those named, or all up to one of them (`until`), which then leaves what came after it."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST_IDS)] | None = None
    until: UUID | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.ids is None) == (self.until is None):
            raise ValueError("give either ids or until")
        return self


class SeenOut(BaseModel):
    """How many notices were not seen before, and how many are left, at most 100."""

    seen: int
    unseen: int
