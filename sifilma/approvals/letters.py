"""The official letter (surat dinas) behind a request: its number, date, subject and PDF (docs/domain.md, Words)."""

from __future__ import annotations

import re
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from sifilma.documents.indonesian import WIT
from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import say

# For example 400.8.1.2/6753/Dukcapil: a classification code, a number, and further parts.
USUAL_NUMBER = re.compile(r"^\d{3}(\.\d+)*\s*[/-]\s*\d+(\s*/.+)?$")


class Lettered:
    """Columns of a letter. `letter_key` is the number in its form for comparison (function `letter_key`); letters are unique by it."""

    letter_number: Mapped[str] = mapped_column(String(100))
    letter_key: Mapped[str] = mapped_column(String(100))
    letter_date: Mapped[date]
    subject: Mapped[str] = mapped_column(String(300))

    @declared_attr
    @classmethod
    def letter_document_id(cls) -> Mapped[UUID]:
        """The letter as a PDF."""
        return mapped_column(ForeignKey("document.id"))


LETTER_COLUMNS = ("letter_number", "letter_key", "letter_date", "subject", "letter_document_id")
# A rejected or cancelled request releases its letter: it may come again in a new request.
OPEN_LETTER = "state NOT IN ('rejected', 'cancelled')"


def letter_key(number: str) -> str:
    """Return the number in its form for comparison: without white space, in lower case."""
    return re.sub(r"\s+", "", number).casefold()


def require_past(now: datetime, day: date) -> None:
    """Raise Invalid if a letter's day has not begun anywhere in Indonesia."""
    if day > now.astimezone(WIT).date():
        raise Invalid.field("letter_date", "This day lies in the future.")


def number_warning(number: str) -> str | None:
    """Return a warning for a number that does not have the usual form, else None. It never leads to a refusal."""
    if USUAL_NUMBER.match(number.strip()):
        return None
    return say("The letter number does not follow the usual pattern (e.g. 400.8.1.2/6753/Dukcapil). Check it against the letter.")
