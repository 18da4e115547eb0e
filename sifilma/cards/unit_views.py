"""Readers and encoders on the web: the list, registering one or a file of them, the page of one unit."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from sifilma.cards import import_table, pcid, service
from sifilma.cards.models import Unit
from sifilma.cards.schemas import SupplyIn, UnitIn
from sifilma.cards.serializers import unit_page, units_out
from sifilma.cards.service import UnitFilter
from sifilma.documents import list_views, lists
from sifilma.documents.forms import upload
from sifilma.documents.lists import Export
from sifilma.kernel.errors import Invalid
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context
from sifilma.web.states import state
from sifilma.web.texts import translate

blueprint = Blueprint("unit_pages", __name__, url_prefix="/unit", template_folder="templates")
STATES = ("free", "registered", "personalised", "handed_over", "received", "active", "suspended", "lost")
EXPORT = Export(
    "unit",
    {
        _("Hardware number"): lambda unit: unit.hardware_number,
        _("Model"): lambda unit: unit.model,
        _("Function"): lambda unit: unit.function,
        _("State"): lambda unit: state(unit.state).name,
        _("SAM card"): lambda unit: unit.card or "",
        _("PCID"): lambda unit: unit.pcid or "",
    },
    orders={"nomor": (_("Hardware number"), Unit.hardware_number)},
)


@blueprint.get("")
@operation("unit.read")
def index() -> Response:
    """List the units the actor may see."""
    ctx, form = context(), Form(request.args)
    wanted = UnitFilter(state=form.get("state"), model=form.get("model"), text=form.get("q").strip()[:60])
    return list_views.answer(
        "cards/units.html",
        service.list_units(ctx, wanted),
        lambda units: units_out(ctx, units),
        EXPORT,
        form=form,
        state_choices=[(name, state(name).name) for name in STATES],
        model_choices=_models(),
    )


@blueprint.get("/daftar")
@operation("unit.register")
def new() -> Response:
    """Show the form for one unit."""
    return _form(Form())


@blueprint.post("/daftar")
@operation("unit.register")
def register() -> AnyResponse:
    """Register one unit."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        unit = service.register_unit(ctx, form.model(UnitIn, **_public_key(form)))
        return seen("unit_pages.show", "registered", unit_id=unit.id)
    return _form(form)


@blueprint.get("/berkas")
@operation("unit.register")
def new_file() -> Response:
    """Show the form for a file of units."""
    return _file_form(Form())


@blueprint.post("/berkas")
@operation("unit.register")
def register_file() -> AnyResponse:
    """Register the units of a file, all or none."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        import_table.register_file(ctx, upload("units"), resources().settings.batch_max_rows)
        return seen("unit_pages.index", "registered")
    return _file_form(form)


@blueprint.get("/templat.<kind>")
@operation("unit.register")
def template(kind: str) -> Response:
    """Return an empty table with the columns of an import file."""
    return lists.form_table(kind, "unit", import_table.template(context()), translate)


@blueprint.get("/<uuid:unit_id>")
@operation("unit.read")
def show(unit_id: UUID) -> Response:
    """Show a unit: its card, where it stands, and what has happened."""
    return _unit(unit_id, Form())


@blueprint.post("/<uuid:unit_id>/pcid")
@operation("unit.supply")
def supply_pcid(unit_id: UUID) -> AnyResponse:
    """Supply the PCID that the unit lacks."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        pcid.supply(ctx, unit_id, form.model(SupplyIn, **_public_key(form)))
        return seen("unit_pages.show", "supplied", unit_id=unit_id)
    return _unit(unit_id, form)


def _unit(unit_id: UUID, form: Form) -> Response:
    ctx = context()
    unit = service.get_unit(ctx, unit_id)
    return form.again(
        "cards/unit.html",
        page=unit_page(ctx, unit),
        suppliable=pcid.may_supply(ctx, unit),
        is_own=unit.organisation_id == ctx.actor.organisation_id,
    )


def _form(form: Form) -> Response:
    return form.again("cards/unit_new.html", model_choices=_models())


def _file_form(form: Form) -> Response:
    return form.again("cards/unit_file.html", columns=import_table.UNITS, max_rows=resources().settings.batch_max_rows)


def _models() -> list[tuple[str, str]]:
    return [(model.name, model.name) for model in service.all_models(context())]


def _public_key(form: Form) -> dict[str, Any]:
    """Return the pasted public key, parsed from JSON, as keyword argument; nothing if the field is empty. Raise Invalid for other text."""
    typed = form.get("public_jwk").strip()
    try:
        return {"public_jwk": json.loads(typed)} if typed else {}
    except (ValueError, RecursionError) as broken:  # RecursionError: JSON that is nested too deeply
        raise Invalid.field("public_jwk", "This is not JSON. Paste the whole key, from { to }.") from broken
