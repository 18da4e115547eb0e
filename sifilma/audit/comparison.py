"""Compare rows that acts rest on with what their newest act recorded (`recorded`), in bounded parts.

Rows are walked kind by kind, and acts in the order of their entries. What one walk cannot see the other does: the first finds a row that
is not what its digest says, the second a digest that is not what its entry says. The entries themselves are held by the log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, Select, and_, func, select
from sqlalchemy.orm import Session

from sifilma.audit import recorded
from sifilma.audit.models import AuditEntry, RowDigest
from sifilma.audit.recorded import Model, Recorded, RecordedInEntry, Version
from sifilma.audit.store import UNREADABLE, as_bytes

FIRST = UUID(int=0)
AT_ONCE = 500  # values in one IN
Reading: TypeAlias = Session | Connection
Whole: TypeAlias = Callable[[Select[Any]], Select[Any]]
_digest, _entry = RowDigest.__table__, AuditEntry.__table__
_newer = _digest.alias("newer")


class Fault(StrEnum):
    """What was done to a row, its digest or its act."""

    UNRECORDED = "unrecorded"
    CHANGED = "changed"
    OLD = "old"
    AHEAD = "ahead"
    GONE = "gone"
    ACT = "act"


SAYS = {
    Fault.UNRECORDED: "stands on no act",
    Fault.CHANGED: "is not what its newest act recorded",
    Fault.OLD: "is an old version: the record of acts has version {version}",
    Fault.AHEAD: "has a version that no act made: the record of acts has version {version}",
    Fault.GONE: "was recorded (version {version}) and is not there",
    Fault.ACT: "did not leave the rows whose digests name it",
}


@dataclass(frozen=True)
class Difference:
    """One row (or act) that does not fit. `version` is the newest that was recorded, 0 for none. `place` is its key in the walk."""

    kind: str
    id: str
    fault: Fault
    place: str
    version: int = 0

    @property
    def says(self) -> str:
        """Return a sentence about it, without its subject."""
        return SAYS[self.fault].format(version=self.version)


@dataclass(frozen=True)
class Part:
    """The result of one part of a walk. `last` is the key it came to, or None at the end of the walk."""

    differences: list[Difference]
    last: UUID | None


def compare_rows(reading: Reading, model: Model, after: UUID, limit: int) -> Part:
    """Compare the next rows of one kind, in the order of their ids, in one statement."""
    kind, id_ = recorded.table_of(model).name, recorded.table_of(model).c.id
    found = _rows(reading, lambda part: _with_digests(model, part), select(*_columns(model)), id_, after, limit)
    compared = ((key, _compared(model, row)) for key, row in found)
    differences = [Difference(kind, str(key), fault, str(key), version) for key, (fault, version) in compared if fault is not None]
    return Part(differences, found[-1][0] if len(found) == limit else None)


def compare_row(reading: Reading, model: Model, row_id: UUID) -> Difference | None:
    """Compare one row, in one statement. Return how it differs, or None if it fits or is not there."""
    kind, id_ = recorded.table_of(model).name, recorded.table_of(model).c.id
    for row in reading.execute(_with_digests(model, select(*_columns(model)).where(id_ == row_id))).mappings():
        fault, version = _compared(model, row)
        return Difference(kind, str(row_id), fault, str(row_id), version) if fault is not None else None
    return None


def _columns(model: Model) -> list[Any]:
    table = recorded.table_of(model)
    more = ["version"] if issubclass(model, Recorded) else []
    more += ["act_id"] if issubclass(model, RecordedInEntry) else []
    return [table.c[name] for name in ("id", *model.__recorded__, *more)]


def _with_digests(model: Model, part: Select[Any]) -> Select[Any]:
    """Return rows with their newest digest. The rows come from a part of the table, so that each digest is looked up by its key."""
    kind, own = recorded.table_of(model).name, part.subquery("part")
    newest = select(func.max(_newer.c.version)).where(_newer.c.kind == kind, _newer.c.object_id == own.c.id).scalar_subquery()
    digest = and_(_digest.c.kind == kind, _digest.c.object_id == own.c.id, _digest.c.version == newest)
    query = select(*own.c, _digest.c.version.label("newest"), _digest.c.digest, _entry.c.salt)
    joined = own.outerjoin(_digest, digest).outerjoin(_entry, _entry.c.id == _digest.c.act_id)
    if issubclass(model, RecordedInEntry):
        act = _entry.alias("act")
        joined = joined.outerjoin(act, and_(act.c.id == own.c.act_id, act.c.object_kind == kind))
        query = query.add_columns(act.c.data.label("act_data"), act.c.salt.label("act_salt"), act.c.object_id.label("act_object"))
    return query.select_from(joined).order_by(own.c.id)


def _rows(reading: Reading, whole: Whole, query: Select[Any], id_: Any, after: UUID, limit: int) -> list[tuple[UUID, Any]]:
    """Return rows by their id. A row that cannot be read is None; to find it, the rows are read one by one."""
    part = query.where(id_ > after).order_by(id_).limit(limit)
    try:
        return [(row["id"], row) for row in reading.execute(whole(part)).mappings()]
    except UNREADABLE:
        ids = reading.execute(select(id_).where(id_ > after).order_by(id_).limit(limit)).scalars().all()
        return [(key, _one(reading, whole(query.where(id_ == key)))) for key in ids]


def _one(reading: Reading, query: Select[Any]) -> Any:
    try:
        return reading.execute(query).mappings().first()
    except UNREADABLE:
        return None


def _compared(model: Model, row: Any) -> tuple[Fault | None, int]:
    """Return how a row differs from its newest digest, and the version of that."""
    if row is None:
        return Fault.CHANGED, 0
    if issubclass(model, RecordedInEntry) and row["newest"] is None:
        stated = row["act_data"].get(recorded.ROW) if isinstance(row["act_data"], dict) else None
        if stated is None or row["act_object"] != str(row["id"]):
            return Fault.UNRECORDED, 0
        return (None if _digest_of(model, row, 1, row["act_salt"]) == stated else Fault.CHANGED), 1
    newest, salt = row["newest"], row["salt"]
    if newest is None or salt is None:
        return Fault.UNRECORDED, newest or 0
    own = row["version"] if issubclass(model, Recorded) else 1
    if own != newest:
        return (Fault.OLD if isinstance(own, int) and own < newest else Fault.AHEAD), newest
    return (None if _digest_of(model, row, own, salt) == as_bytes(row["digest"]).hex() else Fault.CHANGED), newest


def _digest_of(model: Model, row: Any, version: int, salt: object) -> str:
    try:
        return recorded.salted(as_bytes(salt), recorded.content(model, row, version))
    except UNREADABLE:  # a value of a type that this program never writes
        return ""


# --- acts --------------------------------------------------------------------------------------------------------------


def compare_acts(reading: Reading, after: UUID, limit: int) -> Part:
    """Compare the next acts with the digests that name them, and look whether what those are of is there."""
    found = _rows(reading, lambda part: part, select(_entry.c.id, _entry.c.data), _entry.c.id, after, limit)
    kept = _digests(reading, [key for key, _ in found])
    differences = [Difference("audit_entry", str(key), Fault.ACT, str(key)) for key, row in found if not _fits(row, kept.get(key, []))]
    differences += _gone(reading, kept)
    return Part(differences, found[-1][0] if len(found) == limit else None)


def _digests(reading: Reading, act_ids: Sequence[UUID]) -> dict[UUID, list[Version]]:
    kept: dict[UUID, list[Version]] = defaultdict(list)
    query = select(_digest.c.act_id, _digest.c.kind, _digest.c.object_id, _digest.c.version, _digest.c.digest)
    for some in _portions(act_ids):
        for act, kind, object_id, version, digest in reading.execute(query.where(_digest.c.act_id.in_(some))):
            kept[act].append(Version(kind, str(object_id), version, as_bytes(digest).hex()))
    return kept


def _fits(row: Any, kept: Sequence[Version]) -> bool:
    """Return whether the rows of an act are those that its entry states. An entry that cannot be read is reported by the log."""
    data = row["data"] if row is not None and isinstance(row["data"], dict) else {}
    stated = data.get(recorded.ROWS)
    return stated == (recorded.digest_of_all(kept) if kept else None)


def _gone(reading: Reading, kept: dict[UUID, list[Version]]) -> Iterator[Difference]:
    for kind, model in recorded.kinds().items():
        named = {UUID(one.object_id): (act, one.version) for act, rows in kept.items() for one in rows if one.kind == kind}
        id_ = recorded.table_of(model).c.id
        there: set[UUID] = set()
        for some in _portions(list(named)):
            there.update(reading.execute(select(id_).where(id_.in_(some))).scalars())
        for object_id, (act, version) in named.items():
            if object_id not in there:
                yield Difference(kind, str(object_id), Fault.GONE, str(act), version)


def _portions(values: Sequence[UUID]) -> Iterable[Sequence[UUID]]:
    return (values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE))
