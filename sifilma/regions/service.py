"""Looking codes up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from sifilma.kernel.errors import Invalid
from sifilma.regions import codes
from sifilma.regions.models import Region


@dataclass(frozen=True)
class PlaceNames:
    """The four names of a village code, and the version the code came with."""

    code: str
    province: str
    regency: str
    district: str
    village: str
    version: str


def is_loaded(session: Session) -> bool:
    """Whether any code is known."""
    return session.scalar(select(Region.code).limit(1)) is not None


def children(session: Session, parent: str | None) -> list[Region]:
    """The valid codes below `parent` (provinces for None), by code."""
    parent = codes.normalise(parent) if parent else None
    condition = Region.parent_code == parent if parent else Region.parent_code.is_(None)
    return list(session.scalars(select(Region).where(condition, Region.valid_to.is_(None)).order_by(Region.code)))


def names_of(session: Session, codes_: Iterable[str]) -> dict[str, str]:
    """The names of codes and of every code above them, in one statement; closed codes keep theirs."""
    wanted = {code[:end] for code in codes_ for end in codes.WIDTHS}
    return dict(session.execute(select(Region.code, Region.name).where(Region.code.in_(wanted))).all())


def names(session: Session, code: str) -> PlaceNames:
    """The names of a village code, in one statement. Invalid for unknown, closed, or not village-level codes."""
    code = codes.normalise(code)
    if codes.level(code) != 4:
        raise Invalid.field("region_code", "A village code is needed (13 characters, e.g. 35.20.01.2001).")
    chain = [code[:2], code[:5], code[:8], code]
    rows = {row.code: row for row in session.scalars(select(Region).where(Region.code.in_(chain)))}
    if any(part not in rows for part in chain) or rows[code].valid_to is not None:
        raise Invalid.field("region_code", "There is no such village code today.")
    found = [rows[part].name for part in chain]
    return PlaceNames(code, found[0], found[1], found[2], found[3], rows[code].version)
