"""What the ways give to every page: `way(kind, id)` shows where an object stands, `following()` leads on after an act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Flask, render_template, request, url_for
from markupsafe import Markup
from sqlalchemy import func, select, union_all

from sifilma.activation.models import ActivationRequest
from sifilma.cards.models import Card
from sifilma.destruction.form_choices import may_be_proposed
from sifilma.destruction.models import Destruction
from sifilma.handover.models import Handover
from sifilma.kernel.context import Context
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.reports import tasks_waiting
from sifilma.reports.task_labels import TASKS, Task
from sifilma.reports.way import labels, pages, queries
from sifilma.reports.way.card_steps import of_card
from sifilma.reports.way.steps import Awaited, Way
from sifilma.web.requests import context

WAYS: dict[str, tuple[type[Any], Callable[[Context, Any], Way]]] = {
    "personalisation_request": (PersonalisationRequest, pages.of_personalisation),
    "activation_request": (ActivationRequest, pages.of_activation),
    "handover": (Handover, pages.of_handover),
    "destruction": (Destruction, pages.of_destruction),
    "card": (Card, of_card),
}
ONE_CARD = frozenset({"propose_destruction", "renew_manifests"})
"""Tasks of many cards: from the page of one, the form has that one chosen."""


@dataclass(frozen=True)
class Button:
    """A next button: the task, and the address of the page or form on which it is done."""

    task: Task
    address: str


def register(app: Flask) -> None:
    """Give the functions to the templates."""
    app.jinja_env.globals.update(way=way, following=following)


def way(kind: str, key: UUID) -> Markup:
    """Return the way of an object that the actor may see, with the next buttons that are theirs."""
    ctx = context()
    model, of = WAYS[kind]
    thing = ctx.session.get_one(model, key)
    found = of(ctx, thing)
    card = thing if isinstance(thing, Card) else None
    return Markup(render_template("reports/way.html", way=found, buttons=_buttons(ctx, found, card), labels=labels, tasks=TASKS))  # noqa: S704  # a template


def _buttons(ctx: Context, found: Way, card: Card | None) -> list[Button]:
    mine = pages.mine(ctx, found.awaited)
    if card is not None and not mine:  # an operator may propose it too, though it waits for its holder
        mine = [one for one in found.awaited if one.task == "propose_destruction" and may_be_proposed(ctx, card)]
    return [Button(TASKS[one.task], _address(one, card.uid if card else "")) for one in mine]


def _address(one: Awaited, uid: str = "") -> str:
    task = TASKS[one.task]
    values = task.values(one.key, one.title)
    if uid and one.task in ONE_CARD:
        values = {name: value for name, value in values.items() if name != "semua"} | {"cards": uid}
    return url_for(task.endpoint, _anchor=task.anchor or None, **values)


def following() -> Markup:
    """Return the way on after an act on this page: the next that waits in the same queue, or back to the list. Empty on other pages."""
    queue, did = labels.QUEUES.get(request.endpoint or ""), request.args.get("selesai", "")
    if queue is None or not did:
        return Markup()
    ctx = context()
    found = queries.of_tasks(tasks_waiting.waiting(ctx), queue.tasks)
    here = next(iter((request.view_args or {}).values()), None)
    rows: list[Any] = []
    if found:
        every = union_all(*found).subquery()
        others = select(every.c.task, every.c.key, every.c.title, every.c.organisation, func.count().over())
        rows = list(ctx.session.execute(others.where(every.c.key != here).order_by(every.c.at, every.c.key).limit(1)))
    if not rows and did not in labels.DECISIONS:
        return Markup()
    line = rows[0] if rows else None
    address = _address(Awaited(line.task, line.key, line.title)) if line else url_for(queue.endpoint, **queue.values)
    return Markup(render_template("reports/following.html", line=line, left=line[4] if line else 0, address=address))  # noqa: S704  # a template
