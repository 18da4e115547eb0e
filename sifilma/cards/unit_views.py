"""Readers and encoders on the web: the list, registering one or a file of them, the page of one unit."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from flask import Blueprint, Response, g, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from sifilma.cards import import_table, pcid, proposals, queries, service
from sifilma.cards.identifiers import perso_warnings
from sifilma.cards.label_serializers import unit_labels
from sifilma.cards.models import Unit, UnitCondition
from sifilma.cards.outlets.queries import outlet_choices
from sifilma.cards.proposals import NewKey
from sifilma.cards.public_keys import thumbprint
from sifilma.cards.queries import UnitFilter
from sifilma.cards.schemas import KeyTextIn, SupplyIn, UnitIn
from sifilma.cards.serializers import unit_page, units_out
from sifilma.cards.service import may_propose_key
from sifilma.cards.upkeep import service as upkeep
from sifilma.documents import label_sheets, list_views, lists
from sifilma.documents.forms import upload
from sifilma.documents.lists import Export
from sifilma.documents.responses import inline_pdf
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.paging import Listing
from sifilma.resources import resources
from sifilma.sign_in.request_gate import require_grant
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context
from sifilma.web.states import named, state
from sifilma.web.texts import translate

blueprint = Blueprint("unit_pages", __name__, url_prefix="/unit", template_folder="templates")
DONE = "selesai"
"""In the address after an act: a unit that was just registered, corrected or given its PCID leads on to what it may replace."""
STATES = ("free", "registered", "personalised", "handed_over", "received", "active", "suspended", "lost")
EXPORT = Export(
    "unit",
    {
        _("Hardware number"): lambda unit: unit.hardware_number,
        _("Model"): lambda unit: unit.model,
        _("Function"): lambda unit: unit.function,
        _("State"): lambda unit: state(unit.state).name,
        _("Condition"): lambda unit: state(unit.condition).name,
        _("SAM card"): lambda unit: unit.card or "",
        _("PCID"): lambda unit: unit.pcid or "",
        _("Outlet"): lambda unit: unit.outlet.name if unit.outlet else "",
        _("Branch code"): lambda unit: (unit.outlet.branch_code or "") if unit.outlet else "",
    },
    orders={"nomor": (_("Hardware number"), Unit.hardware_number)},
    counted=lambda number, words: ngettext("%(count)s unit", "%(count)s units", number, count=words),
    filters={"q": "", "state": "", "condition": "", "pcid": "", "model": "", "outlet": ""},
)


@blueprint.get("")
@operation("unit.read")
def index() -> Response:
    """List the units the actor may see."""
    ctx, form = context(), Form(request.args)
    return list_views.answer(
        "cards/units.html",
        _filtered(form),
        lambda units: units_out(ctx, units),
        EXPORT,
        form=form,
        state_choices=[(name, state(name).name) for name in STATES],
        model_choices=_models(),
        conditions=named(UnitCondition),
    )


@blueprint.get("/label")
@operation("unit.read")
def labels() -> Response:
    """Return labels of the chosen units (`pilih`), else of all that the list's filter finds, in the list's order."""
    ctx, settings = context(), resources().settings
    listing = queries.list_chosen_units(ctx, request.args.getlist("pilih")) if "pilih" in request.args else _filtered(Form(request.args))
    units = list_views.first(listing, EXPORT, label_sheets.MOST + 1)
    return inline_pdf(label_sheets.asked_for(ctx, settings, request.args, unit_labels(ctx, settings, units)), label_sheets.NAME)


def _filtered(form: Form) -> Listing[Unit]:
    chosen = {name: form.get(name) for name in ("state", "condition", "pcid", "model")}
    wanted = UnitFilter(**chosen, outlet=form.get("outlet").strip()[:200], text=form.get("q").strip()[:60])
    return queries.list_units(context(), wanted)


@blueprint.get("/daftar")
@operation("unit.register")
def new() -> Response:
    """Show the form for one unit. `model`, `fungsi` and `gerai` are those of a broken one, whose place it is to take."""
    model, function, outlet = (request.args.get(name) for name in ("model", "fungsi", "gerai"))
    return _form(Form.begun(model=model, function=function, outlet=outlet))


@blueprint.post("/daftar")
@operation("unit.register")
def register() -> AnyResponse:
    """Register one unit."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        given = form.model(UnitIn, lambda known: service.unit_faults(ctx, known))
        _require_fresh([given])
        unit = service.register_unit(ctx, given)
        ctx.warn(perso_warnings(given.sam_perso))
        form.settle(ctx)
        return seen("unit_pages.show", "registered", unit_id=unit.id)
    return _form(form)


