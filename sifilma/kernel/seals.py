"""Seals: an HMAC over each row from which authority follows, so that a row planted or changed by SQL counts as absent.

The key is derived from the settings and not kept in the HSM: an outage of the HSM must not stop signing in. A model names its covered
columns in one place (`Sealed.__sealed__`); sessions seal what they flush, a trigger refuses a change of a covered column that leaves the
seal as it was. docs/security.md says what this holds against, and what it does not.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from operator import attrgetter
from typing import Any, ClassVar, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Label, LargeBinary, Table, event, inspect, select
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.orm.attributes import get_history

from config.settings import Settings
from sifilma.kernel import sealing, triggers
from sifilma.kernel.errors import NotSealed
from sifilma.kernel.rates import Repetitions

PURPOSE = "seals"
INFO = "sealer"
"""The key under which a session's `info` holds its Sealer."""
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class Sealed:
    """A mixin for models. `seal` covers the columns `__sealed__`; it is None where the row never counts.

    `__ends__` names the column that ends a row for good: once it is set the seal is taken off, so that emptying the column again revives
    nothing. `__version__` names a column that grows with each change of a covered one. `__sealed_as__` spells values that have several
    forms. A column that is None is left out of what is sealed, so a nullable column may be added to `__sealed__` in a later version.
    """

    __sealed__: ClassVar[tuple[str, ...]]
    __sealed_as__: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    __ends__: ClassVar[str] = ""
    __version__: ClassVar[str] = ""

    seal: Mapped[bytes | None] = mapped_column(LargeBinary)

    @classmethod
    def standing(cls, _now: datetime) -> list[ColumnElement[bool]]:
        """Return the conditions of rows that could count at a moment: only they need a seal that fits."""
        return [getattr(cls, cls.__ends__).is_(None)] if cls.__ends__ else []

    def sealed_beside(self, _session: Session) -> dict[str, Any]:
        """Return covered values that are no columns of the row, as they are after the flush that is about to happen."""
        return {}


class Part:
    """A mixin for rows that are covered by the seal of another row, which is sealed anew with them."""

    def whole(self, session: Session) -> Sealed:
        """Return the row whose seal covers this one."""
        raise NotImplementedError


class Sealer:
    """Seals rows with the current key, and accepts those of the previous key too. It knows no database."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.told: Repetitions[tuple[str, str]] = Repetitions()
        """Which rows that do not fit were told of lately, by kind and id."""

    @cached_property
    def keys(self) -> tuple[bytes, ...]:
        """Return the keys, the current one first. Raise SettingsError without SIFILMA_SECRET_KEY."""
        return sealing.keys(self._settings, PURPOSE)

    def seal(self, model: type[Sealed], values: Mapping[str, Any]) -> bytes:
        """Return the seal (32 bytes, HMAC-SHA-256) of a row. `values` has each covered column by its name."""
        return hmac.digest(self.keys[0], _message(model, [values[name] for name in model.__sealed__]), "sha256")

    def fits(self, model: type[Sealed], row: Any, prefix: str = "") -> bool:
        """Return whether the seal of a row fits its columns under the current or the previous key.

        `row` is an object of the model, or a row of a query with `columns` under the same prefix.
        """
        return self._fits(model, row, prefix, self.keys)

    def is_current(self, model: type[Sealed], row: Any, prefix: str = "") -> bool:
        """Return whether the seal fits under the current key."""
        return self._fits(model, row, prefix, self.keys[:1])

    def _fits(self, model: Any, row: Any, prefix: str, keys: Sequence[bytes]) -> bool:
        present: bytes | None = getattr(row, f"{prefix}seal")
        if not present:
            return False
        message = _message(model, _reader(model, prefix)(row))
        return any(hmac.compare_digest(hmac.digest(key, message, "sha256"), present) for key in keys)


def sealer_of(session: Session) -> Sealer:
    """Return the Sealer of a session. Raise RuntimeError for a session that was made without one."""
    found: Sealer | None = session.info.get(INFO)
    if found is None:
        raise RuntimeError("this session has no Sealer: rows of authority can neither be written nor trusted")
    return found


def columns(model: type[Sealed], prefix: str = "") -> list[Label[Any]]:
    """Return the covered columns and the seal for a select, labelled with a prefix."""
    return [getattr(model, name).label(f"{prefix}{name}") for name in (*model.__sealed__, "seal")]


def stored(session: Session, model: type[Sealed], *where: Any) -> Any:
    """Return the row as it is stored now (`columns`), or None, whatever the session knows of it."""
    return session.execute(select(*columns(model)).where(*where)).first()


def protect(model: type[Sealed]) -> None:
    """Register the trigger that refuses a change of covered columns which keeps the seal: whoever forgets to seal is told at once."""
    table = _table(model)
    own = [name for name in model.__sealed__ if name in table.columns]
    changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in own)
    triggers.guard(
        f"{table.name}_sealed",
        table.name,
        "UPDATE",
        f"({changed}) AND NEW.seal IS NOT NULL AND NOT (NEW.seal IS DISTINCT FROM OLD.seal)",
        f"{table.name}: what gives authority changes with its seal",
    )
    if model.__version__:
        grows = f"NEW.{model.__version__} < OLD.{model.__version__}"
        triggers.guard(f"{table.name}_version_grows", table.name, "UPDATE", grows, f"{table.name}: its version only grows")


def _table(model: type[Sealed]) -> Table:
    return cast(Table, cast(Any, model).__table__)


# --- what is sealed --------------------------------------------------------------------------------------------------


def _message(model: Any, values: Iterable[Any]) -> bytes:
    """Return the bytes that the seal covers: the table's name, then name, length, type and value of each column that is not None."""
    parts = [_head(model)]
    for (name, spelled), value in zip(_names(model), values, strict=True):
        if value is not None:
            body = _plain(value if spelled is None else spelled(value))
            parts.append(b"%b%d:%b" % (name, len(body), body))
    return b"".join(parts)


