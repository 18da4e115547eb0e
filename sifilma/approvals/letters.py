"""The letter (surat dinas) behind a request: number, date, subject (docs/domain.md, Words)."""

from __future__ import annotations

import re
from datetime import date
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from sifilma.kernel.text import say

USUAL_NUMBER = re.compile(r"^\d{3}(\.\d+)*\s*[/-]\s*\d+(\s*/.+)?$")


class Lettered:
    """Columns of a letter. `letter_key` is the number with its spaces removed, for the uniqueness rule."""

    letter_number: Mapped[str] = mapped_column(String(100))
    letter_key: Mapped[str] = mapped_column(String(100))
    letter_date: Mapped[date]
    subject: Mapped[str] = mapped_column(String(300))

    @declared_attr
    @classmethod
    def letter_document_id(cls) -> Mapped[UUID]:
        """The letter itself (PDF)."""
        return mapped_column(ForeignKey("document.id"))


LETTER_COLUMNS = ("letter_number", "letter_key", "letter_date", "subject", "letter_document_id")
OPEN_LETTER = "state NOT IN ('rejected', 'cancelled')"


def letter_key(number: str) -> str:
    """The number as it is compared: without white space, in lower case."""
    return re.sub(r"\s+", "", number).casefold()


def number_warning(number: str) -> str | None:
    """A warning, never a refusal, for a number that does not look like the usual pattern."""
    if USUAL_NUMBER.match(number.strip()):
        return None
    return say("The letter number does not follow the usual pattern (e.g. 400.8.1.2/6753/Dukcapil). Check it against the letter.")
