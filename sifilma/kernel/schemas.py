"""Base classes of the schemas of input, and the schemas of decisions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sifilma.kernel.field_notes import LENGTH
from sifilma.kernel.text import visible

Remark = Annotated[str, Field(max_length=LENGTH)]


def _seen(typed: Any) -> Any:
    return visible(typed) if isinstance(typed, str) else typed


SeenText = Annotated[str, BeforeValidator(_seen)]
"""A free text as it is seen and printed (`kernel.text.visible`): its length is that of what is left."""


class Strict(BaseModel):
    """A schema that refuses unknown fields, so that nobody can set a field by guessing its name."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class NoteIn(Strict):
    """A note that accompanies a decision."""

    note: str = Field("", max_length=2000)


class ApproveIn(NoteIn):
    """An approval. `digest` is the digest of what the approver saw; the service refuses it if the object has changed since."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


class Remarks(Strict):
    """Notes on the fields of something returned. A subclass has a Remark for each field that can get one."""

    def given(self) -> dict[str, str]:
        """Return the notes that are not empty, by field."""
        return {name: note for name, note in self.model_dump().items() if note}


class ReturnIn(NoteIn):
    """A return for correction: a note on the whole, notes on fields, or both. One is required."""

    fields: Remarks
