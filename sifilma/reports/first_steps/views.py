"""Hide the first steps in this browser, for the account's organisation."""

from __future__ import annotations

from flask import Blueprint, request
from werkzeug.wrappers import Response as AnyResponse

from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("first_steps", __name__, url_prefix="/langkah-awal")
COOKIE, SECONDS = "langkah-awal", 400 * 24 * 3600


@blueprint.post("")
@operation("session.self", idempotent=False)
def hide() -> AnyResponse:
    """Hide the steps. Nothing is stored here: the cookie names the organisation, and another browser shows them still."""
    answer = seen("home.show")
    own, secure = str(context().actor.organisation_id), resources().settings.https
    answer.set_cookie(COOKIE, own, max_age=SECONDS, httponly=True, samesite="Lax", secure=secure)
    return answer


def is_hidden() -> bool:
    """Return whether this browser hides the steps of the actor's organisation."""
    return request.cookies.get(COOKIE) == str(context().actor.organisation_id)
