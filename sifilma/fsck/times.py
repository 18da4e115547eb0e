"""Invariants of the time: nothing is dated after the present, and a clock that waited for people was accepted by them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, literal, select

from sifilma.audit.models import Action
from sifilma.fsck.dialects import bare
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot
from sifilma.kernel.db import UtcDateTime


@in_snapshot("time-present", "No act and no signature is dated after the present, but for acts while the clock was known to be wrong.")
def present(now: Snapshot) -> Found:
    """Compare with the present moment; the setting `clock_tolerance_seconds` allows for the clocks of several nodes."""
    for kind, query in _dated(_latest(now)):
        yield from now.find(kind, query, "is dated {at}, after the present")


def _latest(now: Snapshot) -> ColumnElement[datetime]:
    return literal(now.now + timedelta(seconds=now.settings.clock_tolerance_seconds), UtcDateTime())


def _dated(latest: ColumnElement[datetime]) -> Iterator[tuple[str, Select[Any]]]:
    for kind, name in (("manifest", "issued_at"), ("activation", "at")):
        one = bare(kind)
        yield kind, select(one.c.id, one.c[name].label("at")).where(one.c[name] > latest)
    # What replaced a list or a checkpoint of the future is dated rightly: the newest counts.
    listed, other = bare("published_status_list"), bare("published_status_list").alias()
    newest = select(func.max(other.c.seq)).where(other.c.number == listed.c.number).scalar_subquery()
    query = select(listed.c.number.label("id"), listed.c.issued_at.label("at"))
    yield "status_list", query.where(listed.c.issued_at > latest, listed.c.seq == newest)
    point, other = bare("log_checkpoint"), bare("log_checkpoint").alias()
    query = select(point.c.size.label("id"), point.c.at)
    yield "log_checkpoint", query.where(point.c.at > latest, point.c.size == select(func.max(other.c.size)).scalar_subquery())
    # What people did while the clock was known to be wrong may be dated by it.
    entry, stop = bare("audit_entry"), bare("clock_stop")
    known = exists().where(entry.c.at.between(stop.c.earliest, stop.c.latest))
    yield "audit_entry", select(entry.c.id, entry.c.at).where(entry.c.at > latest, ~known)


@in_snapshot("time-trusted", "The last trusted moment, with which the clock is compared, lies not after the present.")
def trusted(now: Snapshot) -> Found:
    """Check the row that the worker moves on."""
    row = bare("trusted_time")
    yield from now.find("trusted_time", select(row.c.id, row.c.at).where(row.c.at > _latest(now)), "says {at}, which is after the present")


@in_snapshot("clock-accepted", "A clock that waited for people was accepted by as many as the installation demands, each in an entry.")
def accepted(now: Snapshot) -> Found:
    """Count the persons whose entries belong to the one that the stop names. A demonstration accepts its clock without a person."""
    needed = 1 if now.settings.env in ("demo", "test") else 2
    people = (
        "(SELECT COUNT(DISTINCT COALESCE(CAST(e.person_id AS TEXT), '-')) FROM audit_entry e JOIN audit_entry named"
        f" ON named.id = s.act_id AND named.request_id = e.request_id WHERE e.action = '{Action.CLOCK_ACCEPT}')"
    )
    yield from now.find(
        "clock_stop",
        f"SELECT s.id, {people} AS people FROM clock_stop s WHERE s.waits AND s.ended_at IS NOT NULL AND {people} < :needed",
        "waited for people and was ended by {people} of them",
        needed=needed,
    )
