"""Bring files that versions of before kept in a folder into the database. It can be broken off and repeated; the folder stays as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, Row, exists, literal, select, union_all
from sqlalchemy.orm import Session

from sifilma.documents.models import Document, StoredFile
from sifilma.documents.store import DatabaseStore
from sifilma.kept_forms.models import KeptFile

AT_ONCE = 20
"""Files of one transaction."""


@dataclass(frozen=True)
class Missing:
    """A file that rows name and that could not be brought: its SHA-256, what names it, and why."""

    sha256: str
    named_by: str
    why: str

    def __str__(self) -> str:
        return f"{self.named_by}: its file {self.sha256[:2]}/{self.sha256[2:]} {self.why}"


@dataclass
class Brought:
    """What was done: how many files were stored, and which were not."""

    count: int = 0
    missing: list[Missing] = field(default_factory=list)


def bring(engine: Engine, folder: Path) -> Brought:
    """Store every file that a row names and the database does not hold, if the folder has it as its SHA-256 says."""
    done, store = Brought(), DatabaseStore()
    after = ""
    while True:
        with Session(engine) as session, session.begin():
            rows = _lacking(session, after)
            for row in rows:
                data, why = _read(folder, row.sha256)
                if data is None:
                    done.missing.append(Missing(row.sha256, row.named_by, why))
                    continue
                store.put(session, data)
                done.count += 1
        if not rows:
            return done
        after = rows[-1].sha256


def _lacking(session: Session, after: str) -> Sequence[Row[str, str]]:
    """Return digests that rows name and no stored file has, each once: some at once, in their order."""
    named = union_all(
        select(Document.sha256, (literal("document ") + Document.kind + " " + Document.filename).label("named_by")),
        select(KeptFile.sha256, literal("kept_file").label("named_by")),
    ).subquery()
    lacking = select(named.c.sha256, named.c.named_by).where(~exists().where(StoredFile.sha256 == named.c.sha256))
    found = session.execute(lacking.where(named.c.sha256 > after).order_by(named.c.sha256).limit(AT_ONCE)).all()
    return list({row.sha256: row for row in found}.values())


def _read(folder: Path, sha256: str) -> tuple[bytes | None, str]:
    try:
        data = (folder / sha256[:2] / sha256[2:]).read_bytes()
    except OSError:
        return None, f"is not in {folder}"
    if hashlib.sha256(data).hexdigest() != sha256:
        return None, f"in {folder} was changed"
    return data, ""
