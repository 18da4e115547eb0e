"""What every schema of something sent is made of, and what goes with every decision."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sifilma.kernel.field_notes import LENGTH

Remark = Annotated[str, Field(max_length=LENGTH)]


class Strict(BaseModel):
    """Unknown fields are refused: nobody sets what they may not by naming it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class NoteIn(Strict):
    """A note that goes with a decision."""

    note: str = Field("", max_length=2000)


class ApproveIn(NoteIn):
    """The digest of what the approver saw."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


class Remarks(Strict):
    """Notes on the fields of something that is returned. A subclass has a Remark for each field it may be about."""

    def given(self) -> dict[str, str]:
        """The fields that have one."""
        return {name: note for name, note in self.model_dump().items() if note}


class ReturnIn(NoteIn):
    """What is to be mended: on the whole, and field by field. One of the two is needed."""

    fields: Remarks
