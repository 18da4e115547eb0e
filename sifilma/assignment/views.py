"""Who has the work on an object, on its page: take it, give it to a colleague, put it back."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, Flask, Response, g, render_template, url_for
from flask_babel import lazy_gettext as _
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from sifilma.assignment import service
from sifilma.assignment.pages import PLACES, Place, desk_of, panel_of
from sifilma.assignment.queries import FREE, MINE, TAKEN, Holder, holders
from sifilma.assignment.schemas import AssignmentIn
from sifilma.identity.permissions import Operation, grants
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("assignment_pages", __name__, template_folder="templates")
FILTERS = ((MINE, _("Assigned to me")), (FREE, _("Nobody has it")), (TAKEN, _("Somebody has it")))
DONE = {"take": "work_taken", "give": "work_given", "put_back": "work_put_back"}


def register(app: Flask) -> None:
    """Give the templates the panel of an object (`assignment`), and for lists `holders` and `holder_filters`."""
    app.jinja_env.globals.update(assignment=panel, holders=_holders, holder_filters=FILTERS)


def panel(kind: str, key: UUID, state: str) -> Markup:
    """Return who has the work on an object that is shown, with buttons; nothing for others than the directorate, or where nothing waits.

    `state` is that of the object, or what `pages.WAITS` says in its place.
    """
    ctx = context()
    may = ctx.actor.user_id is not None and bool(grants(ctx.actor, Operation.WORK_ASSIGN))
    desk = panel_of(ctx, kind, UUID(str(key)), state) if may else None
    if desk is None or not (desk.mine or desk.holder):
        return Markup()
    return Markup(render_template("assignment/panel.html", desk=desk, me=ctx.actor.user_id, place=PLACES[kind]))  # noqa: S704  # a template


def _holders(ids: Any) -> dict[UUID, Holder]:
    """Return who has the objects of a list, in one statement; nothing for a visitor of another organisation."""
    return holders(context(), [UUID(str(one)) for one in ids]) if g.get("actor") else {}


def _add(place: Place) -> None:
    @operation("work.assign")
    def show(object_id: UUID) -> Response:
        return _page(place, object_id, Form())

    @operation("work.assign")
    def assign(object_id: UUID) -> AnyResponse:
        ctx, form, values = context(), Form.sent(), {place.argument: object_id}
        with form.attempt(ctx):
            service.assign(ctx, _wanted(form, place.kind, object_id))
            return seen(place.endpoint, DONE.get(form.get("verb"), ""), **values)
        if form.status != HTTPStatus.CONFLICT:
            return _page(place, object_id, form)
        # Who was slower reads on the object's page who has it.
        ctx.warn(text for _name, text in form.errors)
        return seen(place.endpoint, **values)

    path = f"{place.path}/<uuid:object_id>/penugasan"
    blueprint.add_url_rule(path, place.kind, show, methods=["GET"])
    blueprint.add_url_rule(path, f"{place.kind}_assign", assign, methods=["POST"])


def _page(place: Place, object_id: UUID, form: Form) -> Response:
    ctx, values = context(), dict[str, Any]({place.argument: object_id})
    desk = desk_of(ctx, place.kind, object_id)
    back = url_for(place.endpoint, **values)
    return form.again("assignment/assignment.html", desk=desk, me=ctx.actor.user_id, place=place, back=back)


def _wanted(form: Form, kind: str, object_id: UUID) -> AssignmentIn:
    """Return what the pressed button asks for."""
    verb = form.get("verb")
    named: dict[str, Any] = {"object_kind": kind, "object_id": str(object_id)}
    if verb in ("take", "put_back"):
        named["to"] = str(context().actor.user_id) if verb == "take" else None
    return form.model(AssignmentIn, **named)


for _place in PLACES.values():
    _add(_place)
