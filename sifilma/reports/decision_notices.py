"""Messages sent at once: a submission was approved, returned or rejected; a program reported a card.

A hook writes the message to the outbox in the transaction of that step, so it leaves exactly if the step is committed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from sifilma.activation.models import ACTIVATION_REQUEST
from sifilma.cards.models import CARD, Card, CardReport, CardState, ReportState
from sifilma.destruction.models import DESTRUCTION, Destruction
from sifilma.identity.models import AccountState, User, holds
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Act
from sifilma.kernel.lifecycle import LifeCycle
from sifilma.kernel.seals import sealer_of
from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.notifications.outbox import Recipient
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
            heads = select(User).where(User.organisation_id == card.holder_id, User.state == AccountState.ACTIVE, holds(User, Role.HEAD))
            found = list(session.scalars(heads)) if report is not None else []
        for user in found:
            address = ways_to(held.settings, user).get(Channel.EMAIL)
            if address and report is not None:
                subject, text = message_texts.notice(held.site, message_texts.reader(user), "card_report_pending", "", report)
                session.add(outbox.written(held.settings, act.at, Recipient(Channel.EMAIL, address, user.id), PURPOSE, subject, text))


def _tell(held: Resources, task: str, session: Session, decided: Any, act: Act) -> None:
    """Write an e-mail to the submitter, unless they took the step themselves, are disabled or not sealed, or have switched e-mail off."""
    if decided.submitted_by_user in (None, act.user_id):
        return
    # The hook runs in the middle of a step: a flush now would write the object before its new state.
    with session.no_autoflush:
        user = session.get_one(User, decided.submitted_by_user)
        stands = user.state == AccountState.ACTIVE and sealer_of(session).fits(User, user)
        address = ways_to(held.settings, user).get(Channel.EMAIL) if stands else None
    if address:
        title = decided.number if isinstance(decided, Destruction) else decided.letter_number
        subject, text = message_texts.notice(held.site, message_texts.reader(user), task, title or "", decided.id)
        session.add(outbox.written(held.settings, act.at, Recipient(Channel.EMAIL, address, user.id), PURPOSE, subject, text))


DECISIONS: tuple[tuple[LifeCycle, tuple[str, ...]], ...] = (
    (PERSONALISATION, ("approved", "returned", "rejected")),
    (ACTIVATION_REQUEST, ("approved", "returned", "rejected")),
    (DESTRUCTION, ("approved", "rejected")),
)
