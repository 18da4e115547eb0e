"""Messages sent at once: a submission was approved, returned or rejected; a program reported a card; somebody wrote in a conversation.

A hook writes the message to the outbox in the transaction of that step, so it leaves exactly if the step is committed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from sifilma.activation.models import ACTIVATION_REQUEST
from sifilma.activation.suspensions import service as suspensions
from sifilma.activation.suspensions.models import PLACE_SUSPENSION, PlaceSuspension
from sifilma.cards.models import CARD, Card, CardReport, CardState, ReportState
from sifilma.conversation import service as conversation
from sifilma.conversation.models import ConversationMessage
from sifilma.conversation.queries import PARTIES, messages_query
from sifilma.destruction.models import DESTRUCTION, Destruction
from sifilma.handover.models import Handover
from sifilma.identity.models import AccountState, Organisation, User, holds
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Act, Context
from sifilma.kernel.lifecycle import LifeCycle
from sifilma.kernel.seals import sealer_of
from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.notifications.outbox import Recipient
from sifilma.personalisation.blanks import service as blanks
from sifilma.personalisation.models import PERSONALISATION
from sifilma.reports import message_texts
from sifilma.reports.reminders import ways_to
from sifilma.resources import Resources

PURPOSE = "notice"


def register_hooks(resources: Callable[[], Resources]) -> None:
    """Attach the hooks of all decisions. Attaching them twice has no effect.

    `resources` returns those of the application in which the step is taken.
    """
    for cycle, states in DECISIONS:
        for state in states:
            cycle.on(state, Notice(cycle.kind, state, resources))
    CARD.on(CardState.SUSPENDED, ReportNotice(resources))
    conversation.on_written(MessageNotice(resources))
    blanks.on_low(LowStockNotice(resources))
    suspensions.on_proposed(PlaceNotice("proposed", resources))
    for state in ("suspended", "dropped", "lifted", "answered"):
        PLACE_SUSPENSION.on(state, PlaceNotice(state, resources))


@dataclass(frozen=True)
class Notice:
    """The hook of one state. It is a dataclass, because equal hooks count as one however often they are attached (`LifeCycle.on`)."""

    kind: str
    state: str
    resources: Callable[[], Resources]

    def __call__(self, session: Session, decided: Any, act: Act) -> None:
        """Tell the person who submitted the object."""
        _tell(self.resources(), f"{self.kind}_{self.state}", session, decided, act)


@dataclass(frozen=True)
class ReportNotice:
    """The hook of a card that is about to be suspended because a program reported it: tell the heads of its holder."""

    resources: Callable[[], Resources]

    def __call__(self, session: Session, card: Card, act: Act) -> None:
        """Write an e-mail to each head, with the page of the report; the message names no card."""
        held = self.resources()
        with session.no_autoflush:
            report = session.scalars(
                select(CardReport.id).where(CardReport.card_id == card.id, CardReport.state == ReportState.PENDING)
            ).first()
            heads = select(User).where(
                User.organisation_id == card.holder_id, User.state == AccountState.ACTIVE, holds(User, Role.HEAD, act.at)
            )
            found = list(session.scalars(heads)) if report is not None else []
        for user in found:
            address = ways_to(held.settings, user).get(Channel.EMAIL)
            if address and report is not None:
                subject, text = message_texts.notice(held.site, message_texts.reader(user), "card_report_pending", "", report)
                session.add(outbox.written(held.settings, act.at, Recipient(Channel.EMAIL, address, user.id), PURPOSE, subject, text))


@dataclass(frozen=True)
class PlaceNotice:
    """The hook of each step of a suspension for a rejected place: tell the heads of the card's holder. The message names no card."""

    state: str
    resources: Callable[[], Resources]

    def __call__(self, session: Session, found: PlaceSuspension, act: Act) -> None:
        """Write an e-mail to each head who wants any."""
        with session.no_autoflush:
            heads = select(User).where(User.organisation_id == found.organisation_id, holds(User, Role.HEAD, act.at))
            for user in session.scalars(heads.order_by(User.id)):
                _notify(self.resources(), session, user, f"place_suspension_{self.state}", "", found.id, act.at)


