"""Invariants of region codes and of the boundary layer in use."""

from __future__ import annotations

import hashlib
import json

from sqlalchemy import and_, or_, select

from sifilma.audit.models import Action, AuditEntry
from sifilma.fsck.dialects import bare, dashed, fact
from sifilma.fsck.log import broken_row
from sifilma.fsck.registry import Found, Needs, in_snapshot, outside
from sifilma.fsck.snapshot import Broken, Outside, Snapshot
from sifilma.oversight import region_imports


@in_snapshot("region-parent", "Every region code has its parent, and the level of its length.")
def parent(now: Snapshot) -> Found:
    """Check closed codes too: they keep their parents."""
    yield from now.find(
        "region",
        "SELECT r.code AS id, r.parent_code FROM region r LEFT JOIN region p ON p.code = r.parent_code"
        " WHERE (r.level > 1 AND p.code IS NULL) OR (r.level = 1 AND r.parent_code IS NOT NULL)"
        " OR (r.level > 1 AND r.code NOT LIKE r.parent_code || '.%')",
        "does not have its parent ({parent_code})",
    )
    yield from now.find(
        "region",
        "SELECT code AS id, level FROM region WHERE level <>"
        " CASE length(code) WHEN 2 THEN 1 WHEN 5 THEN 2 WHEN 8 THEN 3 WHEN 13 THEN 4 END",
        "has level {level}, which is not that of its length",
    )


@in_snapshot("region-recorded", "The region codes of each province are those of the newest import.")
def codes(now: Snapshot) -> Found:
    """Compare the digests of all provinces with those in the newest entry that states any."""
    yield from map(broken_row, region_imports.differing_codes(now.connection, region_imports.recorded_digests(now.connection)))


@in_snapshot("region-known", "Every activation stands in a village that is known, every organisation in a known region.")
def known(now: Snapshot) -> Found:
    """Compare with all codes. Closed ones count as known, because they are never deleted."""
    yield from now.find(
        "activation",
        "SELECT a.id, a.region_code FROM activation a LEFT JOIN region r ON r.code = a.region_code AND r.level = 4 WHERE r.code IS NULL",
        "stands in {region_code}, which is no known village",
    )
    yield from now.find(
        "organisation",
        "SELECT o.id, o.region_code FROM organisation o LEFT JOIN region r ON r.code = o.region_code"
        " WHERE o.region_code IS NOT NULL AND r.code IS NULL",
        "belongs to {region_code}, which is not known",
    )


@in_snapshot("place-outcome", "A doubtful place has its reason, and was put before the operator.")
def place(now: Snapshot) -> Found:
    """Check that REVIEW and FAIL have a reason and a review, and that PASS has none."""
    return now.find(
        "activation",
        "SELECT id, place_outcome, review_state FROM activation WHERE"
        " ((place_outcome = 'PASS') <> (review_state = 'none') AND source <> 'carried') OR (source = 'carried' AND review_state <> 'none')"
        " OR (place_outcome <> 'PASS' AND reason = '') OR (review_state IN ('accepted', 'rejected') AND reviewed_by IS NULL)",
        "has the place outcome {place_outcome} and the review {review_state}: a reason, a review or a reviewer is missing",
    )


@in_snapshot("place-review", "A review of a place is the one that its act records.")
def review(now: Snapshot) -> Found:
    """Compare the decision, the note and the reviewer with the act on this activation."""
    place, entry = bare("activation"), bare("audit_entry")
    named = and_(entry.c.object_kind == "activation", entry.c.object_id == dashed(place.c.id), entry.c.action == "activation.review")
    differs = or_(
        fact(entry.c.data, "decision").is_distinct_from(place.c.review_state),
        fact(entry.c.data, "note").is_distinct_from(place.c.review_note),
        entry.c.person_id.is_distinct_from(place.c.reviewed_by),
    )
    yield from now.find(
        "activation",
        select(place.c.id, place.c.review_state)
        .outerjoin(entry, named)
        .where(or_(place.c.review_state.in_(("accepted", "rejected")), entry.c.id.is_not(None)), differs),
        "has the review {review_state}, which no act records like this",
    )


@outside("boundary-file", "The boundary layer in force is the one that was imported last.", Needs.FILES)
def boundary_file(look: Outside) -> Found:
    """Compare the file's SHA-256 with its record, and that with the newest import. Without a layer the village points are in use."""
    path = look.settings.home / "regions" / "boundaries.json"
    if not path.exists():
        return
    digest = str(json.loads(path.read_text())["sha256"])
    layer = path.with_name(f"{digest}.wkb.z")
    if not layer.exists() or hashlib.sha256(layer.read_bytes()).hexdigest() != digest:
        yield Broken("boundary_layer", digest, "is in force, and its file is not there or was changed")
    entry = AuditEntry.__table__
    imports = select(entry.c.object_id).where(entry.c.action == Action.REGIONS_IMPORT, entry.c.object_kind == "boundary_layer")
    with look.reading() as connection:
        if connection.execute(imports.order_by(entry.c.id.desc()).limit(1)).scalar() != digest:
            yield Broken("boundary_layer", digest, "is in force, and is not the layer of the newest import")
