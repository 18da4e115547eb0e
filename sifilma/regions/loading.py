"""Import the region codes of npm `idn-area-data` (dotted codes in four CSV files)."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import say
from sifilma.regions import codes
from sifilma.regions.models import Region, RegionSource

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "node_modules" / "idn-area-data"
FILES = ("provinces", "regencies", "districts", "villages")
REGENCY = 2
CHUNK = 5000  # rows per INSERT


@dataclass(frozen=True)
class ImportResult:
    """The result of an import: codes added, renamed and closed, version and SHA-256 (hex) of the source.

    `imported` is False if this version was imported before.
    """

    version: str
    added: int
    renamed: int
    closed: int
    sha256: str
    imported: bool


def import_codes(session: Session, now: datetime, folder: Path = DEFAULT_FOLDER) -> ImportResult:
    """Bring the table to the codes of this version. Codes that the version lacks are closed, never deleted.

    Does nothing if the version was imported before. Raise Invalid if the folder does not hold the package.
    """
    version, digest = _source(folder)
    if session.scalar(select(RegionSource.id).where(RegionSource.sha256 == digest)):
        return ImportResult(version, 0, 0, 0, digest, imported=False)
    known = {row.code: row for row in session.execute(select(Region.code, Region.name, Region.valid_to))}
    rows = list(_rows(folder))
    new = [row | {"version": version, "valid_from": now} for row in rows if row["code"] not in known]
    for start in range(0, len(new), CHUNK):
        session.execute(insert(Region), new[start : start + CHUNK])
    changed = [row for row in rows if row["code"] in known and _differs(known[row["code"]], row)]
    for row in changed:
        # A code that came back in this version is open again.
        session.execute(update(Region).where(Region.code == row["code"]).values(name=row["name"], valid_to=None))
    gone = [code for code, row in known.items() if row.valid_to is None] if known else []
    missing = sorted(set(gone) - {row["code"] for row in rows})
    for code in missing:
        session.execute(update(Region).where(Region.code == code).values(valid_to=now))
    session.execute(insert(RegionSource), {"name": "idn-area-data", "version": version, "sha256": digest, "imported_at": now})
    return ImportResult(version, len(new), len(changed), len(missing), digest, imported=True)


@lru_cache(maxsize=1)
def district_codes() -> frozenset[str]:
    """Return the codes of all districts, as six digits without dots. Raise Invalid if the installed package cannot be read."""
    try:
        with (DEFAULT_FOLDER / "data" / "districts.csv").open(encoding="utf-8", newline="") as file:
            return frozenset(row["code"].replace(".", "") for row in csv.DictReader(file))
    except (OSError, KeyError) as broken:
        raise _absent(DEFAULT_FOLDER, broken) from broken


def names() -> dict[str, str]:
    """Return the names of all codes of the installed package. Raise Invalid if it cannot be read."""
    try:
        return {row["code"]: row["name"] for row in _rows(DEFAULT_FOLDER)}
    except (OSError, KeyError) as broken:
        raise _absent(DEFAULT_FOLDER, broken) from broken


def regency_names() -> dict[str, str]:
    """Return the names of all regencies and cities by code, as `names` does."""
    return {code: name for code, name in names().items() if codes.level(code) == REGENCY}


def _absent(folder: Path, why: Exception) -> Invalid:
    return Invalid(say("%(folder)s does not hold idn-area-data: %(reason)s.", folder=folder, reason=type(why).__name__))


def _differs(known: Any, row: dict[str, Any]) -> bool:
    return bool(known.name != row["name"] or known.valid_to is not None)


def _source(folder: Path) -> tuple[str, str]:
    try:
        version = str(json.loads((folder / "package.json").read_text())["version"])
        digest = hashlib.sha256()
        for name in FILES:
            digest.update((folder / "data" / f"{name}.csv").read_bytes())
    except (OSError, KeyError, ValueError) as broken:
        raise _absent(folder, broken) from broken
    return version, digest.hexdigest()


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    for name in FILES:
        with (folder / "data" / f"{name}.csv").open(newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                code = codes.normalise(row["code"])
                yield {"code": code, "name": row["name"].strip(), "level": codes.level(code), "parent_code": codes.parent(code)}
