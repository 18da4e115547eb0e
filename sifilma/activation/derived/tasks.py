"""Count what changed of cards, readers and activations."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, delete, insert, select
from sqlalchemy.orm import DeclarativeBase

from sifilma.activation.derived.models import ActivationTally, ReaderChange, ReaderTally, StageCalendar, StageTally
from sifilma.activation.derived.queries import activation_sums_query, born, moved, reader_sums_query
from sifilma.activation.derived.stages import queries as stages
from sifilma.cards.derived import tasks as cards
from sifilma.kernel.context import Context
from sifilma.kernel.db import among, upsert
from sifilma.kernel.timekeeping.targets import local
from sifilma.kernel.timekeeping.working_days import Calendar

AT_ONCE = 5_000


def add_up(ctx: Context, calendar: Calendar, most: int = AT_ONCE) -> int:
    """Add the oldest changes to the tallies, at most `most` of each kind. Return their number.

    Another worker that does the same meanwhile takes other changes. With a new list of holidays the days of all stages are counted anew.
    """
    taken = cards.add_up(ctx, most) + _count_readers(ctx, calendar, most)
    if not is_current(ctx, calendar):
        count_stages(ctx, calendar)
    return taken


def _count_readers(ctx: Context, calendar: Calendar, most: int) -> int:
    oldest = select(ReaderChange.id).order_by(ReaderChange.id).limit(most).with_for_update(skip_locked=True)
    ids = list(ctx.session.scalars(oldest))
    if not ids:
        return 0
    these = among(ctx.session, ReaderChange.id, ids)
    _add(ctx, ReaderTally, reader_sums_query(moved(these)))
    _add(ctx, ActivationTally, activation_sums_query(born(these)))
    if is_current(ctx, calendar):
        _add(ctx, StageTally, stages.stage_sums_query(local(ctx.now), calendar, stages.is_born(these)))
    ctx.session.execute(delete(ReaderChange).where(these).execution_options(synchronize_session=False))
    return len(ids)


def is_current(ctx: Context, calendar: Calendar) -> bool:
    """Return whether the days of stages were counted with this calendar."""
    return ctx.session.execute(stages.is_current_query(calendar)).first() is not None


def count_stages(ctx: Context, calendar: Calendar) -> None:
    """Count the days of all stages anew."""
    for table in (StageCalendar, StageTally):
        ctx.session.execute(delete(table).execution_options(synchronize_session=False))
    _add(ctx, StageTally, stages.stage_sums_query(local(ctx.now), calendar, stages.unborn()))
    ctx.session.execute(insert(StageCalendar).values(holidays=stages.digest(calendar)))


def _add(ctx: Context, table: type[DeclarativeBase], sums: Any) -> None:
    """Add rows to a tally. In the order of their key, so that two workers never wait for each other in a circle."""
    columns = table.__table__.columns
    key = [column.name for column in table.__table__.primary_key.columns]  # type: ignore[attr-defined]  # of a table
    ordered = sums.order_by(*list(sums.selected_columns)[: len(key)])
    added = upsert(ctx.session, table).from_select([column.name for column in columns], ordered)  # type: ignore[arg-type]  # a model
    values = {name: _together(columns[name], added.excluded[name], columns["count"]) for name in columns.keys() if name not in key}  # noqa: SIM118  # of columns
    ctx.session.execute(added.on_conflict_do_update(index_elements=key, set_=values))


def _together(old: Any, new: Any, count: Any) -> Any:
    """Return a column of a row to which another is added: a sum, or a bound that encloses both."""
    if old.name in ("count", "latitude", "longitude"):
        return old + new
    is_wider = new < old if old.name in ("south", "west", "first_code") else new > old
    return case((and_(count != 0, ~is_wider), old), else_=new)
