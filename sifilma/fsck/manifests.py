"""Invariants of the rows of manifests: none stands alone, each card has one in use, the chain has no gap, and tallies are recounts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Integer, Select, and_, func, literal, or_, select, union_all

from sifilma.activation.derived.models import ActivationTally, ReaderTally, StageTally
from sifilma.activation.derived.queries import STANDING, activation_sums_query, born, moved, reader_sums_query
from sifilma.activation.derived.stages.queries import is_born, is_current_query, month_number, months, stage_sums_query
from sifilma.activation.models import REPEATED, Activation, Manifest
from sifilma.fsck.dialects import bare, dashed
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot
from sifilma.kernel.timekeeping.targets import Targets, local

ACTIVATED = ("activation.create", "activation.carry")


@in_snapshot("manifest-complete", "There is no manifest without its activation, its audit entry and its status index.")
def complete(now: Snapshot) -> Found:
    """Check that activation and manifest name each other, that the entry is theirs, and that the index was reserved with the token."""
    yield from now.find(
        "manifest",
        "SELECT m.id FROM manifest m LEFT JOIN activation a ON a.id = m.activation_id AND a.manifest_id = m.id AND a.card_id = m.card_id"
        " WHERE a.id IS NULL",
        "has no activation of its own",
    )
    manifest, made, entry = bare("manifest"), bare("activation"), bare("audit_entry")
    its_act = and_(entry.c.id == made.c.act_id, entry.c.action.in_(ACTIVATED), entry.c.object_id == dashed(made.c.id))
    yield from now.find(
        "manifest",
        select(manifest.c.id).join(made, made.c.id == manifest.c.activation_id).outerjoin(entry, its_act).where(entry.c.id.is_(None)),
        "has no audit entry of its activation",
    )
    yield from now.find(
        "manifest",
        "SELECT m.id FROM manifest m JOIN activation a ON a.id = m.activation_id JOIN token t ON t.id = a.token_id"
        " WHERE t.status_list <> m.status_list OR t.status_index <> m.status_index",
        "does not have the status index reserved with its token",
    )


@in_snapshot("activation-complete", "There is no activation, and no audit entry of one, without its manifest.")
def activation_complete(now: Snapshot) -> Found:
    """Check the reverse of `manifest-complete`."""
    yield from now.find(
        "activation",
        "SELECT a.id FROM activation a LEFT JOIN manifest m ON m.id = a.manifest_id AND m.activation_id = a.id WHERE m.id IS NULL",
        "has no manifest",
    )
    made, entry = bare("activation"), bare("audit_entry")
    yield from now.find(
        "audit_entry",
        select(entry.c.id, entry.c.object_id)
        .outerjoin(made, and_(made.c.act_id == entry.c.id, entry.c.object_id == dashed(made.c.id)))
        .where(entry.c.action.in_(ACTIVATED), made.c.id.is_(None)),
        "records activation {object_id}, which is not there",
    )


@in_snapshot("manifest-one", "A card has at most one standing manifest.")
def one(now: Snapshot) -> Found:
    """Count the manifests that are active or suspended."""
    return now.find(
        "card",
        "SELECT card_id AS id, COUNT(*) AS standing FROM manifest WHERE state IN ('active', 'suspended')"
        " GROUP BY card_id HAVING COUNT(*) > 1",
        "has {standing} standing manifests",
    )


@in_snapshot("manifest-card", "A card is active exactly while its newest manifest is.")
def card(now: Snapshot) -> Found:
    """Compare the states. A suspended card has a suspended manifest; a card that was reported took its manifest with it."""
    yield from now.find(
        "card",
        "SELECT c.id, c.uid FROM card c LEFT JOIN manifest m ON m.card_id = c.id AND m.state = 'active' AND m.seq = c.seq"
        " WHERE c.state = 'active' AND m.id IS NULL",
        "({uid}) is active without an active manifest of its newest sequence",
    )
    yield from now.find(
        "manifest",
        "SELECT m.id, m.state, c.uid, c.state AS card_state FROM manifest m JOIN card c ON c.id = m.card_id"
        " WHERE m.state IN ('active', 'suspended') AND c.state <> m.state",
        "is {state}, but its card {uid} is {card_state}",
    )


@in_snapshot("manifest-chain", "Each manifest of a card carries the hash of the one before, and the next sequence.")
def chain(now: Snapshot) -> Found:
    """Check `prev` (the chain of places) and `seq`, which begins at 1 and ends at the card's number."""
    link = bare("manifest")
    before = func.lag(link.c.payload_hash).over(partition_by=link.c.card_id, order_by=(link.c.epoch, link.c.seq))
    links = select(link.c.id, link.c.seq, link.c.previous_hash, before.label("hash")).subquery()
    yield from now.find(
        "manifest",
        select(links.c.id, links.c.seq).where(links.c.previous_hash.is_distinct_from(links.c.hash)),
        "(sequence {seq}) does not carry the hash of the manifest before it",
    )
    yield from now.find(
        "manifest",
        "SELECT w.id, w.seq, w.place FROM (SELECT m.id, m.seq, ROW_NUMBER() OVER (PARTITION BY m.card_id ORDER BY m.epoch, m.seq) AS place"
        " FROM manifest m) w WHERE w.seq <> w.place",
        "has sequence {seq} as the card's manifest number {place}",
    )
    yield from now.find(
        "card",
        "SELECT c.id, c.uid, c.seq FROM card c WHERE c.seq <> COALESCE((SELECT MAX(m.seq) FROM manifest m WHERE m.card_id = c.id), 0)",
        "({uid}) has sequence {seq}, its newest manifest another",
    )


