"""Import region codes and boundaries. Each import leaves an audit entry, with which the codes are compared afterwards.

There are too many codes for a digest each: the entry has one for each province.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from sifilma.audit import recorded
from sifilma.audit.comparison import Difference, Fault, Reading
from sifilma.audit.models import Action, AuditEntry
from sifilma.audit.rounds import Step
from sifilma.audit.service import record
from sifilma.kernel.context import Context
from sifilma.regions import boundaries, loading
from sifilma.regions.loading import DEFAULT_FOLDER, ImportResult
from sifilma.regions.models import Region

KIND = "region_source"
PROVINCE = 2  # characters of a province's code
COLUMNS = ("code", "name", "level", "parent_code", "version", "successor_code", "valid_from", "valid_to")


def bring_codes(ctx: Context, folder: Path = DEFAULT_FOLDER) -> ImportResult:
    """Import the region codes and record what changed. Importing the same version again changes nothing and leaves no entry."""
    done = loading.import_codes(ctx.session, ctx.now, folder)
    if done.imported:
        record(
            ctx,
            Action.REGIONS_IMPORT,
            KIND,
            done.version,
            sha256=done.sha256,
            added=done.added,
            renamed=done.renamed,
            closed=done.closed,
            provinces=code_digests(ctx.session),
        )
    return done


def code_digests(reading: Reading, province: str = "") -> dict[str, str]:
    """Return the digest (hex) over all codes of each province, or of the one that is named, as they are stored."""
    found: dict[str, list[list[Any]]] = defaultdict(list)
    query = select(*(Region.__table__.c[name] for name in COLUMNS))
    if province:
        query = query.where(or_(Region.code == province, Region.code.startswith(f"{province}.", autoescape=True)))
    for *values, begins, ends in reading.execute(query):
        found[values[0][:PROVINCE]].append([*values, _moment(begins), _moment(ends)])
    return {code: hashlib.sha256(recorded.canonical(sorted(rows))).hexdigest() for code, rows in found.items()}


@lru_cache(maxsize=100)  # an import gives all its codes one moment
def _moment(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def recorded_digests(reading: Reading) -> dict[str, str]:
    """Return the digests that the newest import of codes recorded. They are empty if none did."""
    entry = AuditEntry.__table__
    stating = select(entry.c.data).where(
        entry.c.object_kind.in_((KIND, "database")), entry.c.action.in_((Action.REGIONS_IMPORT, Action.ROWS_ADOPT))
    )
    for data in reading.execute(stating.order_by(entry.c.id.desc())).scalars():  # ids are in the order of time
        if isinstance(data, dict) and isinstance(data.get("provinces"), dict):
            return dict(data["provinces"])
    return {}


def compare_codes(session: Session, after: str) -> Step:
    """Compare the codes of the next province with what the newest import recorded, for the worker's rounds."""
    stated = recorded_digests(session)
    there = set(session.scalars(select(func.substr(Region.code, 1, PROVINCE)).distinct()))
    ahead = sorted(code for code in {*stated, *there} if code > after)
    if not ahead:
        return Step([], "")
    code = ahead[0]
    return Step(differing_codes(session, stated, code), code if len(ahead) > 1 else "")


def differing_codes(reading: Reading, stated: dict[str, str], code: str = "") -> list[Difference]:
    """Return the provinces, or the one that is named, whose codes are not what was recorded."""
    found = code_digests(reading, code)
    wanted = {code} if code else {*stated, *found}
    return [Difference("region", one, _fault(stated, one), one) for one in sorted(wanted) if stated.get(one) != found.get(one)]


def _fault(stated: dict[str, str], code: str) -> Fault:
    return Fault.CHANGED if code in stated else Fault.UNRECORDED


def bring_layer(ctx: Context, home: Path, file: Path, code_property: str | None = None) -> dict[str, Any]:
    """Put a boundary layer in force and return its record. It must cover the regencies that are valid now.

    The audit entry is written before the layer is in use (`boundaries.import_layer`).
    """
    expected = set(ctx.session.scalars(select(Region.code).where(Region.level == 2, Region.valid_to.is_(None))))

    def note(layer: dict[str, Any]) -> None:
        record(ctx, Action.REGIONS_IMPORT, "boundary_layer", layer["sha256"], name=layer["name"], file_sha256=layer["file_sha256"])

    return boundaries.import_layer(home, file, expected, ctx.now, code_property, note)
