"""Invariants of what programs may do: their keys, the public keys of units, and the cards they report.

Keys, public keys and reports of before these rules were written down once, by the migration that brought the rules: by entries of the
system at one moment. What is older than that moment is judged by them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, select

from sifilma.approvals.four_eyes import content_digest
from sifilma.cards.public_keys import thumbprint
from sifilma.fsck.dialects import bare, dashed, fact
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot, broken

ENTRY, KEY, UNIT = bare("audit_entry"), bare("api_key"), bare("unit")
KEPT = ("api_key.keep", "unit.key_keep")
_OLD = ENTRY.alias("old")
_BEFORE = select(func.min(_OLD.c.at)).where(_OLD.c.action.in_(KEPT), _OLD.c.user_id.is_(None)).scalar_subquery()
"""The moment at which the rules came to this installation; NULL where they were there from the first day."""


def _newest(kind: str, key: Any, *actions: str) -> Any:
    """Return a scalar query of the id of the newest entry of these actions about an object."""
    word = ENTRY.alias("word")
    query = select(word.c.id).where(word.c.object_kind == kind, word.c.object_id == dashed(key), word.c.action.in_(actions))
    query = query.where(or_(word.c.action.not_in(KEPT), word.c.at == _BEFORE))
    return query.order_by(word.c.id.desc()).limit(1).scalar_subquery()


@in_snapshot("key-terms", "An API key has the scopes, addresses and last day that an audit entry gave it.")
def terms(now: Snapshot) -> Found:
    """Compare each key with the newest entry about its terms."""
    last = _newest("api_key", KEY.c.id, "api_key.create", "api_key.change", "api_key.keep")
    query = (
        select(KEY.c.id, KEY.c.scopes, KEY.c.addresses, KEY.c.expires_at, fact(ENTRY.c.data, "scopes").label("given"),
               fact(ENTRY.c.data, "addresses").label("places"), fact(ENTRY.c.data, "expires").label("until"))
        .select_from(KEY).outerjoin(ENTRY, ENTRY.c.id == last)
    )  # fmt: skip
    for row in now.rows(query):
        if row.given is None:
            yield broken("api_key", row.id, "has scopes that no audit entry gave")
        elif row.scopes != row.given:
            yield broken("api_key", row.id, f"has the scopes '{row.scopes}', its entry gave '{row.given}'")
        elif row.addresses != (row.places or ""):
            yield broken("api_key", row.id, f"is taken from '{row.addresses}', its entry says '{row.places or ''}'")
        elif _second(row.expires_at) != int(row.until or 0):
            yield broken("api_key", row.id, "has another last day than its entry gave")


def _second(value: Any) -> int:
    """Return the seconds since 1970 of a stored moment. SQLite stores moments as text, in UTC."""
    return int((datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value).timestamp())


@in_snapshot("unit-key", "A unit's public key was set by two persons: one proposed exactly it, another executed.")
def unit_keys(now: Snapshot) -> Found:
    """Check the change behind each key, its two entries and its digest. A key of before is the one that was written down."""
    proposed, executed, kept = (ENTRY.alias(name) for name in ("proposed", "executed", "kept"))
    change, key = bare("unit_key_change"), bare("unit_key")

    def entry(one: Any, kind: str, of: Any, *actions: str) -> Any:
        return one.c.id == _newest(kind, of, *actions)

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
        .where(or_(_BEFORE.is_(None), ENTRY.c.at > _BEFORE))
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
