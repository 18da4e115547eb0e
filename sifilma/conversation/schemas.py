"""Messages of conversations as they come in and go out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from sifilma.kernel.schemas import Prose, Strict

LONGEST = 4000
MOST_ATTACHMENTS = 5


class MessageIn(Strict):
    """One message: 1 to 4000 characters."""

    body: Annotated[Prose, Field(min_length=1, max_length=LONGEST)]


class AttachmentOut(BaseModel):
    """An attachment: its id, name, SHA-256 (hex), size in bytes and media type."""

    id: UUID
    filename: str
    sha256: str
    size: int
    media_type: str


class MessageOut(BaseModel):
    """A message: who wrote it, for which organisation, and when."""

    id: UUID
    at: datetime
    author: str
    organisation: str
    body: str
    attachments: list[AttachmentOut]
