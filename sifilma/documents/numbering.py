"""Number papers: one series per year, and of BASTs one per issuer, without gaps and without duplicates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import count
from uuid import UUID

from sqlalchemy import ForeignKey, Integer, String, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from config.settings import Settings
from sifilma.documents.indonesian import WIB
from sifilma.identity.models import Organisation
from sifilma.kernel import triggers
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.db import Base, upsert
from sifilma.witness import reserved, standing
from sifilma.witness.reserved import Need

ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
CLASSIFICATION = "400.8"
"""The subject of population administration in the filing code of the ministry and the regions (Permendagri 83/2022)."""
LONGEST_CODE = 6  # letters of a name
PAPERS, PAPERS_AHEAD, MARGIN = "papers", 1000, 100
"""The counter of papers at the witness, how many are reserved ahead, and how many may slip past its end."""
FLOOR = "*"
"""The series under which it is noted how many numbers each new series of a year leaves out."""
_STATE = (OrganisationKind.DIRECTORATE, OrganisationKind.PROVINCE_OFFICE, OrganisationKind.REGENCY_OFFICE)
_FORMS = frozenset({"PT", "CV", "TBK", "PERSERO", "PERUM", "UD"})
"""Words of a name that say what kind of company it is."""


class DocumentCounter(Base):
    """The last number given in a series and year (WIB). The series of an issuer ends with its code."""

    __tablename__ = "document_counter"

    series: Mapped[str] = mapped_column(String(40), primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    last: Mapped[int] = mapped_column(Integer)


class IssuerCode(Base):
    """What the numbers of an issuer's papers have in them, other than the directorate's. It is given once and stays."""

    __tablename__ = "issuer_code"

    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    code: Mapped[str] = mapped_column(String(20), unique=True)


triggers.immutable("issuer_code")


def needs(session: Session, _settings: Settings) -> Iterator[Need]:
    """Yield the counter of papers: how many numbers were given out in all series and years together."""
    yield Need(PAPERS, given(session), PAPERS_AHEAD)


def given(session: Session) -> int:
    """Return how many numbers were given out or left out, in all series and years together."""
    return session.scalar(select(func.coalesce(func.sum(DocumentCounter.last), 0))) or 0


def skip(session: Session, numbers: int, years: Iterable[int]) -> None:
    """Leave out so many numbers of every series of these years: an older database was brought back and may have given them out.

    A series that has no row yet begins after what is noted under FLOOR.
    """
    for year in years:
        begun = update(DocumentCounter).where(DocumentCounter.year == year, DocumentCounter.series != FLOOR)
        session.execute(begun.values(last=DocumentCounter.last + numbers).execution_options(synchronize_session=False))
        floor = upsert(session, DocumentCounter).values(series=FLOOR, year=year, last=numbers)
        more = {"last": DocumentCounter.last + numbers}
        session.execute(floor.on_conflict_do_update(index_elements=[DocumentCounter.series, DocumentCounter.year], set_=more))


def next_number(session: Session, now: datetime, series: str, issuer: Organisation | None = None) -> str:
    """Return the next number of a series: `400.8/0007/BAST-SAM/XI/2026` for the directorate, or for all if no issuer is given.

    Other issuers have series of their own. An office's names its kode wilayah (`400.8/0007/BAST-SAM/35.20/XI/2026`), a company's the
    initials of its name (`0007/BAST-SAM/STI/XI/2026`) and no number of the state's filing code.

    One upsert takes it. The row stays locked until the commit, so another transaction cannot take the same number, and a rollback gives
    the number back. A database sequence would leave a gap. Raise NumbersNotTold if the witness does not know that more papers may be
    numbered. All series are counted together and nothing is locked: as many slip past the end as run at once, hence the margin.
    """
    if standing.of(session).is_witnessed:
        reserved.require(session, PAPERS, given(session) + MARGIN)
    # The directorate is in Jakarta, so its year begins in WIB.
    today = now.astimezone(WIB)
    code = _code(session, issuer) if issuer else ""
    floor = select(func.coalesce(func.max(DocumentCounter.last), 0)).where(
        DocumentCounter.series == FLOOR, DocumentCounter.year == today.year
    )
    named = "/".join(filter(None, (series, code)))
    first = upsert(session, DocumentCounter).values(series=named, year=today.year, last=floor.scalar_subquery() + 1)
    taken = first.on_conflict_do_update(
        index_elements=[DocumentCounter.series, DocumentCounter.year], set_={"last": DocumentCounter.last + 1}
    ).returning(DocumentCounter.last)
    number = session.execute(taken).scalar_one()
    filed = CLASSIFICATION if issuer is None or issuer.kind in _STATE else ""
    return "/".join(filter(None, (filed, f"{number:04d}", series, code, ROMAN[today.month - 1], str(today.year))))


def plain_number(typed: str) -> str:
    """Return a number as it is given and compared: in capitals, without white space."""
    return "".join(typed.split()).upper()


def _code(session: Session, issuer: Organisation) -> str:
    """Return the issuer's code, empty for the directorate. The first of its paper gives it one that no other has."""
    if issuer.kind == OrganisationKind.DIRECTORATE:
        return ""
    own = select(IssuerCode.code).where(IssuerCode.organisation_id == issuer.id)
    for code in _candidates(issuer):
        if (found := session.scalar(own)) is not None:
            return found
        session.execute(upsert(session, IssuerCode).values(organisation_id=issuer.id, code=code).on_conflict_do_nothing())
    raise AssertionError("the candidates have no end")


def _candidates(issuer: Organisation) -> Iterator[str]:
    """Yield codes: the kode wilayah of an office, else the initials of a name of several words or the beginning of a single one."""
    words = [word for word in re.findall(r"[A-Z0-9]+", issuer.name.upper()) if word not in _FORMS]
    short = "".join(word[0] for word in words) if len(words) > 1 else "".join(words)
    is_office = OrganisationKind(issuer.kind).is_office
    first = (issuer.region_code if is_office else None) or short[:LONGEST_CODE] or "ORG"
    yield first
    yield from (f"{first}-{number}" for number in count(2))
