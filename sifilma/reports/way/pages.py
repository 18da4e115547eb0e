"""Where an object stands, which of its next steps the actor can take, and what waits next in the same queue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, func, select, union_all

from sifilma.activation.models import ActivationRequest
from sifilma.cards.models import Card
from sifilma.cards.queries import cards_query
from sifilma.destruction.form_choices import free_cards_query, may_be_proposed
from sifilma.destruction.models import Destruction
from sifilma.handover import returns
from sifilma.handover.models import Handover, HandoverCard, HandoverState
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.statements import built_once
from sifilma.kernel.timekeeping.targets import ACTIVATION_APPROVAL, APPROVAL, Targets
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.personalisation.rules import REPLACEABLE, replaceable
from sifilma.reports import tasks_waiting
from sifilma.reports.task_labels import TASKS
from sifilma.reports.way import queries
from sifilma.reports.way.cards.pages import of_card
from sifilma.reports.way.papers.pages import of_activation, of_destruction, of_handover, of_personalisation
from sifilma.reports.way.serializers import Awaited, Status, Step, Way
from sifilma.reports.way.step_labels import TARGETS

WAYS: Mapping[str, tuple[type[Any], Callable[[Context, Any], Way]]] = {
    "personalisation_request": (PersonalisationRequest, of_personalisation),
    "activation_request": (ActivationRequest, of_activation),
    "handover": (Handover, of_handover),
    "destruction": (Destruction, of_destruction),
    "card": (Card, of_card),
}
NOTHING = UUID(int=0)
"""The id of no object."""
MOST_OFFERED = 100
"""As many cards as an address names, and as the form of a request takes from it."""
OF_STATE = frozenset(name for name, task in TASKS.items() if task.of_state)


@dataclass(frozen=True)
class Page:
    """A way as a page shows it: `mine` are the tasks that the actor can do now. `uid` is that of a card, else empty.

    `offers` are what the actor may do besides, though nothing waits for it: the UIDs it is done with, by its name (`step_labels.OFFERS`).
    """

    way: Way
    mine: list[Awaited]
    uid: str = ""
    offers: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Next:
    """What waits next in a queue: its task, its title and organisation, and how many wait in all."""

    task: Awaited
    organisation: str
    count: int


def way_page(ctx: Context, targets: Targets, kind: str, key: UUID) -> Page:
    """Return the way of an object that the actor may see."""
    model, way_of = WAYS[kind]
    thing = ctx.session.get_one(model, key)
    way = dated(way_of(ctx, thing), targets, ctx.now)
    mine = tasks_of_actor(ctx, way.awaited)
    if isinstance(thing, Handover):
        of = Card.id.in_(select(HandoverCard.card_id).where(HandoverCard.handover_id == key))
        came = [] if thing.state == HandoverState.ISSUED else _destructions(ctx, of)  # nobody destroys what is on its way
        return Page(way, [*mine, *came], offers=_replacements(ctx, of))
    if not isinstance(thing, Card):
        return Page(way, mine)
    if not mine:  # an operator may propose it too, though it waits for its holder
        mine = [one for one in way.awaited if one.task == "propose_destruction" and may_be_proposed(ctx, thing)]
    return Page(way, mine, thing.uid, _of_broken(ctx, thing))


def _of_broken(ctx: Context, card: Card) -> dict[str, Sequence[str]]:
    """Return what the actor may do with a card out of use: give it back, and ask for another one in its place."""
    if card.state not in REPLACEABLE:
        return {}
    goes = grants(ctx.actor, Operation.HANDOVER_ISSUE) and not ctx.actor.is_central and card.holder_id == ctx.actor.organisation_id
    goes_back = goes and ctx.session.scalar(select(Card.id).where(Card.id == card.id, *returns.returnable())) is not None
    return ({"give_back": [card.uid]} if goes_back else {}) | _replacements(ctx, Card.id == card.id)


def _destructions(ctx: Context, of: ColumnElement[bool]) -> list[Awaited]:
    """Return the task to propose the destruction of those of these cards that came broken, for whoever holds them."""
    own = ctx.actor.organisation_id
    if own is None or not grants(ctx.actor, Operation.DESTRUCTION_PROPOSE):
        return []
    broken = free_cards_query(ctx, each=True).where(of, Card.holder_id == own).with_only_columns(Card.state).distinct()
    return [Awaited("propose_destruction", own, state) for state in sorted(ctx.session.scalars(broken))]


def _replacements(ctx: Context, of: ColumnElement[bool]) -> dict[str, Sequence[str]]:
    """Return which of these cards the actor's organisation may ask another one for. A maker asks by a batch, for its buyers."""
    own = ctx.actor.organisation_id
    if (
        own is None
        or ctx.actor.organisation_kind is OrganisationKind.MANUFACTURER
        or not grants(ctx.actor, Operation.PERSONALISATION_DRAFT)
    ):
        return {}
    seen = cards_query(ctx).with_only_columns(Card.uid).where(of, *replaceable(own))
    uids = ctx.session.scalars(seen.order_by(Card.uid).limit(MOST_OFFERED)).all()
    return {"ask_replacement": uids} if uids else {}


