"""What every schema of something sent is made of, and what goes with every decision."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """Unknown fields are refused: nobody sets what they may not by naming it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class NoteIn(Strict):
    """A note that goes with a decision."""

    note: str = Field("", max_length=2000)


class ApproveIn(NoteIn):
    """The digest of what the approver saw."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
