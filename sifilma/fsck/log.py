"""Invariants of the audit entries, of the log over them, of the rows that they record, and of the moments of acts and signatures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, literal, or_, select

from sifilma.activation.trust import keyset
from sifilma.audit import checkpoints, recorded
from sifilma.audit.comparison import AT_ONCE, FIRST, Difference, compare_acts, compare_rows
from sifilma.audit.cosignature import cosigner_of, read_cosignature
from sifilma.audit.models import Action, LogCheckpoint, LogCosignature
from sifilma.audit.note import NoteRefused
from sifilma.audit.verification import verify
from sifilma.fsck.dialects import bare
from sifilma.fsck.registry import Found, Needs, in_snapshot, outside
from sifilma.fsck.snapshot import Broken, Outside, Snapshot
from sifilma.kernel.db import UtcDateTime

NEWEST = 10_000
_ACTIONS = ", ".join(f"'{action}'" for action in Action)


@in_snapshot("audit-action", "Every audit entry is of an action that exists, about something.")
def action(now: Snapshot) -> Found:
    """Check the action against the closed list."""
    return now.find(
        "audit_entry",
        f"SELECT id, action FROM audit_entry WHERE action NOT IN ({_ACTIONS}) OR object_kind = '' OR object_id = ''",
        "is of the action {action}, which does not exist, or about nothing",
    )


@in_snapshot("audit-person", "An audit entry names the person its account belongs to.")
def person(now: Snapshot) -> Found:
    """Compare the person of each entry with that of its account."""
    entry, user = bare("audit_entry"), bare("user_account")
    return now.find(
        "audit_entry",
        select(entry.c.id)
        .outerjoin(user, user.c.id == entry.c.user_id)
        .where(entry.c.user_id.is_not(None), or_(user.c.id.is_(None), entry.c.person_id.is_distinct_from(user.c.person_id))),
        "names an account and a person that do not belong together",
    )


@outside("log-tree", "The log's tree rebuilds to every signed checkpoint, and every entry is in it or waits for it.", Needs.FILES)
def tree(now: Outside) -> Found:
    """Do the same as `sifilma audit verify`. The checkpoint in the file is read first, because the log may grow meanwhile."""
    kept = checkpoints.kept_note(now.settings)
    with now.context() as ctx:
        report = verify(ctx, keyset.load(now.settings).keys("audit"), kept, in_one=True)
    for found in report.findings:
        yield Broken("log", str(found.fault), found.text)
    for fault, count in report.more.items():
        yield Broken("log", str(fault), f"and {count} more")


@outside("log-cosigned", "The newest cosignatures are those of the witnesses they name, of their checkpoints.", Needs.FILES)
def cosigned(now: Outside) -> Found:
    """Verify the newest NEWEST cosignatures."""
    with now.context() as ctx:
        query = select(LogCosignature, LogCheckpoint.note).join(LogCheckpoint, LogCheckpoint.size == LogCosignature.size)
        for row, note in ctx.session.execute(query.order_by(LogCosignature.size.desc()).limit(NEWEST)):
            try:
                read_cosignature(note + row.line, cosigner_of(row.witness))
            except NoteRefused as refused:
                yield Broken("log_cosignature", str(row.size), f"is not to be trusted: {refused}")


# --- rows that acts rest on ----------------------------------------------------------------------------------------------


@in_snapshot("row-recorded", "Organisations, people, models, units, agreements, cards, results and places are as recorded.")
def recorded_rows(now: Snapshot) -> Found:
    """Compare every row with its newest digest. The worker does the same in rounds."""
    for model in recorded.kinds().values():
        after = FIRST
        while True:
            part = compare_rows(now.connection, model, after, AT_ONCE)
            yield from map(broken_row, part.differences)
            if part.last is None:
                break
            after = part.last


@in_snapshot("row-act", "The digests of rows that name an act are those its entry states, and the rows are there.")
def acts_of_rows(now: Snapshot) -> Found:
    """Compare every entry with the digests that name it: an old row that was put back without its newest digest is found here."""
    after = FIRST
    while True:
        part = compare_acts(now.connection, after, AT_ONCE)
        yield from map(broken_row, part.differences)
        if part.last is None:
            break
        after = part.last
    digest, entry = bare("row_digest"), bare("audit_entry")
    yield from now.find(
        "row_digest",
        select(digest.c.object_id.label("id"), digest.c.kind, digest.c.version)
        .outerjoin(entry, entry.c.id == digest.c.act_id)
        .where(entry.c.id.is_(None)),
        "({kind}, version {version}) names an act that is not recorded",
    )


def broken_row(one: Difference) -> Broken:
    """Return a difference as what is broken."""
    return Broken(one.kind, one.id, one.says)


# --- moments ---------------------------------------------------------------------------------------------------------------


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