def dated(way: Way, targets: Targets, now: datetime) -> Way:
    """Return the way with the due days of the steps that it stands at."""
    return replace(way, steps=[_dated(step, way, targets, now) for step in way.steps])


def _dated(step: Step, way: Way, targets: Targets, now: datetime) -> Step:
    name = TARGETS.get(step.name, "")
    if name == APPROVAL and any(TASKS[one.task].target == ACTIVATION_APPROVAL for one in way.awaited):
        name = ACTIVATION_APPROVAL  # the way of a card has both approvals, one after the other
    if step.status is not Status.CURRENT or step.at is None:
        return step
    return replace(step, due=targets.due(name, step.at), late=targets.late(name, step.at, now))


def tasks_of_actor(ctx: Context, awaited: Sequence[Awaited]) -> list[Awaited]:
    """Return those of the tasks that are on the actor's home, in one statement at most."""
    if not awaited:
        return []
    names, keys = frozenset(one.task for one in awaited), sorted({one.key for one in awaited})
    found = built_once.rows(ctx, mine_query, names, {"keys": keys})
    have = {(task, key, title if task in OF_STATE else "") for task, key, title in found}
    return [one for one in awaited if (one.task, one.key, one.title) in have]


def mine_query(ctx: Context, names: Collection[str]) -> Select[Any] | None:
    """Return the query of the actor's tasks of these names on the objects `keys`."""
    found = queries.of_tasks(queries.waiting(ctx), names)
    if not found:
        return None
    every = union_all(*found).subquery()
    return select(every.c.task, every.c.key, every.c.title).where(built_once.one_of_given(every.c.key, "keys"))


def find_next(ctx: Context, tasks: Collection[str], besides: UUID | None) -> Next | None:
    """Return the oldest of the actor's tasks of these kinds, without those on the object `besides`, or None."""
    row = next(iter(built_once.rows(ctx, next_query, frozenset(tasks), {"besides": besides or NOTHING})), None)
    return Next(Awaited(row.task, row.key, row.title), row.organisation, row[4]) if row else None


def next_query(ctx: Context, names: Collection[str]) -> Select[Any] | None:
    """Return the query of the oldest of the actor's tasks of these names, without those on the object `besides`."""
    found = queries.of_tasks(tasks_waiting.waiting(ctx), names)
    if not found:
        return None
    every = union_all(*found).subquery()
    query = select(every.c.task, every.c.key, every.c.title, every.c.organisation, func.count().over())
    return query.where(every.c.key != bindparam("besides", type_=every.c.key.type)).order_by(every.c.at, every.c.key).limit(1)