@cache
def _head(model: Any) -> bytes:
    return f"{_table(model).name};".encode()


@cache
def _names(model: Any) -> list[tuple[bytes, Callable[[Any], Any] | None]]:
    return [(f"{name}=".encode(), model.__sealed_as__.get(name)) for name in model.__sealed__]


@cache
def _reader(model: Any, prefix: str) -> Callable[[Any], tuple[Any, ...]]:
    return attrgetter(*(f"{prefix}{name}" for name in model.__sealed__))


_PLAIN: dict[type, Callable[[Any], bytes]] = {
    str: lambda value: b"s" + value.encode(),
    bytes: lambda value: b"b" + value,
    UUID: lambda value: b"u" + value.bytes,
    int: lambda value: b"i%d" % value,
    datetime: lambda value: b"t%d" % ((value - EPOCH) // MICROSECOND),
}


def _plain(value: Any) -> bytes:
    """Return the bytes of a value, the same for what is written and what either database gives back. Raise TypeError for other types."""
    known = _PLAIN.get(type(value))
    if known is not None:
        return known(value)
    if isinstance(value, str | int):  # enumerations and booleans, which come back as what they are made of
        return _PLAIN[str](str(value)) if isinstance(value, str) else _PLAIN[int](int(value))
    if isinstance(value, memoryview | bytearray):
        return b"b" + bytes(value)
    raise TypeError(f"a {type(value).__name__} cannot be sealed")


# --- sealing what is flushed -----------------------------------------------------------------------------------------


def _seal_flush(session: Session, _context: Any, _instances: Any) -> None:
    """Seal every row that the flush is about to write and that is new or changed in a covered column."""
    with session.no_autoflush:
        for row in _touched(session):
            if inspect(row).persistent:
                _seal_again(session, row)
            else:
                _seal_new(session, row)


def _touched(session: Session) -> list[Sealed]:
    """Return the rows to be sealed, each once."""
    found: dict[int, Sealed] = {}
    new = session.new  # made anew at each look: within the loop it would cost the square of the rows
    for row in (*new, *session.dirty):
        if isinstance(row, Part):
            whole = row.whole(session)
            found[id(whole)] = whole
        elif isinstance(row, Sealed) and (row in new or any(_changed(row))):
            found[id(row)] = row
    return list(found.values())


def _changed(row: Sealed) -> Iterator[str]:
    """Yield the covered columns that differ from what was loaded, and that which ends the row."""
    own = _table(type(row)).columns
    for name in (*row.__sealed__, row.__ends__):
        if name in own and name != row.__version__ and get_history(row, name).has_changes():
            yield name


def _seal_new(session: Session, row: Sealed) -> None:
    own = _table(type(row)).columns
    for name in row.__sealed__:
        if name in own and getattr(row, name) is None:
            setattr(row, name, _default(own[name].default))
    if row.__version__:
        setattr(row, row.__version__, 1)
    beside = row.sealed_beside(session)
    values = {name: beside[name] if name in beside else getattr(row, name) for name in row.__sealed__}
    row.seal = sealer_of(session).seal(type(row), values)


def _default(default: Any) -> Any:
    """Return what a column would be given at the INSERT, which is too late to be sealed."""
    if default is None:
        return None
    return default.arg(None) if default.is_callable else default.arg


def _seal_again(session: Session, row: Sealed) -> None:
    """Seal a changed row over what is stored now and what changes. Raise NotSealed if what is stored was not sealed by the service.

    The row is locked and read first: another transaction may have changed another covered column since the session loaded it.
    """
    model = type(row)
    if row.__ends__ and getattr(row, row.__ends__) is not None:
        row.seal = None
        return
    keys = inspect(model).primary_key
    where = [column == key for column, key in zip(keys, inspect(row).identity, strict=True)]
    if session.get_bind().dialect.name == "postgresql":
        # In a statement of its own: what it waited for is seen by the next one only.
        session.execute(select(*keys).where(*where).with_for_update())
    before = stored(session, model, *where)
    sealer = sealer_of(session)
    if before is None or not sealer.fits(model, before):
        raise NotSealed()
    values = {name: getattr(before, name) for name in row.__sealed__} | {name: getattr(row, name) for name in _changed(row)}
    values |= row.sealed_beside(session)
    if row.__version__:
        values[row.__version__] = getattr(before, row.__version__) + 1
        setattr(row, row.__version__, values[row.__version__])
    row.seal = sealer.seal(model, values)


def seal_flushes() -> None:
    """Have every session of the process seal what it flushes. Calling it twice is harmless."""
    if not event.contains(Session, "before_flush", _seal_flush):
        event.listen(Session, "before_flush", _seal_flush)


seal_flushes()
