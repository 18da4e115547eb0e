"""Outlets on the web: the list, one outlet, registering and changing it, and moving a unit from one to another."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from flask import Blueprint, Response, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from sifilma.cards.outlets import service
from sifilma.cards.outlets.models import Outlet, OutletState
from sifilma.cards.outlets.queries import get_outlet, list_outlets, outlet_choices
from sifilma.cards.outlets.schemas import MoveIn, OutletIn, TypedOutletIn
from sifilma.cards.outlets.serializers import lines, page
from sifilma.cards.queries import get_unit
from sifilma.cards.schemas import ReasonIn
from sifilma.documents import list_views
from sifilma.documents.lists import Export
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.regions.map_links import read_position
from sifilma.regions.sources import place_check
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context
from sifilma.web.states import named, state

blueprint = Blueprint("outlet_pages", __name__, url_prefix="/gerai", template_folder="../templates")
EXPORT = Export(
    "gerai",
    {
        _("Name"): lambda line: line.outlet.name,
        _("Branch code"): lambda line: line.outlet.branch_code or "",
        _("Organisation"): lambda line: line.owner,
        _("Address"): lambda line: line.outlet.address,
        _("Region code"): lambda line: line.outlet.region_code,
        _("Regency or city"): lambda line: line.regency,
        _("Latitude"): lambda line: line.outlet.latitude,
        _("Longitude"): lambda line: line.outlet.longitude,
        _("Who answers there"): lambda line: line.outlet.contact_name,
        _("Telephone there"): lambda line: line.outlet.contact_phone,
        _("E-mail address there"): lambda line: line.outlet.contact_email,
        _("Units"): lambda line: line.outlet.units,
        _("State"): lambda line: state(line.outlet.state).name,
    },
    orders={"nama": (_("Name"), Outlet.name)},
    counted=lambda number, words: ngettext("%(count)s outlet", "%(count)s outlets", number, count=words),
    filters={"q": "", "units": "", "state": ""},
)


@blueprint.get("")
@operation("outlet.see")
def index() -> Response:
    """List the outlets the actor may see."""
    ctx, form = context(), Form(request.args)
    listing = list_outlets(ctx, form.get("q").strip()[:100], form.get("units"), form.get("state"))
    return list_views.answer("cards/outlets.html", listing, lambda found: lines(ctx, found), EXPORT, form=form, states=named(OutletState))


@blueprint.get("/baru")
@operation("outlet.keep")
def new() -> Response:
    """Show the form of an outlet."""
    return _form(Form.begun())


@blueprint.post("/baru")
@operation("outlet.keep")
def register() -> AnyResponse:
    """Register an outlet."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        made = service.register(ctx, place_check(resources().settings.home), _typed(form))
        form.settle(ctx)
        return seen("outlet_pages.show", "saved", outlet_id=made.id)
    return _form(form)


@blueprint.get("/<uuid:outlet_id>")
@operation("outlet.see")
def show(outlet_id: UUID) -> Response:
    """Show an outlet with the units there."""
    return _page(outlet_id, Form.begun())


def _page(outlet_id: UUID, form: Form) -> Response:
    ctx = context()
    found = get_outlet(ctx, outlet_id)
    return form.again("cards/outlet.html", page=page(ctx, found), owned=found.organisation_id == ctx.actor.organisation_id)


def _named(ctx: Context, outlet_id: UUID) -> str:
    return get_outlet(ctx, outlet_id, Operation.OUTLET_KEEP).name


CLOSE = Question(
    _("Close the outlet"),
    _("It takes no unit and no activation from now on. It can be opened again."),
    _named,
    "outlet_pages.show",
)


@blueprint.post("/<uuid:outlet_id>/tutup")
@operation("outlet.keep", question=CLOSE)
def close(outlet_id: UUID) -> AnyResponse:
    """Close an outlet."""
    return _brought_to(outlet_id, service.close, "outlet_closed")


@blueprint.post("/<uuid:outlet_id>/buka")
@operation("outlet.keep")
def reopen(outlet_id: UUID) -> AnyResponse:
    """Open an outlet again."""
    return _brought_to(outlet_id, service.reopen, "outlet_open")


def _brought_to(outlet_id: UUID, step: Callable[[Context, UUID, str], Outlet], done: str) -> AnyResponse:
    ctx, form = context(), Form.sent()
    get_outlet(ctx, outlet_id, Operation.OUTLET_KEEP)  # whoever may not do this is not told what the form lacks
    with form.attempt(ctx):
        step(ctx, outlet_id, form.model(ReasonIn).reason)
        return seen("outlet_pages.show", done, outlet_id=outlet_id)
    return _page(outlet_id, form)


@blueprint.get("/<uuid:outlet_id>/ubah")
@operation("outlet.keep")
def edit(outlet_id: UUID) -> Response:
    """Show what is registered of an outlet, to be changed."""
    found = get_outlet(context(), outlet_id, Operation.OUTLET_KEEP)
    return _form(Form.begun(**_stored(found)), found)


@blueprint.post("/<uuid:outlet_id>/ubah")
@operation("outlet.keep")
def change(outlet_id: UUID) -> AnyResponse:
    """Change an outlet."""
    ctx, form = context(), Form.sent()
    found = get_outlet(ctx, outlet_id, Operation.OUTLET_KEEP)
    with form.attempt(ctx):
        form.stand_on(Form.of(**_stored(found)))
        service.change(ctx, place_check(resources().settings.home), outlet_id, _typed(form))
        form.settle(ctx)
        return seen("outlet_pages.show", "saved", outlet_id=outlet_id)
    return _form(form, get_outlet(ctx, outlet_id, Operation.OUTLET_KEEP))


@blueprint.get("/unit/<uuid:unit_id>")
@operation("outlet.keep")
def move_form(unit_id: UUID) -> Response:
    """Show the form that moves a unit."""
    return _move(unit_id, Form.begun())


@blueprint.post("/unit/<uuid:unit_id>")
@operation("outlet.keep")
def move(unit_id: UUID) -> AnyResponse:
    """Say at which outlet a unit stands from now on."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        service.move(ctx, unit_id, form.model(MoveIn, outlet=form.get("outlet") or None))
        return seen("unit_pages.show", "unit_moved", unit_id=unit_id)
    return _move(unit_id, form)


def _move(unit_id: UUID, form: Form) -> Response:
    ctx = context()
    unit = get_unit(ctx, unit_id, Operation.OUTLET_KEEP)
    if "outlet" not in form.values:
        form.values["outlet"] = str(unit.outlet_id or "")
    return form.again("cards/outlet_move.html", unit=unit, choices=outlet_choices(ctx))


def _stored(found: Outlet) -> dict[str, object]:
    same = ("name", "branch_code", "address", "region_code", "contact_name", "contact_phone", "contact_email")
    degrees = {name: f"{getattr(found, name):.7f}" for name in ("latitude", "longitude")}
    return {name: getattr(found, name) for name in same} | degrees | {"revision": found.version}


def _typed(form: Form) -> OutletIn:
    """Return the form as the schema. What was pasted becomes latitude and longitude."""
    if form.get("pasted").strip():
        latitude, longitude = read_position(form.get("pasted"))
        form.values.update({"latitude": f"{latitude:.7f}", "longitude": f"{longitude:.7f}", "pasted": ""})
    return form.model(TypedOutletIn)


def _form(form: Form, stored: Outlet | None = None) -> Response:
    return form.again("cards/outlet_form.html", stored=stored)
