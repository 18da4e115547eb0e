"""Limiting an account to outlets, on the web."""

from __future__ import annotations

from operator import itemgetter
from uuid import UUID

from flask import Blueprint, Response
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from sifilma.accounts.queries import get_visible_user
from sifilma.cards.outlets.limits import service
from sifilma.cards.outlets.queries import own_outlets
from sifilma.cards.outlets.schemas import LimitIn
from sifilma.kernel.context import Context
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("limit_pages", __name__, url_prefix="/gerai/pengguna", template_folder="../../templates")


@blueprint.get("/<uuid:user_id>")
@operation("users.see")
def show(user_id: UUID) -> Response:
    """Show to which outlets an account is limited."""
    return _page(user_id, Form.begun())


def _named(ctx: Context, user_id: UUID) -> str:
    return get_visible_user(ctx, user_id).person.name


LIMIT = Question(
    _("Limit the account to outlets"),
    _("The person is signed out, and sees the units and cards of the chosen outlets alone from the next sign-in on."),
    _named,
    "limit_pages.show",
    when=lambda form: bool(form.get("outlets")),
)


@blueprint.post("/<uuid:user_id>")
@operation("users.own", idempotent=False, question=LIMIT)
def limit(user_id: UUID) -> AnyResponse:
    """Limit an account to the chosen outlets; with none it is limited no longer."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        service.limit(ctx, user_id, form.model(LimitIn, outlets=form.values.getlist("outlets")).outlets)
        return seen("user_pages.show", "user_limited", user_id=user_id)
    return _page(user_id, form)


def _page(user_id: UUID, form: Form) -> Response:
    ctx = context()
    user = get_visible_user(ctx, user_id)
    named = {str(one.id): one.name for one in service.outlets_of_user(ctx, user)}
    own = user.organisation_id == ctx.actor.organisation_id
    offered = {str(one.id): one.name for one in own_outlets(ctx)} if own else {}
    choices = sorted((named | offered).items(), key=itemgetter(1))  # closed ones stay on offer to whom they are given
    return form.again("cards/outlet_limits.html", user=user, held=[*named], choices=choices, own=own and user.id != ctx.actor.user_id)
