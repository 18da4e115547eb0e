"""Activating a card on the web: the form, and what its map and selects request while it is filled in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, render_template, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from sifilma.activation.issuing import forms, place_form
from sifilma.activation.issuing import service as issuing
from sifilma.activation.issuing.rules import NO_TOKEN
from sifilma.activation.requests import form_choices
from sifilma.activation.schemas import ActivationIn, TypedActivationIn
from sifilma.activation.tokens import service as tokens
from sifilma.kernel.errors import Conflict, Invalid, NotFound
from sifilma.regions.sources import place_check
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.headers import WITH_CAMERA
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("activate_pages", __name__, url_prefix="/aktivasi/kartu", template_folder="../templates")


@blueprint.get("")
@operation("activation_request.submit")
def form() -> Response:
    """Show the form. It needs only the permission to request activations; sending it needs a fresh code.

    It begins with the place of the outlet at which the card's machine stands. After an activation (`dari`) the form for the next card
    begins with the same address and region.
    """
    ctx, before = context(), request.args.get("dari", type=UUID)
    uid = request.args.get("uid", "")
    machine = form_choices.proposed_machine(ctx, uid) if uid else ""
    start = place_form.same_place(ctx, before) if before else place_form.start(ctx, machine)
    return _form(Form.begun(sam_uid=uid or None, **start))


@blueprint.post("/isi")
@operation("activation_request.submit", reads_first=True, idempotent=False)
def fill() -> Response:
    """Show the form with what is typed so far: coming from the page of tokens, or step by step where no script runs."""
    form = Form.sent()
    if "address" not in form.values:  # the page of tokens knows card and token alone
        machine = form_choices.proposed_machine(context(), form.get("sam_uid"))
        form.values.update(place_form.start(context(), machine) | {"hardware_number": machine})
    return _form(form, follow=place_form.has_pasted(form.values) or not form.get("region_code"))


@blueprint.post("/berikutnya")
@operation("token.reveal", reads_first=True, idempotent=False)
def following() -> Response:
    """Show the form for the next card at the place of an activation (`dari`), with its token and the machine that is proposed for it.

    The token is shown as on the page of tokens, and that is recorded.
    """
    ctx, sent = context(), Form.sent()
    start = place_form.same_place(ctx, _key(sent.get("dari")))
    uid = sent.get("sam_uid")
    shown = tokens.reveal_for_cards(ctx, resources().hsm, [uid])
    form = Form.of(sam_uid=uid, token=shown.get(uid), hardware_number=form_choices.proposed_machine(ctx, uid), **start)
    if uid not in shown:
        form.refuse(Conflict(NO_TOKEN, type="no-token"))
    return _form(form)


@blueprint.post("")
@operation("activate", reads_first=True)
def activate() -> AnyResponse:
    """Activate the card."""
    ctx, form = context(), Form.sent()
    is_read = forms.take_pasted(form)
    with form.attempt(ctx):
        typed = _typed(form)
        if is_read:
            made = _activate(typed)
            return seen("activated_pages.show", "activated", activation_id=made.activation_id)
    if not is_read:
        form.errors = forms.without_position(form.errors)
    return _form(form)


@blueprint.get("/tempat")
@operation("activation_request.submit")
def place() -> str:
    """Return the selects and the check of a position, for the form's script."""
    form = Form(MultiDict(request.args))
    return render_template("activation/place.html", **forms.placed(form, follow=bool(request.args.get("ikuti"))))


@blueprint.get("/mesin")
@operation("activation_request.submit")
def machine() -> str:
    """Return the machines a card may go into, for the form's script."""
    return render_template("activation/machine.html", **_machine(Form(MultiDict(request.args))))


def _activate(data: ActivationIn) -> issuing.Issued:
    """Activate, and turn an unknown card into an error of its field, so that the form keeps what was typed."""
    place_form.require_reason(context(), data)
    try:
        return issuing.activate(context(), resources().settings, resources().hsm, place_check(resources().settings.home), data)
    except NotFound as unknown:
        raise Invalid.field("sam_uid", unknown.detail) from unknown


def _typed(form: Form) -> ActivationIn:
    """Return the form as the schema. Without a source (device, map) the position counts as typed."""
    return form.model(TypedActivationIn, source=form.get("source") or "typed")


def _form(form: Form, *, follow: bool = False) -> Response:
    values = forms.placed(form, follow=follow) | _machine(form)
    del values["form"]  # again() gives it
    page = form.again("activation/activate.html", open_cards=form_choices.open_cards(context(), most=form_choices.MOST_NAMED), **values)
    page.headers.update(WITH_CAMERA)
    return page


def _key(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound() from None


def _machine(form: Form) -> dict[str, Any]:
    uid = "".join(form.get("sam_uid").split()).replace(":", "").replace("-", "").upper()
    return {"form": form, "machines": form_choices.machines(context(), uid)}