@dataclass(frozen=True)
class LowStockNotice:
    """The hook of a stock of blank SAMs that has just become low: tell the operators of the directorate."""

    resources: Callable[[], Resources]

    def __call__(self, session: Session, left: int, at: datetime) -> None:
        """Write an e-mail to each operator who wants any, with the number left."""
        with session.no_autoflush:
            for user in session.scalars(select(User).where(holds(User, Role.OPERATOR, at)).order_by(User.id)):
                _notify(self.resources(), session, user, "blanks_low", str(left), user.id, at)


@dataclass(frozen=True)
class MessageNotice:
    """The hook of a message in a conversation: tell the other side that there is one. What it says stays on the page."""

    resources: Callable[[], Resources]

    def __call__(self, ctx: Context, found: Any, message: ConversationMessage) -> None:
        """Write an e-mail to each person of the other side, as far as they want any."""
        held = self.resources()
        for user in _other_side(ctx, found, message):
            _notify(held, ctx.session, user, f"{message.object_kind}_message", _title(found), found.id, message.at)


def _other_side(ctx: Context, found: Any, message: ConversationMessage) -> list[User]:
    """Return who is told of a message: of each other party those who submitted, issued or wrote; where there are none, who answers for it.

    That is the heads of an organisation and the operators of the directorate.
    """
    before = messages_query(message.object_kind, found.id).with_only_columns(ConversationMessage.user_id).order_by(None)
    bound = set(ctx.session.scalars(before.distinct())) | {getattr(found, "submitted_by_user", None), getattr(found, "issued_by", None)}
    central = Organisation.kind == OrganisationKind.DIRECTORATE
    # A BAST of two others is the directorate's matter only once it has written itself.
    answering = or_(
        User.organisation_id.in_(PARTIES[message.object_kind].of(found)) & ~central & holds(User, Role.HEAD, message.at),
        central & holds(User, Role.OPERATOR, message.at)
        if not isinstance(found, Handover)
        else central & User.organisation_id.in_([found.issuer_id, found.receiver_id]) & holds(User, Role.OPERATOR, message.at),
    )
    query = select(User).join(Organisation, Organisation.id == User.organisation_id).where(
        User.state == AccountState.ACTIVE, User.organisation_id != message.organisation_id, or_(User.id.in_(bound - {None}), answering)
    )  # fmt: skip
    people = list(ctx.session.scalars(query.order_by(User.id)))
    involved = {user.organisation_id for user in people if user.id in bound}
    return [user for user in people if user.id in bound or user.organisation_id not in involved]


def _title(found: Any) -> str:
    """Return the number of a letter or of a paper, empty if it has none yet."""
    return str((found.number if isinstance(found, Destruction | Handover) else found.letter_number) or "")


def _notify(held: Resources, session: Session, user: User, task: str, title: str, key: UUID, at: datetime) -> None:
    """Write an e-mail to a user, unless their row is not sealed or they have switched e-mail off."""
    stands = user.state == AccountState.ACTIVE and sealer_of(session).fits(User, user)
    address = ways_to(held.settings, user).get(Channel.EMAIL) if stands else None
    if address:
        subject, text = message_texts.notice(held.site, message_texts.reader(user), task, title, key)
        session.add(outbox.written(held.settings, at, Recipient(Channel.EMAIL, address, user.id), PURPOSE, subject, text))


def _tell(held: Resources, task: str, session: Session, decided: Any, act: Act) -> None:
    """Write an e-mail to the submitter, unless they took the step themselves, are disabled or not sealed, or have switched e-mail off."""
    if decided.submitted_by_user in (None, act.user_id):
        return
    # The hook runs in the middle of a step: a flush now would write the object before its new state.
    with session.no_autoflush:
        user = session.get_one(User, decided.submitted_by_user)
        _notify(held, session, user, task, _title(decided), decided.id, act.at)


DECISIONS: tuple[tuple[LifeCycle, tuple[str, ...]], ...] = (
    (PERSONALISATION, ("approved", "returned", "rejected", "closed")),
    (ACTIVATION_REQUEST, ("approved", "returned", "rejected")),
    (DESTRUCTION, ("approved", "rejected")),
)
