"""Invariants of cards and the machines they are in."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, and_, bindparam, func, or_, select, text

from sifilma.approvals.four_eyes import content_digest
from sifilma.cards.derived.models import NOBODY
from sifilma.cards.public_keys import thumbprint
from sifilma.cards.upkeep.proposals import content
from sifilma.fsck.dialects import RULES_CAME, bare, fact, newest_entry
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot, broken

ENTRY, UNIT = bare("audit_entry"), bare("unit")


@in_snapshot("card-one-per-unit", "A unit has at most one living card, of its own function.")
def one_per_unit(now: Snapshot) -> Found:
    """Check also that an active card is in a unit."""
    yield from now.find(
        "unit",
        "SELECT unit_id AS id, COUNT(*) AS cards FROM card WHERE unit_id IS NOT NULL"
        " AND state NOT IN ('damaged', 'locked', 'revoked', 'destroyed') GROUP BY unit_id HAVING COUNT(*) > 1",
        "has {cards} living cards",
    )
    yield from now.find("card", "SELECT id, uid FROM card WHERE state = 'active' AND unit_id IS NULL", "({uid}) is active in no unit")
    yield from now.find(
        "card",
        "SELECT c.id, c.uid, c.function, u.function AS of_unit FROM card c JOIN unit u ON u.id = c.unit_id WHERE c.function <> u.function",
        "({uid}) is for {function}, its unit for {of_unit}",
    )


@in_snapshot("card-in-its-unit", "An active card stands in the unit of its newest activation.")
def in_its_unit(now: Snapshot) -> Found:
    """Compare the card's unit with that of the activation behind its active manifest."""
    return now.find(
        "card",
        "SELECT c.id, c.uid FROM card c JOIN manifest m ON m.card_id = c.id AND m.state = 'active' JOIN activation a"
        " ON a.id = m.activation_id WHERE c.state = 'active' AND (c.unit_id IS NULL OR a.unit_id <> c.unit_id)",
        "({uid}) is tied to another unit than its manifest opens",
    )


@in_snapshot("card-approved", "A card was born of an approved request, for its buyer and its function.")
def approved(now: Snapshot) -> Found:
    """Check that each card comes from an approved request with its buyer and function."""
    return now.find(
        "card",
        "SELECT c.id, c.uid FROM card c LEFT JOIN personalisation_request q ON q.id = c.personalisation_request_id"
        " AND q.function = c.function AND q.buyer_id = c.buyer_id AND q.state IN ('approved', 'personalising', 'completed', 'closed')"
        " WHERE q.id IS NULL",
        "({uid}) was not born of an approved request of its buyer and function",
    )


@in_snapshot("card-result", "A card has the key check value of its result and, until its first activation, no unit that nobody named.")
def as_its_result(now: Snapshot) -> Found:
    """Compare with the result, and the tie with what the result or the batch names."""
    yield from now.find(
        "card",
        "SELECT c.id, c.uid FROM card c JOIN personalisation_result r ON r.card_id = c.id WHERE c.kcv <> r.kcv",
        "({uid}) has another key check value than its result",
    )
    yield from now.find(
        "card",
        "SELECT c.id, c.uid FROM card c JOIN unit u ON u.id = c.unit_id LEFT JOIN personalisation_result r ON r.card_id = c.id"
        " LEFT JOIN batch_row b ON b.personalisation_request_id = c.personalisation_request_id AND b.sam_uid = c.uid"
        " WHERE NOT EXISTS (SELECT 1 FROM activation a WHERE a.card_id = c.id)"
        " AND u.hardware_number <> COALESCE(NULLIF(r.hardware_number, ''), '-') AND (b.unit_id IS NULL OR b.unit_id <> u.id)"
        " AND NOT EXISTS (SELECT 1 FROM unit_correction k WHERE k.unit_id = u.id AND k.state = 'executed'"
        " AND k.former_hardware_number = r.hardware_number)",
        "({uid}) is tied to a unit that neither its result nor its batch names",
    )


@in_snapshot("card-found", "Each card is found by a part of its UID: what is looked through says the UID of each, and of no other.")
def found_by_part(now: Snapshot) -> Found:
    """Compare the UIDs that are looked through (`card_uid`) with those of the cards."""
    yield from now.find(
        "card",
        "SELECT c.id, c.uid FROM card c LEFT JOIN card_uid u ON u.card_id = c.id WHERE u.uid IS NULL OR u.uid <> c.uid",
        "({uid}) is not found by a part of its UID",
    )
    yield from now.find(
        "card",
        "SELECT u.card_id AS id, u.uid FROM card_uid u LEFT JOIN card c ON c.id = u.card_id WHERE c.id IS NULL",
        "({uid}) is looked through and is not there",
    )


