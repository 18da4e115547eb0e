"""Whether a row gives authority: its seal is verified where it is used. A row whose seal does not fit counts as absent, and is told."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Integer, cast, func, inspect, select, update
from sqlalchemy.orm import Session

from sifilma.audit.comparison import Difference, Fault
from sifilma.audit.models import Action, AuditEntry
from sifilma.audit.rounds import Step
from sifilma.audit.service import record, record_in
from sifilma.identity.models import LoginSession, User
from sifilma.kernel.context import Act, Context
from sifilma.kernel.seals import Sealed, columns, sealer_of
from sifilma.web import metrics

KINDS = {"user_account": "user", "login_session": "session"}
"""Kinds of objects in the record that are not called as their table."""
AT_ONCE = 100
"""Accounts of which the versions are compared in one part of a walk: each has its entries read."""
log = structlog.get_logger()


def kind_of(model: type[Sealed]) -> str:
    """Return how the record calls the objects of a model."""
    table = str(inspect(model).local_table.name)
    return KINDS.get(table, table)


def is_authentic(ctx: Context, model: type[Sealed], row: Any, prefix: str = "") -> bool:
    """Return whether the seal of a row fits. One that does not was written past the service: it is logged, counted and recorded.

    `row` is an object of the model, or a row with `seals.columns` under the same prefix. No statement is run now: the entry is written
    once the unit of work is closed, since the act goes on as if the row were not there.
    """
    if sealer_of(ctx.session).fits(model, row, prefix):
        return True
    _tell(ctx, kind_of(model), str(getattr(row, f"{prefix}{model.__sealed__[0]}")))
    return False


def _tell(ctx: Context, kind: str, key: str) -> None:
    """Record a row that does not count. The first ten times in an hour have an entry each, the others a common one (`kernel.rates`)."""
    log.error("row not sealed", kind=kind, id=key)
    metrics.NOT_SEALED.labels(kind).inc()
    told = sealer_of(ctx.session).told
    for ended in told.take_ended():
        _write(ctx, *ended.noted, count=ended.unrecorded, since=str(ended.since), until=str(ended.until))
    if told.is_first((kind, key), (kind, key), ctx.now):
        _write(ctx, kind, key)


def _write(ctx: Context, kind: str, key: str, **facts: Any) -> None:
    ctx.uow.afterwards(lambda session: record_in(session, ctx, Action.SEAL_REFUSED, kind, key, **facts))


def record_change(ctx: Context, action: Action, user: User, **facts: Any) -> Act:
    """Record a change of an account with the version that it leads to, by which an old row that is put back is found."""
    ctx.session.flush()
    return record(ctx, action, "user", user.id, organisation_id=user.organisation_id, version=user.authority_version, **facts)


def carry_sessions(ctx: Context, user: User, version: int, *where: Any) -> None:
    """Bind the running sessions of an account that meet the conditions to its present version. `version` is the one they are bound to.

    For acts after which sessions go on. All others end with the version.
    """
    sealer, bound = sealer_of(ctx.session), (LoginSession.user_id == user.id, LoginSession.authority_version == version)
    running = select(*columns(LoginSession)).where(*bound, LoginSession.ended_at.is_(None), *where)
    for row in ctx.session.execute(running).all():
        if is_authentic(ctx, LoginSession, row):
            values = row._asdict() | {"authority_version": user.authority_version}
            ctx.session.execute(
                update(LoginSession)
                .where(LoginSession.id == row.id, LoginSession.seal == row.seal)
                .values(authority_version=user.authority_version, seal=sealer.seal(LoginSession, values))
                .execution_options(synchronize_session=False)
            )


# --- old rows put back ------------------------------------------------------------------------------------------------


def compare_versions(session: Session, after: str) -> Step:
    """Compare the versions of the next accounts with those that the record of acts states, for the worker's rounds.

    An old row that is put back with the seal it had counts again; its version is an earlier one.
    """
    part = select(User.id, User.authority_version).where(User.id > (UUID(after) if after else UUID(int=0)))
    rows = session.execute(part.order_by(User.id).limit(AT_ONCE)).all()
    version = AuditEntry.data["version"].as_string()
    stating = (AuditEntry.object_kind == kind_of(User), AuditEntry.action.not_like("session.%"), version.is_not(None))
    named = select(AuditEntry.object_id, func.max(cast(version, Integer))).where(*stating)
    mine = named.where(AuditEntry.object_id.in_([str(row.id) for row in rows])).group_by(AuditEntry.object_id)
    newest: dict[str, int] = dict(session.execute(mine).all())
    found = (_difference(str(row.id), row.authority_version, newest.get(str(row.id), 0)) for row in rows)
    return Step([one for one in found if one is not None], str(rows[-1].id) if len(rows) == AT_ONCE else "")


def _difference(key: str, own: int, newest: int) -> Difference | None:
    fault = Fault.OLD if own < newest else Fault.AHEAD
    return None if own == newest else Difference(kind_of(User), key, fault, key, newest)
