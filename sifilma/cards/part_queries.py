"""Cards and units with a part of a text in one of their numbers: UID, hardware number, PCID. Few are found by the indexes of parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, or_, select, union_all

from sifilma.cards.derived.models import CardUid
from sifilma.cards.identifiers import plain_hex
from sifilma.cards.models import Card, Unit
from sifilma.kernel.context import Context
from sifilma.kernel.statements import built_once
from sifilma.kernel.statements.finders import (
    SOME,
    Arm,
    Finder,
    Ids,
    Sought,
    among_few,
    counted_query,
    each_few,
    equals,
    find,
    like,
    pattern,
    together,
)
from sifilma.kernel.ways import looked_through

UID_DIGITS, PCID_DIGITS = 16, 32


def _number(text: str) -> str:
    """Return a part of a hardware number as numbers are kept. A dash may belong to it."""
    return re.sub(r"[\s:]", "", text).upper()


def _digits(text: str) -> str:
    """Return hexadecimal digits, of which UIDs and PCIDs are made, or nothing if the text is anything else.

    People copy them in pairs, with colons or dashes, in lower case.
    """
    digits = plain_hex(text)
    return digits if re.fullmatch("[0-9A-F]+", digits) else ""


def _part(text: str, length: int) -> str | None:
    return pattern(digits) if len(digits := _digits(text)) < length else None


def _whole(length: int) -> Callable[[str], str | None]:
    return lambda text: digits if len(digits := _digits(text)) == length else None


def _part_of_uid(text: str) -> str | None:
    return _part(text, UID_DIGITS)


UNITS = Finder(
    Arm(Unit.id, like(Unit.hardware_number, by_some=True), lambda text: pattern(_number(text))),
    Arm(Unit.id, like(Unit.pcid, by_some=True), lambda text: _part(text, PCID_DIGITS)),
    Arm(Unit.id, equals(Unit.pcid), _whole(PCID_DIGITS)),
)
"""Units with a part in a number of their own."""
_UID = Arm(Card.id, equals(Card.uid), _whole(UID_DIGITS))
CARDS = Finder(Arm(CardUid.card_id, like(CardUid.uid, by_some=True), _part_of_uid), _UID)
"""Cards with a part in their UID."""
_OF_CARD = Finder(Arm(Card.id, like(Card.uid), _part_of_uid), _UID)


@dataclass(frozen=True, eq=False)
class Naming:
    """Something else that names cards: what finds it for a text, its id, and the condition of cards that those with a condition name.

    The condition of cards knows what the actor may see.
    """

    finder: Finder
    id: Any
    names: Callable[[Context, ColumnElement[bool]], ColumnElement[bool]]


def has_uid(text: Sought) -> ColumnElement[bool]:
    """Return the condition of cards with the part in their UID, for a query that reads them in an order."""
    return _OF_CARD.fitting(text)


def units_with(text: Sought) -> ColumnElement[bool]:
    """Return the condition of units with the part in a number of theirs, or in the UID of a card that was in them."""
    return or_(UNITS.fitting(text), exists().where(Card.unit_id == Unit.id, has_uid(text)))


def units_with_query(ctx: Context, query: Select[Unit], text: str) -> Select[Unit]:
    """Restrict a query of units to those of `units_with`."""
    units, cards = find(ctx.session, text, UNITS, CARDS)
    few, _ = follow(ctx, units, cards)
    return looked_through(query, units_with(text)) if few is None else among_few(ctx.session, query, Unit.id, few)


def cards_with(ctx: Context, text: Sought, *naming: Naming) -> ColumnElement[bool]:
    """Return the condition of cards with the part in their UID or in a number of their unit, or that something else names."""
    in_unit = exists().where(Unit.id == Card.unit_id, UNITS.fitting(text))
    return or_(has_uid(text), in_unit, *(one.names(ctx, one.finder.fitting(text)) for one in naming))


def cards_with_query(ctx: Context, query: Select[Card], text: str, *naming: Naming) -> Select[Card]:
    """Restrict a query of cards to those of `cards_with`."""
    units, cards, *others = find(ctx.session, text, UNITS, CARDS, *(one.finder for one in naming))
    _, few = follow(ctx, units, cards, others, naming)
    return looked_through(query, cards_with(ctx, text, *naming)) if few is None else among_few(ctx.session, query, Card.id, few)


def follow(ctx: Context, units: Ids, cards: Ids, others: Sequence[Ids] = (), naming: tuple[Naming, ...] = ()) -> tuple[Ids, Ids]:
    """Return the units that were found with those of the cards that were, and the cards with those of the units and of what names cards.

    None where they are many. `others` is what was found of what names cards.
    """
    if units is None or cards is None:
        return None, None
    given = {"units": units, "cards": cards} | {f"naming_{at}": found or [] for at, found in enumerate(others)}
    rows = built_once.rows(ctx, named_query, naming, given) if any(given.values()) else ()
    of_cards, *lists = each_few(rows, SOME) or [[] for _ in range(2 + len(naming))]
    return together(units, of_cards), None if None in others else together(cards, *lists)


def named_query(ctx: Context, naming: tuple[Naming, ...]) -> Select[Any]:
    """Return the query of units of `cards`, of cards in `units`, and of cards that what names cards names."""
    ids = [
        select(Card.unit_id).where(Card.unit_id.is_not(None), built_once.one_of_given(Card.id, "cards")),
        select(Card.id).where(built_once.one_of_given(Card.unit_id, "units")),
        *(select(Card.id).where(one.names(ctx, built_once.one_of_given(one.id, f"naming_{at}"))) for at, one in enumerate(naming)),
    ]
    return select(union_all(*(counted_query(at, query, SOME) for at, query in enumerate(ids))).subquery())
