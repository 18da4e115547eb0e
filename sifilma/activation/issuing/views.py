"""Activating a card on the web: the form, and what its map and selects request while it is filled in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, render_template, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from sifilma.activation.issuing import place_form
from sifilma.activation.issuing import service as issuing
from sifilma.activation.requests import form_choices
from sifilma.activation.schemas import ActivationIn, TypedActivationIn
from sifilma.kernel.errors import Invalid, NotFound
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

    After an activation (`dari`) the form for the next card begins with the same address and region.
    """
    ctx, before = context(), request.args.get("dari", type=UUID)
    start = place_form.same_place(ctx, before) if before else place_form.start(ctx)
    return _form(Form.begun(sam_uid=request.args.get("uid"), **start))


@blueprint.post("/isi")
@operation("activation_request.submit", reads_first=True, idempotent=False)
def fill() -> Response:
    """Show the form with what is typed so far: coming from the page of tokens, or step by step where no script runs."""
    form = Form.sent()
    if "address" not in form.values:  # the page of tokens knows card and token alone
        form.values.update(place_form.start(context()))
    return _form(form, follow=place_form.has_pasted(form.values) or not form.get("region_code"))


@blueprint.post("")
@operation("activate", reads_first=True)
def activate() -> AnyResponse:
    """Activate the card."""
    ctx, form = context(), Form.sent()
    is_read = _take_pasted(form)
    with form.attempt(ctx):
        typed = _typed(form)
        if is_read:
            made = _activate(typed)
            return seen("activated_pages.show", "activated", activation_id=made.activation_id)
    if not is_read:  # the position is what was pasted: that it is missing besides is no news
        form.errors = [error for error in form.errors if error[0] not in place_form.POSITION]
    return _form(form)


@blueprint.get("/tempat")
@operation("activation_request.submit")
def place() -> str:
    """Return the selects and the check of a position, for the form's script."""
    form = Form(MultiDict(request.args))
    return render_template("activation/place.html", **_place(form, follow=bool(request.args.get("ikuti"))))


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
    values = _place(form, follow=follow) | _machine(form)
    del values["form"]  # again() gives it
    page = form.again("activation/activate.html", open_cards=form_choices.open_cards(context()), **values)
    page.headers.update(WITH_CAMERA)
    return page


def _place(form: Form, *, follow: bool) -> dict[str, Any]:
    """Return the place as typed, and set the form's selects to it. What was pasted has become latitude and longitude."""
    if not form.errors:
        _take_pasted(form)
    found = place_form.look(context(), place_check(resources().settings.home), form.values, follow=follow)
    for name, length in zip(place_form.PARTS, (2, 5, 8, 13), strict=True):
        form.values.setlist(name, [found.levels.part(length)])
    return {"form": form, "place": found, "at": place_form.position_of(form.values)}


def _take_pasted(form: Form) -> bool:
    """Put what was pasted into latitude and longitude. Return False, with an error in the form, if it tells no position."""
    try:
        place_form.take_pasted(form.values)
    except Invalid as unreadable:
        form.refuse(unreadable)
        return False
    return True


def _machine(form: Form) -> dict[str, Any]:
    uid = "".join(form.get("sam_uid").split()).replace(":", "").replace("-", "").upper()
    return {"form": form, "machines": form_choices.machines(context(), uid)}
