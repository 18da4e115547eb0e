"""The schemas of jobs."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from sifilma.kernel.text import Sentence


class JobOut(BaseModel):
    """A job. `waits_for`: what was away at the last turn (`hsm`, `service`), since `waiting_since`; it goes on by itself.

    `tries`: turns since a row was last settled, those that met an outage left out. `undone`: rows without a result.
    `rows_per_second` lately, and `seconds_left` if it goes on like that; null if that is not known. `warnings`: what was
    noticed while the file was read; only the answer to that call has them.
    """

    id: UUID
    kind: str
    state: str
    done: int
    failed: int
    total: int
    filename: str
    note: str
    waits_for: str | None
    waiting_since: datetime | None
    tries: int
    undone: int
    paused_at: datetime | None
    rows_per_second: float | None
    seconds_left: float | None
    created_at: datetime
    ended_at: datetime | None
    errors_url: str | None
    result_url: str | None
    links: dict[str, str]
    warnings: list[Sentence] = Field(default_factory=list)


class RowErrorOut(BaseModel):
    """What was wrong in one cell of one row, `row` as in the file."""

    row: int
    field: str
    message: str
