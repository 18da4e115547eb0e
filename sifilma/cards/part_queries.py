"""Cards and units with a part of a text in one of their numbers: UID, hardware number, PCID. Few are found by the indexes of parts."""

from __future__ import annotations

import re
from functools import cached_property
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, false, or_, select

from sifilma.cards.derived.models import CardUid
from sifilma.cards.identifiers import plain_hex
from sifilma.cards.models import Card, Unit
from sifilma.kernel.context import Context
from sifilma.kernel.db import among
from sifilma.kernel.paging import among_few, find_each, find_few, together
from sifilma.kernel.text import has_part

UID_DIGITS = 16


class Part:
    """A part of a number as people copy it: UIDs and PCIDs in pairs, with colons or dashes, in lower case.

    Units and cards of it are looked up once, for whatever lists.
    """

    def __init__(self, ctx: Context, text: str) -> None:
        self._session = ctx.session
        # A dash is a separator in a UID and a PCID, but may belong to a hardware number.
        digits, self.number = plain_hex(text), re.sub(r"[\s:]", "", text).upper()
        self.digits = digits if re.fullmatch("[0-9A-F]+", digits) else ""
        """Hexadecimal digits, of which UIDs and PCIDs are made; empty if the text is anything else."""

    @cached_property
    def found(self) -> tuple[list[UUID], list[UUID]] | None:
        """The units and the cards with this part in a number of their own; None where either are many, or no index has them."""
        arms = [select(Unit.id).where(one) for one in self.of_units()]
        named = [self._of_uid_query()] if self.digits else []
        each = find_each(self._session, [*arms, *named]) if has_part(self.number) else [None]
        units, cards = together(each[: len(arms)]), together(each[len(arms) :])
        return None if units is None or cards is None else (units, cards)

    def of_units(self) -> list[ColumnElement[bool]]:
        """Return the conditions of units with this part in a number of theirs."""
        numbers = [Unit.hardware_number.contains(self.number, autoescape=True)]
        return [*numbers, Unit.pcid.contains(self.digits, autoescape=True)] if self.digits else numbers

    def of_uid(self) -> ColumnElement[bool]:
        """Return the condition of cards with this part in their UID."""
        return Card.uid.contains(self.digits, autoescape=True) if self.digits else false()

    def _of_uid_query(self) -> Select[UUID]:
        """Return a query of the cards with this UID, or with these digits in it."""
        if len(self.digits) == UID_DIGITS:
            return select(Card.id).where(Card.uid == self.digits)
        return select(CardUid.card_id).where(CardUid.uid.contains(self.digits, autoescape=True))


def units_with_query(ctx: Context, query: Select[Unit], part: Part) -> Select[Unit]:
    """Restrict a query of units to those with the part in a number of theirs, or in the UID of a card that was in them."""
    if part.found is not None:
        units, cards = part.found
        named = [select(Card.unit_id).where(Card.unit_id.is_not(None), among(ctx.session, Card.id, cards))] if cards else []
        if (few := find_few(ctx.session, named)) is not None:
            return among_few(ctx.session, query, Unit.id, [*units, *few])
    return query.where(or_(*part.of_units(), exists().where(Card.unit_id == Unit.id, part.of_uid())))


def cards_with_query(ctx: Context, query: Select[Card], part: Part, *fitting: ColumnElement[bool]) -> Select[Card]:
    """Restrict a query of cards to those with the part in their UID or in a number of their unit, or that meet a further condition."""
    if part.found is not None:
        units, cards = part.found
        in_units = [select(Card.id).where(among(ctx.session, Card.unit_id, units))] if units else []
        if (few := find_few(ctx.session, [*in_units, *(select(Card.id).where(one) for one in fitting)])) is not None:
            return among_few(ctx.session, query, Card.id, [*cards, *few])
    in_unit = exists().where(Unit.id == Card.unit_id, or_(*part.of_units()))
    return query.where(or_(part.of_uid(), in_unit, *fitting))