@in_snapshot("manifest-times", "A manifest ends after it begins, is refused not before it ends, and expires only then.")
def times(now: Snapshot) -> Found:
    """Check the order of the times. Only the end of its time makes a manifest `expired`."""
    yield from now.find(
        "manifest",
        "SELECT id FROM manifest WHERE NOT (issued_at < expires_at AND expires_at <= refuse_after)",
        "ends before it begins, or is refused before it ends",
    )
    yield from now.find(
        "manifest",
        "SELECT id FROM manifest WHERE state = 'expired' AND changed_at < refuse_after",
        "was expired before its time",
    )


@in_snapshot("manifest-revoked", "A manifest is revoked by two persons, or because its card was reported.")
def revoked(now: Snapshot) -> Found:
    """Check that there is an executed proposal or a report. `four-eyes` checks that two different persons proposed and executed it."""
    return now.find(
        "manifest",
        "SELECT m.id FROM manifest m JOIN audit_entry e ON e.id = m.act_id WHERE m.state = 'revoked'"
        " AND e.action NOT IN ('card.report', 'card.report_confirm', 'unit.correct_execute')"
        " AND NOT EXISTS (SELECT 1 FROM revocation r WHERE r.manifest_id = m.id AND r.state = 'executed')",
        "is revoked without an executed proposal and without a report on its card",
    )


@in_snapshot("carried", "A manifest issued anew repeats what was stated for its card, and an order settles each card that it names once.")
def carried(now: Snapshot) -> Found:
    """Compare carried activations with those they repeat, and the cards of an order with its manifests, its tokens and its count."""
    differs = " OR ".join(f"a.{name} <> s.{name}" for name in REPEATED)
    yield from now.find(
        "activation",
        "SELECT a.id FROM activation a LEFT JOIN activation s ON s.id = a.stated_by AND s.source <> 'carried'"
        f" WHERE a.source = 'carried' AND (s.id IS NULL OR {differs})",
        "was carried, and says something else than the activation that stated it",
    )
    yield from now.find(
        "token",
        "SELECT t.id FROM token t LEFT JOIN activation a ON a.token_id = t.id AND a.source = 'carried'"
        " LEFT JOIN reissue_card k ON k.reissue_id = t.reissue_id AND k.new_manifest_id = a.manifest_id AND k.card_id = t.card_id"
        " WHERE t.reissue_id IS NOT NULL AND k.reissue_id IS NULL",
        "was made for an order, which has no manifest of it",
    )
    yield from _orders(now)


def _orders(now: Snapshot) -> Found:
    yield from now.find(
        "activation",
        "SELECT a.id FROM activation a JOIN token t ON t.id = a.token_id WHERE (a.source = 'carried') <> (t.reissue_id IS NOT NULL)",
        "was carried without an order, or asked for with the token of one",
    )
    yield from now.find(
        "reissue_card",
        "SELECT k.manifest_id AS id FROM reissue_card k LEFT JOIN manifest m ON m.id = k.new_manifest_id AND m.card_id = k.card_id"
        " LEFT JOIN activation a ON a.id = m.activation_id AND a.source = 'carried'"
        " LEFT JOIN token t ON t.id = a.token_id AND t.reissue_id = k.reissue_id WHERE k.outcome = 'carried' AND t.id IS NULL",
        "is said to be issued anew by an order that did not",
    )
    yield from now.find(
        "reissue",
        "SELECT r.id, r.total, COUNT(k.manifest_id) AS cards FROM reissue r LEFT JOIN reissue_card k ON k.reissue_id = r.id"
        " GROUP BY r.id, r.total, r.ended_at HAVING COUNT(k.manifest_id) <> r.total"
        " OR (r.ended_at IS NOT NULL AND SUM(CASE WHEN k.outcome = 'waiting' THEN 1 ELSE 0 END) > 0)",
        "names {cards} of {total} cards, or has ended while one waits",
    )


# --- what is counted of them -----------------------------------------------------------------------------------------------


@in_snapshot("reader-tally", "The tally of readers by regency and cell of the map, with what is not counted yet, is their number.")
def readers(now: Snapshot) -> Found:
    """Count the manifests in force anew, and add up their positions."""
    standing = select(Manifest.activation_id, Manifest.state.label("state"), literal(1, Integer).label("amount"))
    recounted = reader_sums_query(standing.where(Manifest.state.in_(STANDING)).subquery("standing"))
    query = _differing(ReaderTally, reader_sums_query(moved()), recounted, ("count", "latitude", "longitude"))
    return now.find("reader_tally", query, "counts {count} readers in a cell of {regency} (grid {level}) more than there are, or elsewhere")


@in_snapshot("activation-tally", "The tally of activations by day, with what is not counted yet, is their number.")
def activations(now: Snapshot) -> Found:
    """Count the activations anew."""
    recounted = activation_sums_query(select(Activation.id.label("activation_id")).subquery("every"))
    query = _differing(ActivationTally, activation_sums_query(born()), recounted, ("count",))
    return now.find("activation_tally", query, "counts {count} activations of day {day} more than there are")


@in_snapshot("stage-tally", "The tally of the days of each stage, with what is not counted yet, is a recount of the histories.")
def stages(now: Snapshot) -> Found:
    """Count the stages of the last months anew, unless they were counted with other holidays: the worker will count them itself."""
    calendar, today = Targets.of(now.settings).calendar, local(now.now)
    if not list(now.rows(is_current_query(calendar))):
        return
    tail, recounted = stage_sums_query(today, calendar, is_born()), stage_sums_query(today, calendar)
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
