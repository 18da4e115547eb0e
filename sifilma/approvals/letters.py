"""The official letter (surat dinas) behind a request: its number, date, subject and PDF (docs/domain.md, Words)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from sifilma.kernel.days import wrong_paper_day
from sifilma.kernel.errors import Conflict, Faults
from sifilma.kernel.text import Text, comparison_key, say

LETTER_KNOWN = say("There is a request with this letter (number and date) already.")

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


LONGEST_KEY = 100
OLD = timedelta(days=365)
"""A letter older than this is asked about: it is easily dated with last year's number."""


def letter_key(number: str) -> str:
    """Return the number in its form for comparison (`kernel.text.comparison_key`), which may be longer than the column takes."""
    return comparison_key(number)


def letter_faults(now: datetime, given: Mapping[str, Any]) -> Faults:
    """Return what is wrong with the number and the day of a letter. What is not given, or could not be read, is passed over."""
    faults = Faults()
    key = letter_key(given["letter_number"]) if given.get("letter_number") else "-"
    if not any(map(str.isalnum, key)) and key != "-":
        faults.add("letter_number", say("A letter number has letters or digits."))
    elif len(key) > LONGEST_KEY:
        faults.add("letter_number", say("This number is too long. Write it in plain letters and digits."))
    day = given.get("letter_date")
    if day is not None and (wrong := wrong_paper_day(now, day)) is not None:
        faults.add("letter_date", wrong)
    return faults


def letter_known() -> Conflict:
    """Return the refusal of a letter that an open request has already."""
    return Conflict(LETTER_KNOWN, type="letter-known", errors=[{"field": "letter_number", "message": LETTER_KNOWN}])


def refuse_letter(faults: Faults, is_known: bool) -> None:
    """Raise Invalid if anything is wrong; Conflict (`letter-known`) if that alone is wrong that an open request has the letter."""
    if is_known and faults:
        faults.add("letter_number", LETTER_KNOWN)
    faults.refuse()
    if is_known:
        raise letter_known()


def letter_warnings(now: datetime, number: str, day: date) -> list[Text]:
    """Return what should be looked at in a letter before it is saved. It never leads to a refusal."""
    told = [warning] if (warning := number_warning(number)) else []
    if now.date() - day > OLD:
        told.append(say("The letter is more than a year old (%(day)s). Check its date.", day=day.isoformat()))
    return told


def number_warning(number: str) -> Text | None:
    """Return a warning for a number that does not have the usual form, else None. It never leads to a refusal."""
    if USUAL_NUMBER.match(number.strip()):
        return None
    return say("The letter number does not follow the usual pattern (e.g. 400.8.1.2/6753/Dukcapil). Check it against the letter.")
