"""The schemas of files that were asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from sifilma.kernel.schemas import Strict


class ListFileIn(Strict):
    """A list as a file: the address of its page (path and query, as `/kartu?state=active`), and the form of the file."""

    list: str = Field(min_length=2, max_length=2000)
    form: Literal["csv", "xlsx"] = "csv"


class OwnFileOut(BaseModel):
    """A file that was asked for. `total`: its rows, null until they were looked up; `done`: those looked at, `written`: those in it.

    `ready`: it can be downloaded until `ends_at`. `rows_per_second` lately, and `seconds_left` if it goes on like that; null if that is not
    known. `worked`: false if no worker gives a sign of life, so nothing goes on. `failures`: turns that failed one after the other.
    """

    id: UUID
    kind: str
    state: str
    filename: str
    total: int | None
    done: int
    written: int
    cut: bool
    size: int
    sha256: str | None
    rows_per_second: float | None
    seconds_left: float | None
    worked: bool
    failures: int
    note: str
    created_at: datetime
    ended_at: datetime | None
    ends_at: datetime | None
    links: dict[str, str]
