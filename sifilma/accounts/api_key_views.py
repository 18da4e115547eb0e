"""API keys on the web: list, create, change and revoke those of the actor's organisation."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, make_response, render_template
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from sifilma.accounts import api_keys, service
from sifilma.accounts.pages import key_lines, scope_choices
from sifilma.accounts.schemas import ApiKeyIn, ApiKeyTermsIn
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("api_key_pages", __name__, url_prefix="/kunci-api", template_folder="templates")


@blueprint.get("")
@operation("api_keys.see")
def index() -> Response:
    """List the keys by their first characters, with the form for a new key."""
    return _keys(Form.begun())


def _keys(form: Form) -> Response:
    ctx = context()
    return form.again(
        "accounts/api_keys.html",
        keys=key_lines(ctx, reversed(api_keys.api_keys(ctx))),
        scopes=scope_choices(ctx),
        most_days=resources().settings.api_key_days,
    )


@blueprint.post("")
@operation("api_keys", idempotent=False)
def create() -> AnyResponse:
    """Create a key. Only this answer shows the key itself."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        given = form.model(ApiKeyIn, **_terms(form))
        own = service.get_own_organisation(ctx).id
        key, secret = api_keys.create_api_key(ctx, resources().settings, own, given.name, given.terms(), given.days)
        return make_response(render_template("accounts/api_key.html", key=key, secret=secret), 201)
    return _keys(form)


@blueprint.get("/<uuid:key_id>")
@operation("api_keys.see")
def show(key_id: UUID) -> Response:
    """Show a key with its scopes and addresses, and the form that changes them."""
    form = Form.begun()
    return _key(key_id, form if form.values else _stored(key_id))


def _stored(key_id: UUID) -> Form:
    """Return the form filled in with what is stored. Keys have no revision: what they may do stands for it."""
    key = api_keys.get_api_key(context(), key_id)
    form = Form.of(addresses="\n".join(key.addresses.split()), revision=f"{key.scopes}|{key.addresses}")
    form.values.setlist("scopes", key.scopes.split())
    return form


@blueprint.post("/<uuid:key_id>/ubah")
@operation("api_keys", idempotent=False)
def change(key_id: UUID) -> AnyResponse:
    """Give a key other scopes and addresses."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        form.stand_on(_stored(key_id))
        given = form.model(ApiKeyTermsIn, **_terms(form))
        api_keys.change_api_key(ctx, key_id, given.terms())
        return seen("api_key_pages.index", "saved")
    return _key(key_id, form)


def _terms(form: Form) -> dict[str, Any]:
    """Return what was ticked and typed. A person says which scopes a key has: none ticked is a slip."""
    ticked = form.values.getlist("scopes")
    if not ticked:
        raise Invalid.field("scopes", "Tick at least one thing that the program may do.")
    return {"scopes": ticked, "addresses": form.get("addresses").split()}


def _key(key_id: UUID, form: Form) -> Response:
    ctx = context()
    key = api_keys.get_api_key(ctx, key_id)
    return form.again("accounts/api_key_terms.html", line=key_lines(ctx, [key])[0], scopes=scope_choices(ctx))


def _named(ctx: Context, key_id: UUID) -> str:
    return api_keys.get_api_key(ctx, key_id).name


REVOKE = Question(
    _("Revoke the key"),
    _("Programs that use this key are refused from now on. This cannot be undone."),
    _named,
    "api_key_pages.terms",
)


@blueprint.post("/<uuid:key_id>/cabut")
@operation("api_keys", idempotent=False, question=REVOKE)
def revoke(key_id: UUID) -> AnyResponse:
    """Revoke a key. The next request that uses it is refused."""
    api_keys.revoke_api_key(context(), key_id)
    return seen("api_key_pages.index", "revoked")
