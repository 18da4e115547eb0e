"""Who has the work on an object, on its page: take it, give it to a colleague, put it back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Flask, g, render_template
from flask_babel import lazy_gettext as _
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from sifilma.assignment import service
from sifilma.assignment.pages import PLACES, Place, desk_of
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
    """Give the templates `assignment(kind, id)`, the panel on the object's page, and for lists `holders(ids)` and `holder_filters`."""
    app.jinja_env.globals.update(assignment=panel, holders=_holders, holder_filters=FILTERS)


def panel(kind: str, key: UUID) -> Markup:
    """Return who has the work on an object, with the form; nothing for those who do not divide the work, or where nothing waits."""
    ctx = context()
    if ctx.actor.user_id is None or not grants(ctx.actor, Operation.WORK_ASSIGN):
        return Markup()
    desk = desk_of(ctx, kind, UUID(str(key)))
    if not desk.mine and desk.holder is None:
        return Markup()
    return Markup(render_template("assignment/panel.html", desk=desk, me=ctx.actor.user_id))  # noqa: S704  # a template


def _holders(ids: Any) -> dict[UUID, Holder]:
    """Return who has the objects of a list, in one statement; nothing for a visitor of another organisation."""
    return holders(context(), [UUID(str(one)) for one in ids]) if g.get("actor") else {}


def _add(place: Place) -> None:
    @operation("work.assign")
    def assign(object_id: UUID) -> AnyResponse:
        ctx, form, values = context(), Form.sent(), {place.argument: object_id}
        with form.attempt(ctx):
            service.assign(ctx, _wanted(form, place.kind, object_id))
            return seen(place.endpoint, DONE.get(form.get("verb"), ""), **values)
        # Who was slower reads on the object's page who has it.
        ctx.warn(text for _name, text in form.errors)
        return seen(place.endpoint, **values)

    blueprint.add_url_rule(f"{place.path}/<uuid:object_id>/penugasan", place.kind, assign, methods=["POST"])


def _wanted(form: Form, kind: str, object_id: UUID) -> AssignmentIn:
    """Return what the pressed button asks for."""
    verb = form.get("verb")
    named: dict[str, Any] = {"object_kind": kind, "object_id": str(object_id)}
    if verb in ("take", "put_back"):
        named["to"] = str(context().actor.user_id) if verb == "take" else None
    return form.model(AssignmentIn, **named)


for _place in PLACES.values():
    _add(_place)
