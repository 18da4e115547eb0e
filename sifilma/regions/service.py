"""Look up region codes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from sifilma.kernel.statements.built_once import one_of_given
from sifilma.kernel.statements.prepared import Prepared
from sifilma.regions import codes
from sifilma.regions.models import Region


@dataclass(frozen=True)
class Levels:
    """The codes with names to choose from at each level, and the deepest chosen code."""

    provinces: list[tuple[str, str]]
    regencies: list[tuple[str, str]]
    districts: list[tuple[str, str]]
    villages: list[tuple[str, str]]
    code: str

    def part(self, length: int) -> str:
        """Return the chosen code of the level whose codes have `length` characters, or an empty text."""
        return self.code[:length] if len(self.code) >= length else ""


def is_loaded(session: Session) -> bool:
    """Return whether codes have been imported."""
    return session.scalar(select(Region.code).limit(1)) is not None


def children(parent: str | None) -> tuple[Select[Region], InstrumentedAttribute[str]]:
    """Return the select of the valid codes below `parent` (provinces for None), and the column it is paged by."""
    parent = codes.normalise(parent) if parent else None
    condition = Region.parent_code == parent if parent else Region.parent_code.is_(None)
    return select(Region).where(condition, Region.valid_to.is_(None)), Region.code


_NAMES = Prepared(select(Region.code, Region.name).where(one_of_given(Region.code, "codes")))


def names_of(session: Session, codes_: Iterable[str]) -> dict[str, str]:
    """Return the names of codes and of all codes above them, also of closed codes. Runs one statement."""
    wanted = {code[:end] for code in codes_ for end in codes.WIDTHS}
    return {row.code: row.name for row in _NAMES.read(session, {"codes": wanted})}


def cascade(session: Session, code: str) -> Levels:
    """Return what the four selects of a form offer when `code` is chosen. Runs one statement.

    A part of the code that is not valid today is not chosen.
    """
    parents = [code[:end] for end in codes.WIDTHS if len(code) >= end]
    condition = or_(Region.parent_code.is_(None), Region.parent_code.in_(parents))
    below: dict[str | None, list[tuple[str, str]]] = {}
    for row in session.scalars(select(Region).where(condition, Region.valid_to.is_(None)).order_by(Region.code)):
        below.setdefault(row.parent_code, []).append((row.code, row.name))
    offered, chosen = [], ""
    for end in codes.WIDTHS:
        offered.append(below.pop(chosen or None, []))  # each list is offered once: below a level that is not chosen there is none
        chosen = next((one for one, _ in offered[-1] if one == code[:end]), chosen)
    provinces, regencies, districts, villages = offered
    return Levels(provinces, regencies, districts, villages, chosen)


def deepest(*chosen: str) -> str:
    """Return the code that the selects agree on, from the province down.

    A value below another parent was left over from an earlier choice and is dropped.
    """
    code = ""
    for part in chosen:
        if not part or (code and not part.startswith(f"{code}.")):
            break
        code = part
    return code


def villages_below(session: Session, above: str) -> list[tuple[str, list[str]]]:
    """Return the valid villages below a code, each with its name and those of its district, regency and province. Runs one statement."""
    parents = [above[:end] for end in codes.WIDTHS if len(above) >= end]
    condition = or_(Region.code.in_(parents), Region.code.startswith(f"{above}.", autoescape=True))
    names = dict(session.execute(select(Region.code, Region.name).where(condition, Region.valid_to.is_(None)).order_by(Region.code)).all())
    wanted = [code for code in names if len(code) == codes.WIDTHS[-1]]
    return [(code, [names.get(code[:end], "") for end in reversed(codes.WIDTHS)]) for code in wanted]


def offices_regions(session: Session) -> list[tuple[str, str]]:
    """Return the codes and names of the valid provinces, regencies and cities, which have offices. Runs one statement."""
    query = select(Region.code, Region.name).where(Region.level <= 2, Region.valid_to.is_(None)).order_by(Region.code)
    return [(code, name) for code, name in session.execute(query)]


def region_name(session: Session, code: str | None) -> str:
    """Return the present name of a code of any level, or an empty text if it is unknown."""
    found = session.get(Region, code) if code else None
    return found.name if found else ""
