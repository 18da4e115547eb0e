"""Whether a row gives authority: its seal is verified where it is used. A row whose seal does not fit counts as absent, and is told."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import inspect, select, update

from sifilma.audit.models import Action
from sifilma.audit.service import record, record_in
from sifilma.identity.models import LoginSession, User
from sifilma.kernel.context import Act, Context
from sifilma.kernel.seals import Sealed, columns, sealer_of
from sifilma.web import metrics

KINDS = {"user_account": "user", "login_session": "session"}
"""Kinds of objects in the record that are not called as their table."""
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
