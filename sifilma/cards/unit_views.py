"""Readers and encoders on the web: list, register, one unit's page."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, render_template, request
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from sifilma.cards import service
from sifilma.cards.present import units_out
from sifilma.cards.schemas import UnitIn
from sifilma.documents import lists
from sifilma.documents.lists import Export
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("unit_pages", __name__, url_prefix="/unit", template_folder="templates")
EXPORT = Export(
    "unit",
    {
        _("Hardware number"): lambda unit: unit.hardware_number,
        _("Model"): lambda unit: unit.model,
        _("Function"): lambda unit: unit.function,
        _("State"): lambda unit: unit.state,
        _("SAM card"): lambda unit: unit.card or "",
        _("PCID"): lambda unit: unit.pcid or "",
    },
)


@blueprint.get("")
@operation("unit.read")
def index() -> Response:
    """The units the actor may see."""
    ctx = context()
    listing = service.units_page(ctx, request.args.get("hardware_number", "").strip()[:40] or None)
    return lists.answer("cards/units.html", listing, lambda units: units_out(ctx, units), EXPORT, form=Form(request.args))


@blueprint.get("/daftar")
@operation("unit.register")
def new() -> Response:
    """The form for one unit."""
    return _form(Form())


@blueprint.post("/daftar")
@operation("unit.register")
def register() -> AnyResponse:
    """Register one unit."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        unit = service.register_units(ctx, [form.model(UnitIn)])[0]
        return seen("unit_pages.show", "registered", unit_id=unit.id)
    return _form(form)


@blueprint.get("/<uuid:unit_id>")
@operation("unit.read")
def show(unit_id: UUID) -> str:
    """A unit, with the card in it."""
    ctx = context()
    return render_template("cards/unit.html", unit=units_out(ctx, [service.get_unit(ctx, unit_id)])[0])


def _form(form: Form) -> Response:
    choices = [(model.name, model.name) for model in service.find_models(context())]
    return form.again("cards/unit_new.html", model_choices=choices)
