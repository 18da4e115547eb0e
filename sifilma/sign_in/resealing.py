"""Seals made anew: for what stood before there were seals, after an exchange of the secret key, and for what a person has looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, inspect, select, update
from sqlalchemy.orm import sessionmaker

from config.settings import Settings
from sifilma.audit.models import Action, AuditEntry
from sifilma.audit.service import record
from sifilma.identity.models import ApiKey, LoginSession, User
from sifilma.kernel import sealing, seals
from sifilma.kernel.clock import Clock
from sifilma.kernel.context import Context
from sifilma.kernel.db import Base, changed
from sifilma.kernel.errors import NotFound
from sifilma.kernel.seals import Sealed, Sealer, columns, sealer_of, stored
from sifilma.kernel.text import say
from sifilma.kernel.unit_of_work import UnitOfWork
from sifilma.sign_in import totp
from sifilma.sign_in.authority import kind_of
from sifilma.sign_in.service import end_sessions

SEED = "totp_sealed"
AT_ONCE = 1000


@dataclass(frozen=True)
class Stranger:
    """A row that stands and whose seal fits no key: its model, and its columns as stored."""

    model: type[Sealed]
    row: Any

    def __str__(self) -> str:
        name = f" ({self.row.username})" if self.model is User else ""
        return f"{kind_of(self.model)} {self.row.id}{name}"


@dataclass
class Renewed:
    """What `renew` did: how many rows of each kind have a new seal, and the rows it refused."""

    counts: Counter[str] = field(default_factory=Counter)
    strangers: list[Stranger] = field(default_factory=list)


def models() -> list[type[Sealed]]:
    """Return every sealed model whose rows last. The challenge of a passkey lives for minutes, and is not among them."""
    every = (mapper.class_ for mapper in Base.registry.mappers)
    lasting = [model for model in every if issubclass(model, Sealed) and (model.__ends__ or model.__version__)]
    return sorted(lasting, key=kind_of)


def standing(ctx: Context, model: type[Sealed]) -> Iterator[Any]:
    """Yield the rows of a model that could count (`seals.columns`), AT_ONCE read at a time: old sessions are never deleted."""
    key, after = inspect(model).primary_key[0], UUID(int=0)
    query = select(*columns(model)).where(*model.standing(ctx.now)).order_by(key).limit(AT_ONCE)
    while rows := ctx.session.execute(query.where(key > after)).all():
        yield from rows
        after = rows[-1].id


def seal_what_stands(connection: Connection, settings: Settings, clock: Clock) -> None:
    """Seal the rows of a database that had no seals until now, in the transaction of its migration, and record it.

    Whoever upgrades vouches for them. Running sessions end instead: signing in again costs little.
    """
    unit = UnitOfWork(sessionmaker(connection, info={seals.INFO: Sealer(settings)}))
    ctx = Context(unit, clock)
    end_sessions(ctx, "seals made")
    counts: dict[str, Any] = {kind_of(model): _seal_all(ctx, model) for model in models() if model is not LoginSession}
    record(ctx, Action.SEAL_VOUCH, "seal", "upgrade", **counts)
    ctx.session.flush()
    unit.close()  # the transaction is the migration's, and stays open


WIDER: dict[str, tuple[type[Sealed], tuple[str, ...]]] = {"0022": (ApiKey, ("scopes", "addresses", "expires_at"))}
"""Columns that a migration filled in and that seals cover since: by its revision, the model and the columns."""


def seal_wider(connection: Connection, settings: Settings, clock: Clock, before: str) -> None:
    """Seal the new columns of rows too, in the transaction of their migration, and record it. `before` is the revision of before.

    Only a row whose seal fits without these columns is sealed anew; of another nothing is made right.
    """
    unit = UnitOfWork(sessionmaker(connection, info={seals.INFO: Sealer(settings)}))
    ctx = Context(unit, clock)
    counts = {kind_of(model): _widen(ctx, model, columns) for since, (model, columns) in WIDER.items() if before < since}
    if any(counts.values()):
        facts: dict[str, Any] = dict(counts)
        record(ctx, Action.SEAL_RENEW, "seal", "upgrade", **facts)
        ctx.session.flush()
    unit.close()  # the transaction is the migration's, and stays open


def _widen(ctx: Context, model: type[Sealed], new: tuple[str, ...]) -> int:
    done, sealer = 0, sealer_of(ctx.session)
    for row in standing(ctx, model):
        if sealer.fits(model, SimpleNamespace(**(row._asdict() | dict.fromkeys(new)))):
            done += _write(ctx, model, row, {})
    return done


def _seal_all(ctx: Context, model: type[Sealed]) -> int:
    unsealed = [row for row in standing(ctx, model) if row.seal is None]
    for row in unsealed:
        _write(ctx, model, row, {})
    return len(unsealed)


def renew(ctx: Context, settings: Settings) -> Renewed:
    """Seal with the current key what is sealed with the previous one: rows, and the seeds of authenticators in them.

    A row whose present seal fits neither key is refused and named. Versions stay: nothing of an account changes.
    """
    done, sealer = Renewed(), sealer_of(ctx.session)
    for model in models():
        for row in standing(ctx, model):
            if not sealer.fits(model, row):
                done.strangers.append(Stranger(model, row))
                continue
            values = _seed_anew(settings, row)
            if (values or not sealer.is_current(model, row)) and _write(ctx, model, row, values):
                done.counts[kind_of(model)] += 1
    if done.counts:
        counts: dict[str, Any] = dict(done.counts)
        record(ctx, Action.SEAL_RENEW, "seal", "key", **counts)
    return done


def _seed_anew(settings: Settings, row: Any) -> dict[str, Any]:
    """Return the seed of an account or invitation, sealed with the current key, if it is sealed with the previous one."""
    present = getattr(row, SEED, None)
    if present is None:
        return {}
    anew = sealing.seal_anew(settings, totp.PURPOSE, str(getattr(row, "user_id", row.id)), bytes(present))
    return {} if anew is None else {SEED: anew}


def _write(ctx: Context, model: type[Sealed], row: Any, values: dict[str, Any]) -> bool:
    """Seal a row that still has the seal that was read. Return whether it was written."""
    table: Any = model
    seal = sealer_of(ctx.session).seal(model, row._asdict() | values)
    same = table.seal.is_(None) if row.seal is None else table.seal == row.seal
    written = update(table).where(table.id == row.id, same).values(**values, seal=seal)
    return changed(ctx.session.execute(written.execution_options(synchronize_session=False))) == 1


def vouch(ctx: Context, username: str) -> None:
    """Seal an account as it is stored now, because a person has looked at it, and record that. Its sessions end.

    Raise NotFound for an unknown user name.
    """
    row = stored(ctx.session, User, User.username == username)
    if row is None:
        raise NotFound(say("There is no account %(name)s.", name=username))
    entries = select(AuditEntry.data).where(AuditEntry.object_kind == "user", AuditEntry.object_id == str(row.id))
    newest = max((int(data.get("version", 0)) for data in ctx.session.scalars(entries)), default=0)
    version = max(row.authority_version, newest) + 1  # also for an old row that was put back
    _write(ctx, User, row, {"authority_version": version})
    end_sessions(ctx, "vouched for", LoginSession.user_id == row.id)
    roles = " ".join(sorted(row.roles.split()))
    record(ctx, Action.SEAL_VOUCH, "user", row.id, organisation_id=row.organisation_id, version=version, roles=roles, state=row.state)


def end(ctx: Context, stranger: Stranger) -> bool:
    """End a row whose seal does not fit, and record it. Return False for an account: that is vouched for, or disabled by SQL."""
    model: Any = stranger.model
    if not model.__ends__:
        return False
    ended = update(model).where(model.id == stranger.row.id).values({model.__ends__: ctx.now, "seal": None})
    ctx.session.execute(ended.execution_options(synchronize_session=False))
    record(ctx, Action.SEAL_END, kind_of(model), stranger.row.id)
    return True
