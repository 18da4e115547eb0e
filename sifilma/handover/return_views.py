"""The form by which a holder gives cards back to their maker or to the directorate."""

from __future__ import annotations

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from sifilma.handover import form_choices
from sifilma.handover.models import HandoverKind, ReturnReason
from sifilma.handover.views import issued
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.requests import context
from sifilma.web.states import kind

blueprint = Blueprint("return_pages", __name__, url_prefix="/bast/kembalikan")


@blueprint.get("")
@operation("handover.issue")
def new() -> Response:
    """Show the form: the receiver first, then the cards that can go there. `cards` in the address are ticked."""
    left = Form.begun()
    return _form(left) if left.values else _form(Form(MultiDict(request.args)), suggests=True)


@blueprint.post("")
@operation("handover.issue")
def issue() -> AnyResponse:
    """Issue a BAST that brings the chosen cards back."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        return issued(ctx, form, None, HandoverKind.RETURN)
    return _form(form)


def _form(form: Form, *, suggests: bool = False) -> Response:
    ctx = context()
    receivers = form_choices.return_receivers(ctx)
    chosen = form_choices.chosen(receivers, form.get("to"))
    lots = form_choices.return_lots(ctx, chosen, form.values.getlist("cards")) if chosen else []
    if suggests and chosen:
        form.values.update({name: value for name, value in form_choices.suggested(ctx, chosen.id).items() if name not in form.values})
    people = form_choices.signed_before(ctx, None)
    return form.again(
        "handover/return.html",
        people=people,
        receivers=receivers,
        chosen=chosen,
        lots=lots,
        most=form_choices.MOST_LOOKED_AT,
        reasons=[(str(one), kind(str(one))) for one in ReturnReason],
    )
