"""Rows that acts rest on. Each act that makes or changes one records its digest, so that a change past the service is found.

A model names its covered columns in one place (`__recorded__`) and is protected by one call (`protect`). A service hands the rows to
`record(…, rows=…)`; a session refuses to flush a new or changed row that was not handed over, and triggers refuse it to plain SQL.

A digest is SHA-256(salt ‖ JSON of kind, id, version and covered columns). The salt is that of the act's entry: names are personal data,
and nobody who has the digest alone can guess them. The digests of an act stand in `row_digest`, and their digest in the entry's `data`
(`rows_sha256`), which the transparency log seals: a changed row, a changed digest and an old row that was put back are each found by
what remains (`comparison`). A list and not one digest a row in the entry, because one act may make many thousands of rows.

Which columns are covered may change only with a migration that records all rows of the kind anew, as 0024 did.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, ClassVar, TypeAlias, cast
from uuid import UUID

from sqlalchemy import Integer, Table, event, inspect
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.orm.attributes import get_history

from sifilma.kernel import triggers

ROWS = "rows_sha256"
"""The name in an entry's `data` of the digest over the act's rows."""
ROW = "row_sha256"
"""The same of the one row that stands in the entry itself (`RecordedInEntry`)."""
_GIVEN = "_recorded_content"


class NotRecorded(AssertionError):
    """A row that acts rest on is about to be written, and no act has recorded it as it is now. This is a bug, not a refusal."""


class RecordedOnce:
    """A mixin for models whose covered columns never change. The act that makes the row records it as version 1."""

    __recorded__: ClassVar[tuple[str, ...]]


class Recorded(RecordedOnce):
    """A mixin for models whose covered columns change by acts. `version` grows by one with each."""

    version: Mapped[int] = mapped_column(Integer, default=1, server_default="1")


class RecordedInEntry(RecordedOnce):
    """A mixin for models of which each act makes one row, named by `act_id`: the digest stands in the entry, and costs no statement."""


Model: TypeAlias = type[RecordedOnce]
_kinds: dict[str, Model] = {}


@dataclass(frozen=True)
class Version:
    """One version of a row, as it is stored in `row_digest`. `object_id` and `digest` are in the form of the log: text."""

    kind: str
    object_id: str
    version: int
    digest: str

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id} {self.version} {self.digest}"


def protect(model: Model) -> None:
    """Cover a model, and register its triggers: plain SQL makes and changes no row without a digest, which names an act."""
    table = table_of(model)
    name = table.name
    _kinds[name] = model
    if issubclass(model, RecordedInEntry):
        return  # `act_id` and the room's own triggers demand the act and freeze the row
    changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in model.__recorded__)
    if issubclass(model, Recorded):
        first, is_next = _known(name, "1", "NEW.version = 1"), _known(name, "NEW.version", "NEW.version = OLD.version + 1")
        changed = f"(OLD.version <> NEW.version OR {changed}) AND NOT {is_next}"
        triggers.guard(f"{name}_recorded", name, "UPDATE", changed, f"{name}: changed by an act only, which records it")
    else:
        first = _known(name, "1", "")
        triggers.guard(f"{name}_recorded", name, "UPDATE", changed, f"{name}: what was recorded does not change")
    triggers.guard(f"{name}_recorded_first", name, "INSERT", f"NOT {first}", f"{name}: made by an act only, which records it")


def _known(name: str, version: str, also: str) -> str:
    found = f"EXISTS (SELECT 1 FROM row_digest d WHERE d.kind = '{name}' AND d.object_id = NEW.id AND d.version = {version})"  # noqa: S608  # a table's name
    return f"({also} AND {found})" if also else found


def kinds() -> dict[str, Model]:
    """Return the covered models by the name of their table."""
    return dict(_kinds)


def table_of(model: Model) -> Table:
    """Return the table of a model."""
    return cast(Table, cast(Any, model).__table__)


# --- digests -----------------------------------------------------------------------------------------------------------


def content(model: Model, values: Mapping[str, Any], version: int) -> bytes:
    """Return the bytes that a digest covers, the same for what is written and for what either database gives back."""
    row = {name: _plain(values[name]) for name in model.__recorded__}
    whole = {"kind": table_of(model).name, "id": _plain(values["id"]), "version": version, "row": row}
    return canonical(whole)


def canonical(value: Any) -> bytes:
    """Return texts, integers and mappings of them as JSON in one spelling: that of RFC 8785, where names are ASCII and numbers whole."""
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return plain.encode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return value.isoformat() if isinstance(value, date) else value


def salted(salt: bytes, plain: bytes) -> str:
    """Return the digest (hex) of a content."""
    return hashlib.sha256(salt + plain).hexdigest()


def digest_of_all(rows: Iterable[Version]) -> str:
    """Return the digest (hex) over the rows of an act, in whatever order they come."""
    return hashlib.sha256("\n".join(sorted(map(str, rows))).encode()).hexdigest()


def entry_facts(model: Model, values: Mapping[str, Any], salt: bytes) -> dict[str, str]:
    """Return what the entry of the act that makes the one row `values` says of it (`RecordedInEntry`)."""
    return {ROW: salted(salt, content(model, values, 1))}


# --- recording ---------------------------------------------------------------------------------------------------------


def keep(rows: Sequence[RecordedOnce], salt: bytes, act_id: UUID) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Give each row its next version. Return what the act's entry says of them, and the values of their `row_digest`.

    Every covered column has its final value, and none has changed since the last flush that was recorded before. Raise NotRecorded else.
    """
    made = [_keep(row, salt) for row in rows]
    stored = [
        {"kind": one.kind, "object_id": UUID(one.object_id), "version": one.version, "digest": bytes.fromhex(one.digest), "act_id": act_id}
        for one in made
    ]
    return {ROWS: digest_of_all(made)}, stored


