"""Audit entries and failed requests for pages: names for acts, people and organisations, and the URL of the object's page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from sqlalchemy import String, cast, literal, select, union_all

from sifilma.activation.models import Activation, ActivationRequest, Manifest, Token
from sifilma.audit.models import AuditEntry
from sifilma.audit.proofs import Inclusion, places_of
from sifilma.audit.tree import ProofRefused, check_inclusion, leaf_hash
from sifilma.audit_trail import labels, log_serializers
from sifilma.cards.models import Card, DeviceModel, Unit
from sifilma.cards.outlets.models import Outlet
from sifilma.destruction.models import Destruction
from sifilma.documents.lists import Export
from sifilma.handover.discrepancies.models import Discrepancy
from sifilma.handover.models import Handover
from sifilma.identity.models import ApiKey, Organisation, Person, User
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import may_reach
from sifilma.kernel import errors
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, NotFound
from sifilma.oversight.models import Agreement
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.sign_in.models import FailedRequest
from sifilma.web.pages import link_to
from sifilma.web.texts import translate

PAGES = {
    "activation": ("activated_pages.show", "activation_id"),
    "activation_request": ("activation_pages.show", "request_id"),
    "card": ("card_pages.show", "uid"),
    "destruction": ("destruction_pages.show", "destruction_id"),
    "discrepancy": ("handover_pages.show", "handover_id"),
    "handover": ("handover_pages.show", "handover_id"),
    "manifest": ("manifest_pages.show", "manifest_id"),
    "organisation": ("organisation_pages.show", "organisation_id"),
    "outlet": ("outlet_pages.show", "outlet_id"),
    "personalisation_request": ("personalisation_pages.show", "request_id"),
    "place_suspension": ("suspension_pages.show", "suspension_id"),
    "unit": ("unit_pages.show", "unit_id"),
    "unit_correction": ("upkeep_pages.correction", "correction_id"),
    "unit_key_change": ("unit_key_pages.show", "change_id"),
    "user": ("user_pages.show", "user_id"),
}
NEEDS = {
    "activation": "manifest.view",
    "activation_request": "activation_request.view",
    "card": "card.view",
    "destruction": "destruction.view",
    "discrepancy": "handover.view",
    "handover": "handover.view",
    "manifest": "manifest.view",
    "organisation": "reference.read",
    "outlet": "outlet.see",
    "personalisation_request": "personalisation.view",
    "place_suspension": "place.suspension.see",
    "unit": "unit.read",
    "unit_correction": "unit.read",
    "unit_key_change": "unit.read",
    "user": "users.see",
}
"""The operation that somebody needs to open the page of an object."""
Names = dict[tuple[str, str], str]
ONLY_OWN = ("activation", "manifest")
"""Objects whose pages a province cannot open for its regencies, although it reads their audit entries."""


@dataclass(frozen=True)
class EntryLine:
    """An entry with names: its object's (`name`: a UID, a number, a user name), who acted (a person, or a program by its key), whose
    organisation it concerns, the URL of its object's page.
    """

    entry: AuditEntry
    name: str
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
        _("UID, number or name"): lambda line: line.name,
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


TITLES = {
    error.status: error.title
    for error in (
        errors.Forbidden, errors.NotFound, errors.Conflict, errors.TooLarge, errors.Invalid, errors.TooMany, errors.Unavailable,
        errors.SifilmaError,
    )
}  # fmt: skip


@dataclass(frozen=True)
class FailureLine:
    """A failed request with the name and user name of the person, or the program, whose it was; what the page called the error."""

    of: FailedRequest
    who: str
    username: str
    title: str


FAILURES = Export(
    "kejadian",
    {
        _("Request number"): lambda line: line.of.request_id,
        _("Time"): lambda line: line.of.at,
        _("User name"): lambda line: line.username,
        _("Name"): lambda line: line.who,
        _("Page or call"): lambda line: f"{line.of.method} {line.of.route}",
        _("Status"): lambda line: line.of.status,
        _("Error"): lambda line: line.title,
        _("Kind of refusal"): lambda line: line.of.type,
    },
    counted=lambda number, words: ngettext("%(count)s failed request", "%(count)s failed requests", number, count=words),
    filters={"kode": "", "pengguna": ""},
)


def failure_lines(ctx: Context, found: list[FailedRequest]) -> list[FailureLine]:
    """Return failed requests with their names, in two queries for all."""
    users, keys = _actors(ctx, found)
    return [_failure_line(each, users, keys) for each in found]


def _failure_line(found: FailedRequest, users: Any, keys: Any) -> FailureLine:
    username, who = users.get(found.user_id, ("", ""))
    if found.api_key_id is not None:
        username, who = "", " · ".join(keys.get(found.api_key_id, ()))
    return FailureLine(found, who, username, translate(TITLES.get(found.status, "")) or str(found.status))


def _actors(ctx: Context, rows: Sequence[AuditEntry | FailedRequest]) -> tuple[Any, Any]:
    """Return the user names and names of people, and the names and beginnings of API keys, by id."""
    people = select(User.id, User.username, Person.name).join(Person, Person.id == User.person_id)
    keys = select(ApiKey.id, ApiKey.name, ApiKey.prefix)
    return _map(ctx, people, User.id, [row.user_id for row in rows]), _map(ctx, keys, ApiKey.id, [row.api_key_id for row in rows])


def lines(ctx: Context, entries: list[AuditEntry]) -> list[EntryLine]:
    """Return entries with their names, in at most six queries for all."""
    users, keys = _actors(ctx, entries)
    owners = _map(ctx, select(Organisation.id, Organisation.name, Organisation.kind), Organisation.id, [e.organisation_id for e in entries])
    names, places = _names(ctx, entries), places_of(ctx, [entry.id for entry in entries])
    return [_line(ctx, entry, users, keys, owners, names, places.get(entry.id)) for entry in entries]


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


_CARD_OF: dict[str, Any] = {
    "activation": select(Activation.id, Card.uid).join(Card, Card.id == Activation.card_id),
    "manifest": select(Manifest.id, Card.uid).join(Card, Card.id == Manifest.card_id),
    "token": select(Token.id, Card.uid).join(Card, Card.id == Token.card_id),
}
NAMES: dict[str, Any] = _CARD_OF | {
    "activation_request": select(ActivationRequest.id, ActivationRequest.letter_number),
    "agreement": select(Agreement.id, Agreement.number),
    "card": select(Card.id, Card.uid),
    "destruction": select(Destruction.id, Destruction.number),
    "device_model": select(DeviceModel.id, DeviceModel.name),
    "discrepancy": select(Discrepancy.handover_id, Discrepancy.number),
    "handover": select(Handover.id, Handover.number),
    "organisation": select(Organisation.id, Organisation.name),
    "outlet": select(Outlet.id, Outlet.name),
    "personalisation_request": select(PersonalisationRequest.id, PersonalisationRequest.letter_number),
    "unit": select(Unit.id, Unit.hardware_number),
    "user": select(User.id, User.username),
}
"""By kind of object: what people call it by, such as the UID of a card or the number of a letter."""


def _names(ctx: Context, entries: list[AuditEntry]) -> Names:
    """Return what people call the objects by, in one query: by kind and id. The page of a card is addressed by its UID."""
    ids: dict[str, set[UUID]] = {}
    for entry in entries:
        if entry.object_kind in NAMES and len(entry.object_id) > 1:
            ids.setdefault(entry.object_kind, set()).add(UUID(entry.object_id))
    if not ids:
        return {}
    named = []
    for kind, wanted in ids.items():
        key, name = NAMES[kind].selected_columns
        named.append(NAMES[kind].with_only_columns(literal(kind), key, cast(name, String)).where(key.in_(wanted)))
    return {(kind, str(key)): name or "" for kind, key, name in ctx.session.execute(union_all(*named))}


def _line(ctx: Context, entry: AuditEntry, users: Any, keys: Any, owners: Any, names: Names, seq: int | None) -> EntryLine:
    username, who = users.get(entry.user_id, ("", ""))
    if entry.api_key_id is not None:
        username, who = "", " · ".join(keys.get(entry.api_key_id, ()))
    whose = owners.get(entry.organisation_id, ("", ""))[0]
    name = names.get((entry.object_kind, entry.object_id), "")
    return EntryLine(entry, name, who, username, whose, _address(ctx, entry, name), seq)


def _address(ctx: Context, entry: AuditEntry, name: str) -> str:
    if entry.object_kind in ONLY_OWN and not may_reach(ctx.actor, Operation(NEEDS[entry.object_kind]), entry.organisation_id):
        return ""
    # An entry without an object has the id `-`.
    endpoint, argument = PAGES.get(entry.object_kind, ("", ""))
    key = name if entry.object_kind == "card" else entry.object_id
    return link_to(endpoint, **{argument: key}) if endpoint and len(key) > 1 else ""
