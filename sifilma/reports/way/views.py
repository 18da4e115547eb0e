"""What the ways give to every page: `way(kind, id)` shows where an object stands, `following()` leads on after an act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Flask, render_template, request, url_for
from markupsafe import Markup

from sifilma.reports.task_labels import TASKS, Task
from sifilma.reports.way import pages, step_labels
from sifilma.reports.way.serializers import Awaited
from sifilma.resources import resources
from sifilma.web.pages import BEFORE, ONWARD
from sifilma.web.requests import context

ONE_CARD = frozenset({"propose_destruction", "renew_manifests"})
"""Tasks of many cards: from the page of one, the form has that one chosen."""

DECIDED = frozenset({"decision", "verify"})
"""Parts of a page on which something is decided: from one such page a decision leads to the next."""


@dataclass(frozen=True)
class Button:
    """A next button: the task, and the address of the page or form on which it is done."""

    task: Task
    address: str


def register(app: Flask) -> None:
    """Give the functions to the templates."""
    app.jinja_env.globals.update(way=way, following=following)
    app.extensions[ONWARD] = next_page


def way(kind: str, key: UUID) -> Markup:
    """Return the way of an object that the actor may see, with the next buttons that are theirs."""
    page = pages.way_page(context(), resources().targets, kind, key)
    buttons = [Button(TASKS[one.task], _address(one, page.uid)) for one in page.mine]
    offers = [_offered(step_labels.OFFERS[name], uids) for name, uids in page.offers.items()]
    shown = {"way": page.way, "buttons": buttons, "offers": offers}
    return Markup(render_template("reports/way.html", labels=step_labels, tasks=TASKS, **shown))  # noqa: S704  # a template


def _offered(offer: step_labels.Offer, uids: Sequence[str]) -> Button:
    values: dict[str, Any] = {offer.cards: uids}
    return Button(offer.task, url_for(offer.task.endpoint, **values))


def _address(one: Awaited, uid: str = "") -> str:
    task = TASKS[one.task]
    values = task.values(one.key, one.title)
    if uid and one.task in ONE_CARD:
        values = {name: value for name, value in values.items() if name != "semua"} | {"cards": uid}
    return url_for(task.endpoint, _anchor=task.anchor or None, **values)


def following() -> Markup:
    """Return the way on after an act on this page: the next that waits in the same queue, or back to the list. Empty on other pages."""
    queue, did = step_labels.QUEUES.get(request.endpoint or ""), request.args.get("selesai", "")
    if queue is None or not did:
        return Markup()
    here = next(iter((request.view_args or {}).items()), None)
    before = request.args.get(BEFORE, type=UUID)
    if here and before:
        values: dict[str, Any] = {here[0]: before}
        address = url_for(request.endpoint or "", **values)
        return Markup(render_template("reports/followed.html", address=address))  # noqa: S704  # a template
    found = pages.find_next(context(), queue.tasks, here[1] if here else None)
    if found is None and did not in step_labels.DECISIONS:
        return Markup()
    address = _address(found.task) if found else url_for(queue.endpoint, **queue.values)
    return Markup(render_template("reports/following.html", next=found, address=address))  # noqa: S704  # a template


def next_page(endpoint: str, here: UUID) -> tuple[str, dict[str, Any]] | None:
    """Return endpoint and values of the next object that waits for a decision of the actor on such a page, or None."""
    queue = step_labels.QUEUES.get(endpoint)
    decided = {name for name in queue.tasks if TASKS[name].endpoint == endpoint and TASKS[name].anchor in DECIDED} if queue else set()
    found = pages.find_next(context(), decided, here)
    return (endpoint, TASKS[found.task.task].values(found.task.key, found.task.title)) if found else None
