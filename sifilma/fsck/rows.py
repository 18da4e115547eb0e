"""Invariants of rows that acts rest on: each is what its newest act recorded, and each act left the rows that it recorded."""

from __future__ import annotations

from sqlalchemy import select

from sifilma.audit import recorded
from sifilma.audit.comparison import AT_ONCE, FIRST, Difference, compare_acts, compare_rows
from sifilma.fsck.dialects import bare
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Broken, Snapshot
from sifilma.oversight import region_imports


@in_snapshot("row-recorded", "Organisations, people, models, units, agreements, cards, results and places are as recorded.")
def rows(now: Snapshot) -> Found:
    """Compare every row with its newest digest. The worker does the same in rounds."""
    for model in recorded.kinds().values():
        after = FIRST
        while True:
            part = compare_rows(now.connection, model, after, AT_ONCE)
            yield from map(_broken, part.differences)
            if part.last is None:
                break
            after = part.last


@in_snapshot("row-act", "The digests of rows that name an act are those its entry states, and the rows are there.")
def acts(now: Snapshot) -> Found:
    """Compare every entry with the digests that name it: an old row that was put back without its newest digest is found here."""
    after = FIRST
    while True:
        part = compare_acts(now.connection, after, AT_ONCE)
        yield from map(_broken, part.differences)
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


@in_snapshot("region-recorded", "The region codes of each province are those of the newest import.")
def codes(now: Snapshot) -> Found:
    """Compare the digests of all provinces with those in the newest entry that states any."""
    yield from map(_broken, region_imports.differing_codes(now.connection, region_imports.recorded_digests(now.connection)))


def _broken(one: Difference) -> Broken:
    return Broken(one.kind, one.id, one.says)
