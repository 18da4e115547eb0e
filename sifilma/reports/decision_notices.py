"""What people are told at once: a submission was decided or waits for them; a program reported a card; somebody wrote in a conversation.

A hook rings the bell and writes the message to the outbox in the transaction of that step, so both are there exactly if it is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from sifilma.accounts.models import FACTOR, USER_CHANGE, UserChange
from sifilma.activation.carrying import service as carrying
from sifilma.activation.carrying.models import Reissue
from sifilma.activation.models import ACTIVATION_REQUEST, REVOCATION
from sifilma.activation.suspensions.models import PLACE_SUSPENSION, PlaceSuspension
from sifilma.cards.models import CARD, Card, CardReport, CardState, ReportState
from sifilma.conversation import service as conversation
from sifilma.conversation.models import ConversationMessage
from sifilma.conversation.queries import PARTIES, messages_query
from sifilma.destruction.models import DESTRUCTION, Destruction
from sifilma.handover.discrepancies import service as discrepancies
from sifilma.handover.discrepancies.models import DifferenceState
from sifilma.handover.models import Handover
from sifilma.identity.models import AccountState, Organisation, User, holds
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Act, Context
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import LifeCycle
from sifilma.kernel.seals import sealer_of
from sifilma.notifications import bell, outbox
from sifilma.notifications.bell import Ring
from sifilma.notifications.contract import Channel
from sifilma.notifications.outbox import Recipient
from sifilma.oversight.models import CASE, CHANGE
from sifilma.personalisation.blanks import service as blanks
from sifilma.personalisation.models import CLOSING, PERSONALISATION
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
    for cycle, state, task, role, name in TO_DECIDE:
        cycle.on(state, ToDecide(task, role, name))
    CARD.on(CardState.SUSPENDED, ReportNotice(resources))
    conversation.on_written(MessageNotice(resources))
    blanks.on_low(LowStockNotice(resources))
    carrying.on_ended(ReissueNotice(resources))
    for state in ("proposed", "suspended", "dropped", "lifted", "answered"):
        PLACE_SUSPENSION.on(state, PlaceNotice(state, resources))
    discrepancies.on_told(DifferenceNotice(resources))


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
class ToDecide:
    """The hook of a state in which people of the directorate decide: tell those with the role. Their bell rings; nobody gets an e-mail.

    `name` is the attribute with the id that the line of the task has.
    """

    task: str
    role: Role
    name: str

    def __call__(self, session: Session, found: Any, act: Act) -> None:
        """Tell everybody who may decide. Whoever submitted or proposed it does not; nor does whoever it is about."""
        if isinstance(found, UserChange) and found.change == FACTOR:
            return  # who decides on a lost factor, and from when, is a matter of its own; it stands among the tasks
        own = {getattr(found, name, None) for name in ("submitted_by_person", "proposed_by_person")} - {None}
        central = exists().where(Organisation.id == User.organisation_id, Organisation.kind == OrganisationKind.DIRECTORATE)
        deciding = select(User).where(
            central, User.state == AccountState.ACTIVE, holds(User, self.role, act.at), User.person_id.not_in(own)
        )
        if isinstance(found, UserChange):
            deciding = deciding.where(User.person_id.not_in(select(User.person_id).where(User.id == found.user_id)))
        with session.no_autoflush:
            people = list(session.scalars(deciding.order_by(User.id)))
        _ring(session, people, self.task, title_of(found), getattr(found, self.name), act.at)


@dataclass(frozen=True)
class ReportNotice:
    """The hook of a card that is about to be suspended because a program reported it: tell the heads of its holder."""

    resources: Callable[[], Resources]

    def __call__(self, session: Session, card: Card, act: Act) -> None:
        """Tell each head, with the page of the report; the message names no card."""
        held = self.resources()
        with session.no_autoflush:
            report = session.scalars(
                select(CardReport.id).where(CardReport.card_id == card.id, CardReport.state == ReportState.PENDING)
            ).first()
            heads = select(User).where(
                User.organisation_id == card.holder_id, User.state == AccountState.ACTIVE, holds(User, Role.HEAD, act.at)
            )
            found = list(session.scalars(heads)) if report is not None else []
        if report is not None:
            tell(held, session, found, "card_report_pending", "", report, act.at)


@dataclass(frozen=True)
class PlaceNotice:
    """The hook of each step of a suspension for a rejected place: tell the heads of the card's holder. The message names no card."""

    state: str
    resources: Callable[[], Resources]

    def __call__(self, session: Session, found: PlaceSuspension, act: Act) -> None:
        """Tell each head."""
        with session.no_autoflush:
            heads = select(User).where(User.organisation_id == found.organisation_id, holds(User, Role.HEAD, act.at))
            people = list(session.scalars(heads.order_by(User.id)))
            tell(self.resources(), session, people, f"place_suspension_{self.state}", "", found.id, act.at)


@dataclass(frozen=True)
class LowStockNotice:
    """The hook of a stock of blank SAMs that has just become low: tell the operators of the directorate."""

    resources: Callable[[], Resources]

    def __call__(self, session: Session, left: int, at: datetime) -> None:
        """Tell each operator, with the number left."""
        with session.no_autoflush:
            people = list(session.scalars(select(User).where(holds(User, Role.OPERATOR, at)).order_by(User.id)))
            tell(self.resources(), session, people, "blanks_low", str(left), uuid7(), at)