_FREE = "u.id NOT IN (SELECT unit_id FROM card WHERE unit_id IS NOT NULL AND state NOT IN ('damaged', 'locked', 'revoked', 'destroyed'))"


@in_snapshot("unit-free", "Units without a living card, and no others, are offered as free, each as it is.")
def free_units(now: Snapshot) -> Found:
    """Compare the units that are offered (`free_unit`) with units and cards."""
    same = " AND ".join(f"f.{one} = u.{one}" for one in ("organisation_id", "model_id", "function", "hardware_number"))
    free = f"SELECT u.id, u.hardware_number FROM unit u LEFT JOIN free_unit f ON f.unit_id = u.id AND f.condition = u.state AND {same}"
    yield from now.find("unit", f"{free} WHERE {_FREE} AND f.unit_id IS NULL", "({hardware_number}) is free and not offered as it is")
    taken = "SELECT u.id, u.hardware_number FROM free_unit f JOIN unit u ON u.id = f.unit_id"
    yield from now.find("unit", f"{taken} WHERE NOT {_FREE}", "({hardware_number}) is offered as free and has a card")


@in_snapshot("card-tally", "The tally of cards by holder, buyer, model and state, with the changes that are not added up, is their number.")
def tallied(now: Snapshot) -> Found:
    """Count the cards anew, of each holder and buyer and of all."""
    unit = "COALESCE(u.model_id, :nobody) AS model_id"
    counted = f"SELECT c.holder_id, c.buyer_id, {unit}, c.state, -1 AS n FROM card c LEFT JOIN unit u ON u.id = c.unit_id"
    tail = f"SELECT c.holder_id, c.buyer_id, {unit}, c.state, c.amount AS n FROM card_tally_change c LEFT JOIN unit u ON u.id = c.unit_id"
    both = f"{counted} UNION ALL {tail}"
    of_all = f"SELECT :nobody AS holder_id, :nobody AS buyer_id, b.model_id, b.state, b.n FROM ({both}) b"
    tally = "SELECT holder_id, buyer_id, model_id, state, count AS n FROM card_tally"
    query = (
        f"SELECT w.holder_id AS id, w.state, SUM(w.n) AS more FROM ({both} UNION ALL {of_all} UNION ALL {tally}) w"
        " GROUP BY w.holder_id, w.buyer_id, w.model_id, w.state HAVING SUM(w.n) <> 0"
    )
    found = text(query).bindparams(bindparam("nobody", NOBODY, Uuid()))
    yield from now.find("card_tally", found, "of this holder counts {more} more cards that are {state} than there are")


# A history id orders steps better than their moments, which can be equal within one act.
_DESTROYED = "SELECT d.object_id AS card_id, d.id AS moment FROM history d WHERE d.object_kind = 'card' AND d.to_state = 'destroyed'"
_LATER = (
    ("token", "token", "o.card_id"),
    ("manifest", "manifest", "o.card_id"),
    ("handover", "handover_card", "o.card_id"),
    ("activation_request", "activation_request_card", "o.card_id"),
    ("destruction", "destruction_card", "o.card_id"),
)


@in_snapshot("card-destroyed-for-good", "A destroyed card never gets anything again.")
def destroyed_for_good(now: Snapshot) -> Found:
    """Check that no step, token, manifest, handover, request or destruction began after the card's destruction, and none is open."""
    yield from now.find(
        "card",
        f"SELECT d.card_id AS id, h.to_state FROM ({_DESTROYED}) d JOIN history h ON h.object_kind = 'card' AND h.object_id = d.card_id"
        " AND h.id > d.moment",
        "was destroyed, and became {to_state} afterwards",
    )
    for kind, table, card in _LATER:
        # The tables of cards (`handover_card` …) have no life of their own: the birth of their parent counts.
        key = "o.id" if kind == table else f"o.{kind}_id"
        yield from now.find(
            "card",
            f"SELECT {card} AS id FROM {table} o JOIN ({_DESTROYED}) d ON d.card_id = {card} JOIN history b ON b.object_kind = '{kind}'"
            f" AND b.object_id = {key} AND b.from_state = '' AND b.id > d.moment",
            f"was destroyed, and got a new {kind.replace('_', ' ')} afterwards",
        )
    yield from now.find(
        "card",
        "SELECT c.id, c.uid FROM card c JOIN manifest m ON m.card_id = c.id WHERE c.state = 'destroyed'"
        " AND m.state IN ('active', 'suspended')",
        "({uid}) is destroyed, and its manifest stands",
    )


