"""Number documents: one series per year, without gaps and without duplicates."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Integer, String
from sqlalchemy.orm import Mapped, Session, mapped_column

from sifilma.documents.indonesian import WIB
from sifilma.kernel.db import Base, upsert

ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")


class DocumentCounter(Base):
    """The last number given in a series and year (WIB)."""

    __tablename__ = "document_counter"

    series: Mapped[str] = mapped_column(String(20), primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    last: Mapped[int] = mapped_column(Integer)


def next_number(session: Session, now: datetime, series: str) -> str:
    """Return the next number of a series, such as `400.8/0007/<series>/XI/2026`.

    One upsert takes it. The row stays locked until the commit, so another transaction cannot take the same number, and a rollback gives
    the number back. A database sequence would leave a gap.
    """
    # The directorate is in Jakarta, so its year begins in WIB.
    today = now.astimezone(WIB)
    first = upsert(session, DocumentCounter).values(series=series, year=today.year, last=1)
    taken = first.on_conflict_do_update(
        index_elements=[DocumentCounter.series, DocumentCounter.year], set_={"last": DocumentCounter.last + 1}
    ).returning(DocumentCounter.last)
    number = session.execute(taken).scalar_one()
    return f"400.8/{number:04d}/{series}/{ROMAN[today.month - 1]}/{today.year}"
