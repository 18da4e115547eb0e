"""The labels of cards and units: whose number, function, model and organisation stand on them, and which page their QR code leads to.

A label names no person. Its QR code is the address of a page that wants a sign-in: a stranger learns nothing from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from flask_babel import gettext

from config.settings import Settings
from sifilma.cards.models import Card, Unit
from sifilma.cards.queries import units_query
from sifilma.cards.serializers import organisation_names
from sifilma.cards.service import cards_in
from sifilma.documents.indonesian import uid_pairs
from sifilma.documents.label_sheets import Label
from sifilma.kernel.context import Context
from sifilma.web.states import kind


def card_labels(ctx: Context, settings: Settings, cards: Sequence[Card]) -> list[Label]:
    """Return a label for each card. It names the organisation that the card is for, and its machine if the actor may see it."""
    ids = [card.unit_id for card in cards if card.unit_id]
    units = {unit.id: unit for unit in ctx.session.scalars(units_query(ctx).where(Unit.id.in_(ids)))} if ids else {}
    names = organisation_names(ctx, {card.buyer_id for card in cards})
    return [_card_label(settings, card, units.get(card.unit_id) if card.unit_id else None, names[card.buyer_id]) for card in cards]


def _card_label(settings: Settings, card: Card, unit: Unit | None, organisation: str) -> Label:
    machine = (f"{unit.hardware_number} · {unit.model.name}",) if unit else ()
    address = f"{settings.public_url}/kartu/{card.uid}"
    return Label(address, gettext("SAM card"), uid_pairs(card.uid), (kind(card.function), *machine, organisation))


def unit_labels(ctx: Context, settings: Settings, units: Sequence[Unit]) -> list[Label]:
    """Return a label for each unit. The fragment of its address is the hardware number, for the scanner of the activation form."""
    cards, names = cards_in(ctx, list(units)), organisation_names(ctx, {unit.organisation_id for unit in units})
    return [_unit_label(settings, unit, cards.get(unit.id), names[unit.organisation_id]) for unit in units]


def _unit_label(settings: Settings, unit: Unit, card: Card | None, organisation: str) -> Label:
    number = unit.hardware_number
    address = f"{settings.public_url}/unit/{unit.id}#{quote(number, safe='')}"
    tied = (f"UID {uid_pairs(card.uid)}",) if card else ()
    return Label(address, gettext("Machine"), number, (f"{unit.model.name} · {kind(unit.function)}", *tied, organisation))
