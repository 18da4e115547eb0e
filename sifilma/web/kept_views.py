"""Forms that save themselves while they are filled in (`static/kept.js`), and what became of them put away."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, jsonify, redirect, request
from flask_babel import format_time
from werkzeug.wrappers import Response as AnyResponse

from sifilma.kept_forms import service
from sifilma.kept_forms.service import Page
from sifilma.kernel.errors import Invalid
from sifilma.resources import resources
from sifilma.web import kept
from sifilma.web.operations import operation
from sifilma.web.pages import own_address
from sifilma.web.requests import context

blueprint = Blueprint("kept_pages", __name__, url_prefix="/isian")


@blueprint.post("")
@operation("session.self", idempotent=False)
def save() -> Response:
    """Save the fields of a form that is being filled in. Return what it is saved as, and when."""
    ctx = context()
    fields = [(name, text) for name, text in kept.typed() if text]
    form_id, revision = service.save_form(ctx, resources().settings, _page(), fields, kept.saved())
    return jsonify(saved=kept.mark((form_id, revision)), at=format_time(ctx.now, "HH.mm"))


@blueprint.post("/<uuid:form_id>/buang")
@operation("session.self", idempotent=False)
def discard(form_id: UUID) -> AnyResponse:
    """Throw away a form that was not finished."""
    return redirect(own_address(service.drop_form(context(), form_id)), 303)


def _page() -> Page:
    """Return the page of the form. Raise Invalid unless it is one of this site."""
    address, action = request.form.get("kept_page", ""), request.form.get("kept_action", "")
    path, _, query = address.partition("?")
    if own_address(address) != address or path == "/" or not action.startswith("/") or max(len(path), len(action)) > 300:
        raise Invalid.field("kept_page", "There is no such page.")
    return Page(path, query[:900], action)
