"""Suspend a card, and lift the suspension again: the card returns to exactly the state in which it was."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from sifilma.cards.models import CARD, Card, CardState, CardSuspension
from sifilma.kernel.context import Act
from sifilma.kernel.ids import uuid7


def open_suspension(session: Session, card: Card, cause: str, act: Act) -> CardSuspension:
    """Open a suspension for a cause. The caller moves the card to `suspended` next. Raise Conflict if its state does not allow that."""
    CARD.require(card, CardState.SUSPENDED)
    opened = CardSuspension(id=uuid7(), card_id=card.id, cause=cause, former_state=card.state, opened_act=act.id)
    session.add(opened)
    session.flush()
    return opened


def close(session: Session, card: Card, opened: CardSuspension, act: Act) -> bool:
    """Close a suspension. Return whether it was the card's last: then the caller moves the card on, or lets it return."""
    opened.closed_act = act.id
    session.flush()
    others = select(CardSuspension.id).where(CardSuspension.card_id == card.id, CardSuspension.closed_act.is_(None))
    return session.scalars(others.limit(1)).first() is None


def lift(session: Session, card: Card, opened: CardSuspension, act: Act, note: str) -> None:
    """Close a suspension. The card returns to its former state when no other is open; a hook brings its manifest back into force."""
    if close(session, card, opened, act):
        CARD.move(session, card, opened.former_state, act, note)
        session.flush()


def return_to(session: Session, card: Card, state: CardState) -> None:
    """Change the state to which a suspended card returns: its manifest has ended meanwhile, so it is `active` no more."""
    still = (CardSuspension.card_id == card.id, CardSuspension.closed_act.is_(None), CardSuspension.former_state == CardState.ACTIVE)
    session.execute(update(CardSuspension).where(*still).values(former_state=str(state)))