@blueprint.get("/berkas")
@operation("unit.register")
def new_file() -> Response:
    """Show the form for a file of units."""
    return _file_form(Form.begun())


@blueprint.post("/berkas")
@operation("unit.register")
def register_file() -> AnyResponse:
    """Register the units of a file, all or none."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        units = import_table.read_units(ctx, upload("units"), resources().settings.batch_max_rows)
        _require_fresh(units.values())
        service.save_units(ctx, units)
        form.settle(ctx)
        return seen("unit_pages.index", "registered", jumlah=len(units))
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
    return unit_answer(unit_id, Form.begun())


def _named(ctx: Context, unit_id: UUID) -> str:
    found = queries.get_unit(ctx, unit_id, Operation.UNIT_SUPPLY)
    return f"{found.hardware_number} · {found.model.name}"


SUPPLY = Question(
    _("Supply the PCID"),
    _("Once supplied, the PCID does not change any more."),
    _named,
    "unit_pages.show",
)


@blueprint.post("/<uuid:unit_id>/pcid")
@operation("unit.supply", question=SUPPLY)
def supply_pcid(unit_id: UUID) -> AnyResponse:
    """Supply the PCID that the unit lacks."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        given = form.model(SupplyIn)
        _require_fresh([given])
        pcid.supply(ctx, unit_id, given)
        ctx.warn(perso_warnings(given.sam_perso))
        form.settle(ctx)
        return seen("unit_pages.show", "supplied", unit_id=unit_id)
    return unit_answer(unit_id, form)


@blueprint.post("/<uuid:unit_id>/kunci")
@operation("unit.key.propose")
def propose_key(unit_id: UUID) -> AnyResponse:
    """Propose a public key for the unit. Another person of its holder executes it."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        given = form.model(KeyTextIn)
        unit = queries.get_unit(ctx, unit_id, Operation.UNIT_KEY_PROPOSE)
        made = proposals.propose(ctx, {1: NewKey(unit, given.public_jwk)})
        return seen("unit_key_pages.show", "proposed", change_id=made.id)
    return unit_answer(unit_id, form)


def unit_answer(unit_id: UUID, form: Form) -> Response:
    """Return the page of a unit, with a form that was refused."""
    ctx = context()
    unit = queries.get_unit(ctx, unit_id)
    page = unit_page(ctx, unit)
    return form.again(
        "cards/unit.html",
        page=page,
        conditions=upkeep.steps_for(ctx, unit, occupied=page.unit.card is not None),
        owned=upkeep.is_own(ctx, unit),
        replaces=upkeep.broken_alike(ctx, unit) if page.unit.card is None and DONE in request.args else [],
        suppliable=pcid.may_supply(ctx, unit),
        proposes_key=may_propose_key(ctx, unit),
        key_thumbprint=thumbprint(unit.public_jwk) if unit.public_jwk else "",
    )


def _form(form: Form) -> Response:
    functions = {model.name: model.function if len(model.functions) == 1 else "" for model in service.all_models(context())}
    models, outlets = [(name, name) for name in functions], outlet_choices(context())
    return form.again("cards/unit_new.html", model_choices=models, functions=functions, outlet_choices=outlets)


def _file_form(form: Form) -> Response:
    return form.again("cards/unit_file.html", columns=import_table.UNITS, max_rows=resources().settings.batch_max_rows)


def _models() -> list[tuple[str, str]]:
    return [(name, name) for name in service.model_names(context())]


def _require_fresh(given: Iterable[UnitIn | SupplyIn]) -> None:
    """Ask for a fresh code, by the page that keeps what was typed, if a public key is given."""
    if any(one.public_jwk for one in given):
        require_grant(g.actor, Operation.UNIT_KEY_PROPOSE, resources().settings)