@dataclass(frozen=True)
class ReissueNotice:
    """The hook of an order to issue manifests anew that has ended: tell the heads of each holder. The message names no card."""

    resources: Callable[[], Resources]

    def __call__(self, session: Session, order: Reissue, organisation_id: UUID, carried: int) -> None:
        """Tell each head, with the number of new manifests."""
        at = order.ended_at or order.began_at
        heads = select(User).where(User.organisation_id == organisation_id, User.state == AccountState.ACTIVE, holds(User, Role.HEAD, at))
        with session.no_autoflush:
            tell(self.resources(), session, list(session.scalars(heads)), "manifests_carried", str(carried), order.id, at)


@dataclass(frozen=True)
class MessageNotice:
    """The hook of a message in a conversation: tell the other side that there is one. What it says stays on the page."""

    resources: Callable[[], Resources]

    def __call__(self, ctx: Context, found: Any, message: ConversationMessage) -> None:
        """Tell each person of the other side."""
        others, task = _other_side(ctx, found, message), f"{message.object_kind}_message"
        tell(self.resources(), ctx.session, others, task, title_of(found), found.id, message.at)


@dataclass(frozen=True)
class DifferenceNotice:
    """The hook of a receipt that differs from its BAST, and of what is said about its missing cards: tell the other side."""

    resources: Callable[[], Resources]

    def __call__(self, ctx: Context, handover: Handover, said: str) -> None:
        """Tell whoever issued the BAST, or the heads of its receiver."""
        by_receiver = said in ("recorded", DifferenceState.ARRIVED)
        told = handover.issuer if by_receiver else handover.receiver
        of_it = select(User).where(User.organisation_id == told.id, User.state == AccountState.ACTIVE).order_by(User.id)
        role = Role.OPERATOR if told.kind == OrganisationKind.DIRECTORATE else Role.HEAD
        answers = heirs(ctx.session, "handover", handover.id).get(handover.issued_by, handover.issued_by)
        issuer = ctx.session.scalars(of_it.where(User.id == answers)).all()
        people = issuer or ctx.session.scalars(of_it.where(holds(User, role, ctx.now))).all()
        tell(self.resources(), ctx.session, people, f"handover_{said}", handover.number, handover.id, ctx.now)


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


def title_of(found: Any) -> str:
    """Return the number of a letter or of a paper, empty if it has none (yet)."""
    return str((found.number if isinstance(found, Destruction | Handover) else getattr(found, "letter_number", "")) or "")


def tell(held: Resources, session: Session, people: Iterable[User], task: str, title: str, key: UUID, at: datetime) -> None:
    """Ring the bell of each account that stands, and write an e-mail, unless they have switched e-mail off."""
    for user in _ring(session, people, task, title, key, at):
        address = ways_to(held.settings, user).get(Channel.EMAIL)
        if address:
            subject, text = message_texts.notice(held.site, message_texts.reader(user), task, title, key)
            session.add(outbox.written(held.settings, at, Recipient(Channel.EMAIL, address, user.id), PURPOSE, subject, text))


def _ring(session: Session, people: Iterable[User], task: str, title: str, key: UUID, at: datetime) -> list[User]:
    """Ring the bell of each account that is active and sealed. Return those."""
    sealer, shown = sealer_of(session), message_texts.shown_title(task, title)
    standing = [user for user in people if user.state == AccountState.ACTIVE and sealer.fits(User, user)]
    bell.ring(session, at, [Ring(user.id, task, key, shown) for user in standing])
    return standing


def _tell(held: Resources, task: str, session: Session, decided: Any, act: Act) -> None:
    """Tell the submitter, or the head to whom that work has passed on, unless they took the step themselves."""
    submitter = decided.submitted_by_user
    if submitter is None:
        return
    # The hook runs in the middle of a step: a flush now would write the object before its new state.
    with session.no_autoflush:
        concerned = heirs(session, task.rpartition("_")[0], decided.id).get(submitter, submitter)
        if concerned != act.user_id:
            tell(held, session, [session.get_one(User, concerned)], task, title_of(decided), decided.id, act.at)


DECISIONS: tuple[tuple[LifeCycle, tuple[str, ...]], ...] = (
    (PERSONALISATION, ("approved", "returned", "rejected", "closed")),
    (ACTIVATION_REQUEST, ("approved", "returned", "rejected")),
    (DESTRUCTION, ("approved", "rejected")),
)
TO_DECIDE = (
    (PERSONALISATION, "submitted", "approve_personalisation", Role.APPROVER, "id"),
    (ACTIVATION_REQUEST, "submitted", "approve_activation", Role.APPROVER, "id"),
    (DESTRUCTION, "proposed", "approve_destruction", Role.APPROVER, "id"),
    (REVOCATION, "proposed", "decide_revocation", Role.APPROVER, "manifest_id"),
    (CLOSING, "proposed", "decide_closing", Role.APPROVER, "personalisation_request_id"),
    (PLACE_SUSPENSION, "proposed", "decide_place_suspension", Role.APPROVER, "id"),
    (CHANGE, "proposed", "decide_reference", Role.APPROVER, "id"),
    (CASE, "tested", "certify_model", Role.APPROVER, "id"),
    (USER_CHANGE, "proposed", "decide_user_change", Role.USER_ADMIN, "user_id"),
)
"""Where something comes up to be decided at the directorate: the task on the home page, who has it, and the attribute with its id."""
