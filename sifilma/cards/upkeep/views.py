"""The upkeep of units on the web: condition, correction at once, and corrections that another person decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, g
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from sifilma.cards.identifiers import perso_warnings
from sifilma.cards.models import Unit, UnitCondition
from sifilma.cards.queries import get_unit
from sifilma.cards.schemas import CorrectIn, ReasonIn
from sifilma.cards.serializers import timeline
from sifilma.cards.service import all_models
from sifilma.cards.unit_views import unit_answer
from sifilma.cards.upkeep import proposals, service
from sifilma.cards.upkeep.models import CORRECTION
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.schemas import NoteIn
from sifilma.resources import resources
from sifilma.sign_in.request_gate import require_grant
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("upkeep_pages", __name__, url_prefix="/unit", template_folder="../templates")


def _named(ctx: Context, unit_id: UUID) -> str:
    found = get_unit(ctx, unit_id, Operation.UNIT_CONDITION)
    return f"{found.hardware_number} · {found.model.name}"


RETIRE = Question(
    _("Retire the unit"),
    _("A retired unit is out of use for good: it cannot be repaired, and no card is activated in it any more."),
    _named,
    "unit_pages.show",
)


@blueprint.post("/<uuid:unit_id>/rusak")
@operation("unit.condition")
def break_unit(unit_id: UUID) -> AnyResponse:
    """Say that a unit is broken."""
    return _brought_to(unit_id, UnitCondition.BROKEN)


@blueprint.post("/<uuid:unit_id>/perbaiki")
@operation("unit.condition")
def repair(unit_id: UUID) -> AnyResponse:
    """Say that a broken unit works again."""
    return _brought_to(unit_id, UnitCondition.WORKING)


@blueprint.post("/<uuid:unit_id>/afkir")
@operation("unit.condition", question=RETIRE)
def retire(unit_id: UUID) -> AnyResponse:
    """Take a unit out of use for good."""
    return _brought_to(unit_id, UnitCondition.RETIRED)


def _brought_to(unit_id: UUID, condition: str) -> AnyResponse:
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        service.change_condition(ctx, unit_id, condition, form.model(ReasonIn).reason)
        return seen("unit_pages.show", f"unit_{condition}", unit_id=unit_id)
    return unit_answer(unit_id, form)


# --- corrections -------------------------------------------------------------------------------------------------------


@blueprint.get("/<uuid:unit_id>/koreksi")
@operation("unit.correct")
def correction_form(unit_id: UUID) -> Response:
    """Show what is registered of a unit, to be corrected."""
    unit = get_unit(context(), unit_id, Operation.UNIT_CORRECT)
    stored = {name: getattr(unit, name) for name in ("hardware_number", "pcid", "sam_perso", "function")}
    return _form(unit, Form.begun(model=unit.model.name, **stored))


@blueprint.post("/<uuid:unit_id>/koreksi")
@operation("unit.correct")
def correct(unit_id: UUID) -> AnyResponse:
    """Correct a unit at once; once something is bound to it, propose the correction of its numbers."""
    ctx, form = context(), Form.sent()
    unit = get_unit(ctx, unit_id, Operation.UNIT_CORRECT)
    with form.attempt(ctx):
        given = form.model(CorrectIn)
        if service.is_bound(ctx, unit):
            proposals.check(ctx, unit_id, given)  # a code is asked for what can be proposed, not for a form with errors
            require_grant(g.actor, Operation.UNIT_CORRECT_DECIDE, resources().settings)
            made = proposals.propose(ctx, unit_id, given)
            return seen("upkeep_pages.correction", "proposed", correction_id=made.id)
        service.correct(ctx, unit_id, given)
        ctx.warn(perso_warnings(given.sam_perso or ""))
        form.settle(ctx)
        return seen("unit_pages.show", "unit_corrected", unit_id=unit_id)
    return _form(get_unit(ctx, unit_id, Operation.UNIT_CORRECT), form)


@blueprint.get("/koreksi/<uuid:correction_id>")
@operation("unit.read")
def correction(correction_id: UUID) -> Response:
    """Show a correction: what the numbers are, and what they become."""
    return _page(correction_id, Form.begun())


def _correction_named(ctx: Context, correction_id: UUID) -> str:
    return proposals.get_correction(ctx, correction_id, Operation.UNIT_CORRECT).former_hardware_number


EXECUTE = Question(
    _("Correct the unit"),
    _("The manifest that names the former number is revoked. Its card is active again only with a new manifest."),
    _correction_named,
    "upkeep_pages.correction",
)
REJECT = Question(
    _("Reject the correction for good"),
    _("The proposal ends here for good, and its proposer reads your note."),
    _correction_named,
    "upkeep_pages.correction",
)
WITHDRAW = Question(
    _("Take back the correction"),
    _("The proposal ends here for good. The correction can be proposed anew."),
    _correction_named,
    "upkeep_pages.correction",
)


@blueprint.post("/koreksi/<uuid:correction_id>/laksanakan")
@operation("unit.correct.decide", question=EXECUTE)
def execute(correction_id: UUID) -> AnyResponse:
    """Give the unit the proposed numbers."""
    return _decided(correction_id, "unit_corrected", proposals.execute)


@blueprint.post("/koreksi/<uuid:correction_id>/tolak")
@operation("unit.correct.decide", question=REJECT)
def reject(correction_id: UUID) -> AnyResponse:
    """Reject, with a note."""
    return _decided(correction_id, "rejected", proposals.reject)


@blueprint.post("/koreksi/<uuid:correction_id>/tarik")
@operation("unit.correct", question=WITHDRAW)
def withdraw(correction_id: UUID) -> AnyResponse:
    """Take back what one proposed."""
    return _decided(correction_id, "taken_back", proposals.withdraw)


def _decided(correction_id: UUID, done: str, act: Callable[[Context, UUID, str], Any]) -> AnyResponse:
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        act(ctx, correction_id, form.model(NoteIn).note)
        return seen("upkeep_pages.correction", done, correction_id=correction_id)
    return _page(correction_id, form)


def _form(unit: Unit, form: Form) -> Response:
    ctx = context()
    functions = {model.name: model.function if len(model.functions) == 1 else "" for model in all_models(ctx)}
    return form.again(
        "cards/unit_correct.html",
        unit=unit,
        bound=service.is_bound(ctx, unit),
        waiting=proposals.open_corrections(ctx, [unit]).get(unit.id),
        model_choices=[(name, name) for name in functions],
        functions=functions,
    )


def _page(correction_id: UUID, form: Form) -> Response:
    ctx = context()
    found = proposals.get_correction(ctx, correction_id)
    return form.again(
        "cards/correction.html",
        found=found,
        decides=service.is_own(ctx, found.unit),
        is_mine=found.proposed_by_person == ctx.actor.person_id,
        steps=timeline(ctx, CORRECTION.kind, found.id),
    )