@in_snapshot("card-photo", "A photo of a card came with a report on that very card.")
def photo(now: Snapshot) -> Found:
    """Check that the photo's act is a report on the card."""
    return now.find(
        "card",
        "SELECT c.id, c.uid FROM card_photo p JOIN card c ON c.id = p.card_id JOIN document d ON d.id = p.document_id"
        " WHERE d.kind <> 'photo' OR NOT EXISTS (SELECT 1 FROM history h JOIN audit_entry e ON e.id = h.act_id"
        " WHERE h.act_id = p.act_id AND h.object_kind = 'card' AND h.object_id = p.card_id AND e.action = 'card.report')",
        "({uid}) has a photo that came with no report on it",
    )


@in_snapshot("unit-key", "A unit's public key was set by two persons: one proposed exactly it, another executed.")
def unit_keys(now: Snapshot) -> Found:
    """Check the change behind each key, its two entries and its digest. A key of before is the one that was written down."""
    proposed, executed, kept = (ENTRY.alias(name) for name in ("proposed", "executed", "kept"))
    change, key = bare("unit_key_change"), bare("unit_key")

    def entry(one: Any, kind: str, of: Any, *actions: str) -> Any:
        return one.c.id == newest_entry(kind, of, *actions)

    query = (
        select(UNIT.c.id, UNIT.c.public_jwk, UNIT.c.key_change_id, change.c.state, key.c.jwk, change.c.organisation_id,
               UNIT.c.organisation_id.label("owner"), proposed.c.person_id.label("one"), executed.c.person_id.label("other"),
               fact(executed.c.data, "digest").label("digest"), fact(kept.c.data, "thumbprint").label("kept"))
        .select_from(UNIT)
        .outerjoin(change, change.c.id == UNIT.c.key_change_id)
        .outerjoin(key, and_(key.c.change_id == change.c.id, key.c.unit_id == UNIT.c.id))
        .outerjoin(proposed, entry(proposed, "unit_key_change", change.c.id, "unit.key_propose"))
        .outerjoin(executed, entry(executed, "unit_key_change", change.c.id, "unit.key_execute"))
        .outerjoin(kept, entry(kept, "unit", UNIT.c.id, "unit.key_keep"))
        .where(UNIT.c.public_jwk.is_not(None))
    )  # fmt: skip
    digests: dict[Any, str] = {}
    for row in list(now.rows(query)):
        jwk, wanted = _jwk(row.public_jwk), _jwk(row.jwk)
        if jwk is None:
            continue
        if row.key_change_id is None:
            if row.kept is None or row.kept != _print(jwk):
                yield broken("unit", row.id, "has a public key without the entries of two persons")
        elif row.state != "executed" or jwk != wanted or row.organisation_id != row.owner:
            yield broken("unit", row.id, "has another public key than the one that two persons set")
        elif row.one is None or row.other is None or row.one == row.other:
            yield broken("unit", row.id, "has a public key without the entries of two persons")
        else:
            if row.key_change_id not in digests:
                digests[row.key_change_id] = _digest(now, row.key_change_id, row.organisation_id)
            if digests[row.key_change_id] != row.digest:
                yield broken("unit", row.id, "has a public key that is not what was executed: the digest differs")


@in_snapshot("unit-function", "A unit serves a function of its model.")
def functions(now: Snapshot) -> Found:
    """Compare the unit's function with the set of its model."""
    return now.find(
        "unit",
        "SELECT u.id, u.function, m.name FROM unit u JOIN device_model m ON m.id = u.model_id WHERE m.function NOT IN (u.function, 'R RW')",
        "is for {function}, which {name} is not made for",
    )


@in_snapshot("unit-condition", "No living card is in a retired unit, and no card was activated in a unit that was broken or retired then.")
def conditions(now: Snapshot) -> Found:
    """Check the cards of retired units, and the step of the unit before each activation."""
    yield from now.find(
        "unit",
        "SELECT u.id, c.uid FROM unit u JOIN card c ON c.unit_id = u.id WHERE u.state = 'retired'"
        " AND c.state NOT IN ('damaged', 'locked', 'revoked', 'destroyed')",
        "is retired with card {uid} in it",
    )
    activated = bare("history")
    made, card, before = bare("activation"), bare("card"), bare("history").alias("before")
    # A step's id orders it against the card's step of the same activation.
    last = (
        select(func.max(before.c.id))
        .where(before.c.object_kind == "unit", before.c.object_id == made.c.unit_id, before.c.id < activated.c.id)
        .correlate(made, activated)
        .scalar_subquery()
    )
    found = bare("history").alias("found")
    query = (
        select(made.c.id, card.c.uid, found.c.to_state)
        .join(card, card.c.id == made.c.card_id)
        .join(activated, and_(activated.c.act_id == made.c.act_id, activated.c.object_kind == "card"))
        .join(found, found.c.id == last)
        .where(found.c.to_state != "working")
    )
    yield from now.find("activation", query, "of {uid} was in a unit that was {to_state}")


