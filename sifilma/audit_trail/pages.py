"""Audit entries for pages: names for acts, people and organisations, and the URL of the object's page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from sqlalchemy import select

from sifilma.audit.models import AuditEntry
from sifilma.audit.proofs import Inclusion, places_of
from sifilma.audit.tree import ProofRefused, check_inclusion, leaf_hash
from sifilma.audit_trail import labels, log_serializers
from sifilma.cards.models import Card
from sifilma.documents.lists import Export
from sifilma.identity.models import ApiKey, Organisation, Person, User
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import may_reach
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, NotFound
from sifilma.web.pages import link_to

PAGES = {
    "activation": ("activated_pages.show", "activation_id"),
    "activation_request": ("activation_pages.show", "request_id"),
    "card": ("card_pages.show", "uid"),
    "destruction": ("destruction_pages.show", "destruction_id"),
    "handover": ("handover_pages.show", "handover_id"),
    "manifest": ("manifest_pages.show", "manifest_id"),
    "organisation": ("organisation_pages.show", "organisation_id"),
    "personalisation_request": ("personalisation_pages.show", "request_id"),
    "unit": ("unit_pages.show", "unit_id"),
    "unit_key_change": ("unit_key_pages.show", "change_id"),
    "user": ("user_pages.show", "user_id"),
}
NEEDS = {
    "activation": "manifest.view",
    "activation_request": "activation_request.view",
    "card": "card.view",
    "destruction": "destruction.view",
    "handover": "handover.view",
    "manifest": "manifest.view",
    "organisation": "reference.read",
    "personalisation_request": "personalisation.view",
    "unit": "unit.read",
    "unit_key_change": "unit.read",
    "user": "users.see",
}
"""The operation that somebody needs to open the page of an object."""
ONLY_OWN = ("activation", "manifest")
"""Objects whose pages a province cannot open for its regencies, although it reads their audit entries."""


@dataclass(frozen=True)
class EntryLine:
    """An entry with names: who acted (a person, or a program by its key), whose organisation it concerns, the URL of its object's page."""

    entry: AuditEntry
    who: str
    username: str
    whose: str
    address: str
    seq: int | None


@dataclass(frozen=True)
class Proven:
    """The proof of an entry: the checkpoint that covers it, and whether the hashes lead from the entry to the checkpoint's root."""

    seq: int
    size: int
    root: str
    at: datetime
    holds: bool


EXPORT = Export(
    "jejak",
    {
        _("Place in the log"): lambda line: "" if line.seq is None else line.seq,
        _("Time"): lambda line: line.entry.at,
        _("Act"): lambda line: labels.action(line.entry.action),
        _("Object"): lambda line: labels.object_kind(line.entry.object_kind),
        _("Object id"): lambda line: line.entry.object_id,
        _("User name"): lambda line: line.username,
        _("Name"): lambda line: line.who,
        _("Organisation"): lambda line: line.whose,
        _("IP address"): lambda line: line.entry.ip,
        _("Request number"): lambda line: line.entry.request_id,
        _("Entry"): lambda line: str(line.entry.id),
    },
    counted=lambda number, words: ngettext("%(count)s entry", "%(count)s entries", number, count=words),
    filters={"tindakan": "", "pengguna": "", "organisasi": "", "dari": "", "sampai": "", "objek": ""},
)


def lines(ctx: Context, entries: list[AuditEntry]) -> list[EntryLine]:
    """Return entries with their names, in at most five queries for all."""
    users = _map(
        ctx, select(User.id, User.username, Person.name).join(Person, Person.id == User.person_id), User.id, [e.user_id for e in entries]
    )
    keys = _map(ctx, select(ApiKey.id, ApiKey.name, ApiKey.prefix), ApiKey.id, [e.api_key_id for e in entries])
    owners = _map(ctx, select(Organisation.id, Organisation.name, Organisation.kind), Organisation.id, [e.organisation_id for e in entries])
    uids, places = _uids(ctx, entries), places_of(ctx, [entry.id for entry in entries])
    return [_line(ctx, entry, users, keys, owners, uids, places.get(entry.id)) for entry in entries]


def proven(ctx: Context, seq: int | None) -> Proven | None:
    """Return the checked proof of an entry against the newest checkpoint, or None while the entry has no place or no signed one."""
    if seq is None:
        return None
    try:
        made = log_serializers.get_proof(ctx, seq)
    except (Conflict, NotFound):
        return None
    signed = made.checkpoint
    return Proven(seq, signed.size, base64.b64encode(signed.root).decode(), signed.at, _holds(made))


def _holds(made: Inclusion) -> bool:
    try:
        check_inclusion(leaf_hash(made.leaf), made.seq, made.checkpoint.size, made.hashes, made.checkpoint.root)
    except ProofRefused:
        return False
    return True


def _map(ctx: Context, query: Any, column: Any, ids: list[UUID | None]) -> dict[UUID, tuple[str, str]]:
    wanted = {found for found in ids if found is not None}
    return {row[0]: (row[1], row[2]) for row in ctx.session.execute(query.where(column.in_(wanted)))} if wanted else {}


def _uids(ctx: Context, entries: list[AuditEntry]) -> dict[str, str]:
    """Return the UIDs of the cards among the objects, by id. The page of a card is addressed by its UID."""
    ids = [UUID(entry.object_id) for entry in entries if entry.object_kind == "card"]
    return {str(card_id): uid for card_id, uid in ctx.session.execute(select(Card.id, Card.uid).where(Card.id.in_(ids)))} if ids else {}


def _line(ctx: Context, entry: AuditEntry, users: Any, keys: Any, owners: Any, uids: dict[str, str], seq: int | None) -> EntryLine:
    username, who = users.get(entry.user_id, ("", ""))
    if entry.api_key_id is not None:
        username, who = "", " · ".join(keys.get(entry.api_key_id, ()))
    whose = owners.get(entry.organisation_id, ("", ""))[0]
    return EntryLine(entry, who, username, whose, _address(ctx, entry, uids), seq)


def _address(ctx: Context, entry: AuditEntry, uids: dict[str, str]) -> str:
    if entry.object_kind in ONLY_OWN and not may_reach(ctx.actor, Operation(NEEDS[entry.object_kind]), entry.organisation_id):
        return ""
    # An entry without an object has the id `-`.
    endpoint, argument = PAGES.get(entry.object_kind, ("", ""))
    key = uids.get(entry.object_id, "") if entry.object_kind == "card" else entry.object_id
    return link_to(endpoint, **{argument: key}) if endpoint and len(key) > 1 else ""
