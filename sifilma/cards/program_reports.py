"""Reports of programs on cards: each suspends its card at once, and a person with a fresh code confirms or withdraws it.

A key can be stolen, and a card that is damaged, locked or lost does not come back as it was. So no call of a key ends a card.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Select, bindparam, select, update
from sqlalchemy.orm import Session

from sifilma.approvals.service import require_note
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import CARD, CARD_REPORT, REPORTABLE, Card, CardReport, CardState, CardSuspension, ReportState
from sifilma.cards.schemas import ReportIn
from sifilma.identity.models import ApiKey
from sifilma.identity.permissions import Operation, grants
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Forbidden, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import Listing
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.text import say

CAUSE = "card_report"


def reports_query(ctx: Context, operation: Operation = Operation.CARD_VIEW) -> Select[CardReport]:
    """Return a query of the reports of programs the actor may see: those of the cards that their organisation held."""
    return scoped(select(CardReport), ctx.actor, operation, CardReport.organisation_id)


def list_reports(ctx: Context, state: str | None) -> Listing[CardReport]:
    """Return the reports of programs the actor may see, of one state if it is given."""
    query = reports_query(ctx)
    return (query.where(CardReport.state == state) if state else query), CardReport.id


def get_report(ctx: Context, report_id: UUID, operation: Operation = Operation.CARD_VIEW) -> CardReport:
    """Return one report. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(reports_query(ctx, operation).where(CardReport.id == report_id)).first()
    if found is None:
        raise NotFound()
    return found


_PENDING = Prepared(select(CardReport.id).where(CardReport.card_id == bindparam("card"), CardReport.state == ReportState.PENDING.value))


def find_pending(ctx: Context, card: Card) -> CardReport | None:
    """Return the report on a card that waits for a decision, or None. The caller has checked that the actor may see the card."""
    found = _PENDING.read(ctx.session, {"card": card.id})
    return ctx.session.get_one(CardReport, found[0].id) if found else None


def program_of(ctx: Context, found: CardReport) -> str:
    """Return the name of the API key that reported."""
    return ctx.session.get_one(ApiKey, found.api_key_id).name


def may_decide(ctx: Context, found: CardReport) -> bool:
    """Return whether the actor may confirm or withdraw a report: a person of the holder, or a central operator."""
    allowed = bool(grants(ctx.actor, Operation.CARD_REPORT_DECIDE))
    return allowed and (ctx.actor.is_central or found.organisation_id == ctx.actor.organisation_id)


def suspend_reported(ctx: Context, card: Card, told: ReportIn, act: Act) -> CardReport:
    """Suspend a card that a program reported as damaged, locked or lost, and keep the report. `act` is the act of the report.

    Raise Conflict if the card is neither received nor active (`reported-by-person`), or if a report on it waits already.
    """
    if find_pending(ctx, card) is not None:
        raise Conflict("This card is suspended already: a person decides on the report about it.", type="report-pending")
    if card.state not in REPORTABLE:
        raise Conflict(
            say("A card that is %(state)s is reported by a person.", state=card.state), type="reported-by-person", state=card.state
        )
    assert ctx.actor.api_key_id is not None  # noqa: S101  # the caller asked
    opened = open_suspension(ctx.session, card, CAUSE, act)
    made = CardReport(
        id=uuid7(),
        card_id=card.id,
        organisation_id=card.holder_id,
        api_key_id=ctx.actor.api_key_id,
        suspension_id=opened.id,
        condition=told.condition,
        note=told.note,
        reported_at=ctx.now,
    )
    CARD_REPORT.born(made, ReportState.PENDING, act, told.note)
    ctx.session.add(made)
    ctx.session.flush()
    # After the report is stored: a hook tells the holder's heads of it.
    suspend(ctx.session, card, act, told.note)
    return made


def confirm(ctx: Context, report_id: UUID, note: str = "") -> CardReport:
    """Confirm a report: the card becomes what the program reported, its manifest is revoked and its tokens are cancelled.

    Raise NotFound outside the actor's scope, Forbidden if another organisation held the card, and Conflict if it was decided already.
    """
    found, card, opened = _pending(ctx, report_id)
    act = record(ctx, Action.CARD_REPORT_CONFIRM, "card", card.id, organisation_id=card.holder_id, condition=found.condition, note=note)
    close(ctx.session, card, opened, act)
    CARD.move(ctx.session, card, CardState(found.condition), act, note or found.note)
    _settle(ctx, found, ReportState.CONFIRMED, act, note)
    return found


def withdraw(ctx: Context, report_id: UUID, note: str) -> CardReport:
    """Withdraw a report: the card, its manifest and its tokens are as they were. Needs a note. Raise as `confirm` does.

    What ended by itself meanwhile stays ended: a manifest that was revoked by two persons or has expired, a token past its time.
    """
    require_note(note)
    found, card, opened = _pending(ctx, report_id)
    act = record(ctx, Action.CARD_REPORT_WITHDRAW, "card", card.id, organisation_id=card.holder_id, condition=found.condition, note=note)
    lift(ctx.session, card, opened, act, note)
    _settle(ctx, found, ReportState.WITHDRAWN, act, note)
    return found


def _pending(ctx: Context, report_id: UUID) -> tuple[CardReport, Card, CardSuspension]:
    found = get_report(ctx, report_id, Operation.CARD_REPORT_DECIDE)
    if not may_decide(ctx, found):
        raise Forbidden("Only the holder of a card decides on a report about it.", type="not-holder")
    hold(ctx.session, found)
    if found.state != ReportState.PENDING:
        raise Conflict(say("This report is %(state)s already.", state=found.state), state=found.state)
    card = ctx.session.get_one(Card, found.card_id)
    hold(ctx.session, card)
    return found, card, ctx.session.get_one(CardSuspension, found.suspension_id)


def _settle(ctx: Context, found: CardReport, state: ReportState, act: Act, note: str) -> None:
    found.decided_by_person = ctx.actor.person_id
    CARD_REPORT.move(ctx.session, found, state, act, note)
    ctx.session.flush()


# --- a card suspended, and back in its former state --------------------------------------------------------------------


def open_suspension(session: Session, card: Card, cause: str, act: Act) -> CardSuspension:
    """Open a suspension for a cause. The caller moves the card to `suspended` next. Raise Conflict if its state does not allow that."""
    CARD.require(card, CardState.SUSPENDED)
    opened = CardSuspension(id=uuid7(), card_id=card.id, cause=cause, former_state=card.state, opened_act=act.id)
    session.add(opened)
    session.flush()
    return opened


def suspend(session: Session, card: Card, act: Act, note: str) -> None:
    """Move a card to `suspended`, for the suspension that was just opened."""
    CARD.move(session, card, CardState.SUSPENDED, act, note)
    session.flush()


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