@in_snapshot(
    "replacement", "A card moved by a replacement is in the unit that its request names, and the one it left was said to be broken."
)
def replaced(now: Snapshot) -> Found:
    """Compare the activations of replacements with the rows of their requests, and with the steps of the former units."""
    of_request = (
        " FROM activation a JOIN activation_request r ON r.id = a.activation_request_id AND r.kind = 'replacement'"
        " JOIN activation_request_card k ON k.activation_request_id = r.id AND k.card_id = a.card_id JOIN card c ON c.id = a.card_id"
    )
    yield from now.find(
        "activation",
        f"SELECT a.id, c.uid{of_request} WHERE k.unit_id IS NULL OR k.unit_id <> a.unit_id",
        "of {uid} was in another unit than its request names",
    )
    yield from now.find(
        "unit",
        f"SELECT k.former_unit_id AS id, c.uid{of_request} WHERE NOT EXISTS (SELECT 1 FROM history h WHERE h.object_kind = 'unit'"
        " AND h.object_id = k.former_unit_id AND h.to_state = 'broken')",
        "was left by {uid}, and nobody said that it is broken",
    )
    yield from now.find(
        "activation_request",
        "SELECT DISTINCT r.id, r.kind FROM activation_request r JOIN activation_request_card k ON k.activation_request_id = r.id"
        " WHERE (r.kind = 'replacement') <> (k.unit_id IS NOT NULL)",
        "is a {kind} whose cards do not fit that",
    )


@in_snapshot("unit-correction", "A correction of a unit is what two persons proposed and executed: their entries have its digest.")
def corrections(now: Snapshot) -> Found:
    """Compare each executed correction with its two entries, which were written with the digest of its content."""
    one = bare("unit_correction")
    proposed, executed = (ENTRY.alias(name) for name in ("proposed", "executed"))
    columns = (one.c.id, one.c.unit_id, one.c.hardware_number, one.c.pcid, one.c.former_hardware_number, one.c.former_pcid)
    query = (
        select(*columns, proposed.c.person_id.label("one"), executed.c.person_id.label("other"),
               fact(proposed.c.data, "digest").label("asked"), fact(executed.c.data, "digest").label("done"))
        .select_from(one)
        .outerjoin(proposed, proposed.c.id == newest_entry("unit_correction", one.c.id, "unit.correct_propose"))
        .outerjoin(executed, executed.c.id == newest_entry("unit_correction", one.c.id, "unit.correct_execute"))
        .where(one.c.state == "executed")
    )  # fmt: skip
    for row in list(now.rows(query)):
        if row.one is None or row.other is None or row.one == row.other:
            yield broken("unit_correction", row.id, "was executed without the entries of two persons")
        elif {row.asked, row.done} != {content_digest(content(row))}:
            yield broken("unit_correction", row.id, "is not what was proposed and executed: the digest differs")


def _jwk(value: Any) -> dict[str, Any] | None:
    found = json.loads(value) if isinstance(value, str) else value
    return found if isinstance(found, dict) else None


def _print(jwk: dict[str, Any]) -> str:
    try:
        return thumbprint(jwk)
    except Exception:  # noqa: BLE001  # whatever stands there instead of a key
        return ""


def _digest(now: Snapshot, change_id: Any, organisation_id: Any) -> str:
    key = bare("unit_key")
    rows = now.rows(select(key.c.unit_id, key.c.jwk).where(key.c.change_id == change_id).order_by(key.c.position))
    keys = [[_dashes(row.unit_id), _print(_jwk(row.jwk) or {})] for row in rows]
    return content_digest({"id": _dashes(change_id), "organisation": _dashes(organisation_id), "keys": keys})


def _dashes(key: Any) -> str:
    return str(UUID(str(key)))


