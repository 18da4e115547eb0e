"""Invariants of what is counted to be read fast: each tally, with the changes that are not counted yet, is a recount of the rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Integer, Select, func, literal, or_, select, union_all

from sifilma.activation.derived.models import ActivationTally, ReaderTally, StageTally
from sifilma.activation.derived.queries import STANDING, activation_sums, born, moved, reader_sums
from sifilma.activation.derived.stages.queries import is_born, is_current_query, month_number, months, stage_sums
from sifilma.activation.models import Activation, Manifest
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot
from sifilma.kernel.timekeeping.targets import Targets, local


@in_snapshot("reader-tally", "The tally of readers by regency and cell of the map, with what is not counted yet, is their number.")
def readers(now: Snapshot) -> Found:
    """Count the manifests in force anew, and add up their positions."""
    standing = select(Manifest.activation_id, Manifest.state.label("state"), literal(1, Integer).label("amount"))
    recounted = reader_sums(standing.where(Manifest.state.in_(STANDING)).subquery("standing"))
    query = _differing(ReaderTally, reader_sums(moved()), recounted, ("count", "latitude", "longitude"))
    return now.find("reader_tally", query, "counts {count} readers in a cell of {regency} (grid {level}) more than there are, or elsewhere")


@in_snapshot("activation-tally", "The tally of activations by day, with what is not counted yet, is their number.")
def activations(now: Snapshot) -> Found:
    """Count the activations anew."""
    recounted = activation_sums(select(Activation.id.label("activation_id")).subquery("every"))
    query = _differing(ActivationTally, activation_sums(born()), recounted, ("count",))
    return now.find("activation_tally", query, "counts {count} activations of day {day} more than there are")


@in_snapshot("stage-tally", "The tally of the days of each stage, with what is not counted yet, is a recount of the histories.")
def stages(now: Snapshot) -> Found:
    """Count the stages of the last months anew, unless they were counted with other holidays: the worker will count them itself."""
    calendar, today = Targets.of(now.settings).calendar, local(now.now)
    if not list(now.rows(is_current_query(calendar))):
        return
    tail, recounted = stage_sums(today, calendar, is_born()), stage_sums(today, calendar)
    query = _differing(StageTally, tail, recounted, ("count",))
    query = query.where(query.selected_columns.month >= month_number(months(today)[0]))
    yield from now.find("stage_tally", query, "counts {count} cards with {days} days of {stage} more than there are")


def _differing(table: Any, tail: Select[Any], recounted: Select[Any], sums: tuple[str, ...]) -> Select[Any]:
    """Return the rows of a tally, with those of what is not counted yet, whose sums are not those of the recount."""
    columns = table.__table__.columns
    key = [column.name for column in table.__table__.primary_key.columns]
    wanted, names = len(key) + len(sums), [*key, *sums]

    def part(query: Select[Any], sign: int) -> Select[Any]:
        rows = query.subquery()
        found = list(rows.c)[:wanted]
        return select(*found[: len(key)], *(column * sign for column in found[len(key) :]))

    every = union_all(select(*(columns[name].label(name) for name in names)), part(tail, 1), part(recounted, -1)).subquery("every_part")
    query = select(every.c.owner_id.label("id"), *(every.c[name] for name in key), *(func.sum(every.c[name]).label(name) for name in sums))
    return query.group_by(*(every.c[name] for name in key)).having(or_(*(func.sum(every.c[name]) != 0 for name in sums)))
