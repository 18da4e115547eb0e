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
from sifilma.personalisation.models import PERSONALISATION
from sifilma.reports import message_texts
from sifilma.reports.reminders import ways_to
from sifilma.resources import Resources
from sifilma.succession.queries import heirs

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
    wrote = set(ctx.session.scalars(before.distinct())) | {getattr(found, "submitted_by_user", None), getattr(found, "issued_by", None)}
    passed = heirs(ctx.session, message.object_kind, found.id)
    bound = {passed.get(user_id, user_id) for user_id in wrote if user_id is not None}
    central = Organisation.kind == OrganisationKind.DIRECTORATE
    # A BAST of two others is the directorate's matter only once it has written itself.
    answering = or_(
        User.organisation_id.in_(PARTIES[message.object_kind].of(found)) & ~central & holds(User, Role.HEAD, message.at),
        central & holds(User, Role.OPERATOR, message.at)
        if not isinstance(found, Handover)
        else central & User.organisation_id.in_([found.issuer_id, found.receiver_id]) & holds(User, Role.OPERATOR, message.at),
    )
    query = select(User).join(Organisation, Organisation.id == User.organisation_id).where(
        User.state == AccountState.ACTIVE, User.organisation_id != message.organisation_id, or_(User.id.in_(bound), answering)
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
    """Write an e-mail to the submitter, or to the head to whom that work has passed on.

    Nobody is told who took the step themselves, is disabled or not sealed, or has switched e-mail off.
    """
    submitter = decided.submitted_by_user
    if submitter is None:
        return
    # The hook runs in the middle of a step: a flush now would write the object before its new state.
    with session.no_autoflush:
        concerned = heirs(session, task.rpartition("_")[0], decided.id).get(submitter, submitter)
        if concerned != act.user_id:
            _notify(held, session, session.get_one(User, concerned), task, _title(decided), decided.id, act.at)


DECISIONS: tuple[tuple[LifeCycle, tuple[str, ...]], ...] = (
    (PERSONALISATION, ("approved", "returned", "rejected")),
    (ACTIVATION_REQUEST, ("approved", "returned", "rejected")),
    (DESTRUCTION, ("approved", "rejected")),
)