@in_snapshot("card-ended-by-person", "No card is damaged, locked or lost by a program alone: a person says so.")
def ended_by_person(now: Snapshot) -> Found:
    """Check the act of each step that ends a card. Steps of before these rules count as they were taken."""
    step, card = bare("history"), bare("card")
    query = (
        select(card.c.id, card.c.uid, step.c.to_state)
        .select_from(step)
        .join(card, card.c.id == step.c.object_id)
        .join(ENTRY, ENTRY.c.id == step.c.act_id)
        .where(step.c.object_kind == "card", step.c.to_state.in_(("damaged", "locked", "lost", "revoked")))
        .where(step.c.from_state != step.c.to_state, ENTRY.c.person_id.is_(None))
        .where(or_(RULES_CAME.is_(None), ENTRY.c.at > RULES_CAME))
    )
    return now.find("card", query, "({uid}) became {to_state} by a program alone")


@in_snapshot("card-suspended", "A card is suspended exactly while a suspension of it is open; a program's report waits exactly as long.")
def suspended(now: Snapshot) -> Found:
    """Compare cards, suspensions and reports."""
    yield from now.find(
        "card",
        "SELECT c.id, c.uid FROM card c WHERE c.state = 'suspended'"
        " AND NOT EXISTS (SELECT 1 FROM card_suspension s WHERE s.card_id = c.id AND s.closed_act IS NULL)",
        "({uid}) is suspended for no cause",
    )
    yield from now.find(
        "card",
        "SELECT c.id, c.uid, c.state FROM card c JOIN card_suspension s ON s.card_id = c.id AND s.closed_act IS NULL"
        " WHERE c.state <> 'suspended'",
        "({uid}) is {state}, and a suspension of it is open",
    )
    yield from now.find(
        "card_report",
        "SELECT r.id, r.state FROM card_report r JOIN card_suspension s ON s.id = r.suspension_id"
        " WHERE (r.state = 'pending') <> (s.closed_act IS NULL) OR r.card_id <> s.card_id",
        "is {state}, its suspension is not",
    )
    yield from now.find(
        "card_report",
        "SELECT r.id, r.state FROM card_report r LEFT JOIN audit_entry e ON e.id = r.act_id"
        " WHERE r.state <> 'pending' AND (e.person_id IS NULL OR r.decided_by_person IS NULL OR e.person_id <> r.decided_by_person)",
        "is {state}, and no person decided it",
    )


@in_snapshot(
    "place-suspended", "A card is suspended for its place exactly while a proposal says so, by a second person or after its deadline."
)
def suspended_for_place(now: Snapshot) -> Found:
    """Compare proposals with the suspensions of cards, the reviews that opened them, and who decided."""
    yield from now.find(
        "place_suspension",
        "SELECT p.id, p.state FROM place_suspension p LEFT JOIN card_suspension s ON s.id = p.suspension_id AND s.card_id = p.card_id"
        " AND s.cause = 'place' WHERE (p.state = 'suspended') <> (s.id IS NOT NULL AND s.closed_act IS NULL)"
        " OR (p.suspension_id IS NOT NULL AND s.id IS NULL)",
        "is {state}, its suspension of the card is not",
    )
    yield from now.find(
        "card",
        "SELECT c.id, c.uid FROM card c JOIN card_suspension s ON s.card_id = c.id AND s.cause = 'place'"
        " WHERE NOT EXISTS (SELECT 1 FROM place_suspension p WHERE p.suspension_id = s.id)",
        "({uid}) was suspended for its place, and nobody proposed it",
    )
    yield from now.find(
        "place_suspension",
        "SELECT p.id FROM place_suspension p LEFT JOIN activation a ON a.id = p.activation_id AND a.card_id = p.card_id"
        " AND a.review_state = 'rejected' AND a.reviewed_by = p.proposed_by_person WHERE a.id IS NULL",
        "is about a place that its proposer did not reject",
    )
    yield from now.find(
        "place_suspension",
        "SELECT p.id, p.state FROM place_suspension p WHERE p.decided_by_person = p.proposed_by_person"
        " OR p.lifted_by_person = p.proposed_by_person OR (p.state = 'lifted' AND p.lifted_by_person IS NULL)"
        " OR (p.state = 'dropped' AND p.decided_by_person IS NULL)",
        "is {state}, and no second person decided it",
    )
    yield from now.find(
        "place_suspension",
        "SELECT p.id FROM place_suspension p JOIN history h ON h.object_kind = 'place_suspension' AND h.object_id = p.id"
        " AND h.to_state = 'suspended' WHERE p.decided_by_person IS NULL AND h.at < p.due_at",
        "suspended its card before the deadline, and nobody decided it",
    )