def _keep(row: RecordedOnce, salt: bytes) -> Version:
    if _GIVEN in row.__dict__:
        raise NotRecorded(f"{_named(row)} was recorded already, and is not written yet")
    version = 1
    if isinstance(row, Recorded):
        version = row.version + 1 if inspect(row).persistent else 1
        row.version = version
    plain = content(type(row), _values(row), version)
    row.__dict__[_GIVEN] = plain
    return Version(table_of(type(row)).name, str(cast(Any, row).id), version, salted(salt, plain))


def _values(row: RecordedOnce) -> dict[str, Any]:
    columns = table_of(type(row)).columns
    values = {name: getattr(row, name) for name in ("id", *row.__recorded__)}
    missing = [name for name, value in values.items() if value is None and not columns[name].nullable]
    if missing:
        raise NotRecorded(f"{_named(row)} has no {', '.join(missing)} yet: a default at its INSERT would come after its digest")
    return values


def _named(row: Any) -> str:
    return f"{type(row).__name__} {row.id}"


def _require_recorded(session: Session, _context: Any, _instances: Any) -> None:
    """Raise NotRecorded for a row that the flush would write otherwise than an act has recorded it."""
    new = session.new  # made anew at each look: within the loop it would cost the square of the rows
    for row in (*new, *session.dirty):
        if isinstance(row, RecordedOnce) and (row in new or _is_changed(row)):
            given = row.__dict__.pop(_GIVEN, None)
            version = row.version if isinstance(row, Recorded) else 1
            if given is None or given != content(type(row), _values(row), version):
                raise NotRecorded(f"{_named(row)} is written without an act: hand it to `record(…, rows=…)` when it is as it shall be")


def _is_changed(row: RecordedOnce) -> bool:
    names = (*row.__recorded__, "version") if isinstance(row, Recorded) else row.__recorded__
    return any(get_history(row, name).has_changes() for name in names)


if not event.contains(Session, "before_flush", _require_recorded):
    event.listen(Session, "before_flush", _require_recorded)
