"""API keys on the web: list, create and revoke those of the actor's organisation."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, make_response, render_template
from werkzeug.wrappers import Response as AnyResponse

from sifilma.accounts import api_keys, service
from sifilma.accounts.schemas import ApiKeyIn
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("api_key_pages", __name__, url_prefix="/kunci-api", template_folder="templates")


@blueprint.get("")
@operation("api_keys.see")
def index() -> Response:
    """List the keys by their first characters, with the form for a new key."""
    return _keys(Form())


def _keys(form: Form) -> Response:
    return form.again("accounts/api_keys.html", keys=list(reversed(api_keys.api_keys(context()))))


@blueprint.post("")
@operation("api_keys", idempotent=False)
def create() -> AnyResponse:
    """Create a key. Only this answer shows the key itself."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        key, secret = api_keys.create_api_key(ctx, service.get_own_organisation(ctx).id, form.model(ApiKeyIn).name)
        return make_response(render_template("accounts/api_key.html", key=key, secret=secret), 201)
    return _keys(form)


@blueprint.post("/<uuid:key_id>/cabut")
@operation("api_keys", idempotent=False)
def revoke(key_id: UUID) -> AnyResponse:
    """Revoke a key. The next request that uses it is refused."""
    api_keys.revoke_api_key(context(), key_id)
    return seen("api_key_pages.index", "revoked")
