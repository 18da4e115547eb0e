"""Suspensions for a rejected place, on the web: the list, and one with what its holder can do and what a second person decides."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext

from sifilma.activation.models import Activation
from sifilma.activation.suspensions import service
from sifilma.activation.suspensions.models import PLACE_SUSPENSION, PlaceSuspension, SuspensionState
from sifilma.activation.suspensions.queries import get_suspension, list_suspensions
from sifilma.activation.suspensions.schemas import LiftIn, SuspensionDecisionIn
from sifilma.activation.suspensions.serializers import suspensions_out
from sifilma.approvals import four_eyes
from sifilma.approvals.decision_views import Decision, add_decisions
from sifilma.cards.serializers import timeline
from sifilma.documents import list_views
from sifilma.documents.lists import Export
from sifilma.identity.permissions import Operation, grants
from sifilma.identity.scope import may_reach
from sifilma.kernel.context import Context
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import moment
from sifilma.web.requests import context
from sifilma.web.states import named, state

blueprint = Blueprint("suspension_pages", __name__, url_prefix="/pembekuan", template_folder="../templates")
EXPORT = Export(
    "pembekuan",
    {
        _("Opened"): lambda one: moment(one.proposed_at),
        _("SAM card"): lambda one: one.card,
        _("Organisation"): lambda one: one.organisation,
        _("Why the place was rejected"): lambda one: one.reason,
        _("Deadline"): lambda one: moment(one.due_at),
        _("State"): lambda one: str(state(one.state).name),
    },
    orders={"batas": (_("Deadline"), PlaceSuspension.due_at)},
    counted=lambda number, words: ngettext("%(count)s suspension", "%(count)s suspensions", number, count=words),
    filters={"state": ""},
)


@blueprint.get("")
@operation("place.suspension.see")
def index() -> Response:
    """List the proposals and suspensions the actor may see."""
    ctx, form = context(), Form(request.args)
    listing = list_suspensions(ctx, form.get("state")[:20] or None)
    return list_views.answer(
        "activation/suspensions.html", listing, lambda rows: suspensions_out(ctx, rows), EXPORT, form=form, states=named(SuspensionState)
    )


@blueprint.get("/<uuid:suspension_id>")
@operation("place.suspension.see")
def show(suspension_id: UUID) -> Response:
    """Show one: why, until when, and what leads on."""
    return _page(suspension_id, Form.begun())


def _named(ctx: Context, suspension_id: UUID) -> str:
    return suspensions_out(ctx, [get_suspension(ctx, suspension_id, Operation.PLACE_SUSPENSION_DECIDE)])[0].card


DECIDE = Question(
    _("Decide on the suspension"),
    _("The decision stands for good. If you suspend the card, readers refuse its manifest until the suspension ends."),
    _named,
    "suspension_pages.show",
)
LIFT = Question(
    _("Lift the suspension"),
    _("The suspension ends here for good, and card and manifest are as they were before."),
    _named,
    "suspension_pages.show",
)


def _page(suspension_id: UUID, form: Form) -> Response:
    ctx = context()
    found = get_suspension(ctx, suspension_id)
    own = four_eyes.is_proposer(found, ctx.actor.person_id)
    decides = bool(grants(ctx.actor, Operation.PLACE_SUSPENSION_DECIDE)) and not own
    return form.again(
        "activation/suspension.html",
        one=suspensions_out(ctx, [found])[0],
        place=ctx.session.get_one(Activation, found.activation_id),
        decides=decides and found.state == SuspensionState.PROPOSED,
        lifts=decides and found.state == SuspensionState.SUSPENDED,
        answers=may_reach(ctx.actor, Operation.ACTIVATION_SUBMIT, found.organisation_id),
        steps=timeline(ctx, PLACE_SUSPENSION.kind, found.id),
    )


def _decide(ctx: Context, suspension_id: UUID, sent: Form) -> None:
    given = sent.model(SuspensionDecisionIn)
    service.decide(ctx, suspension_id, suspend_now=given.decision == "suspend", note=given.note)


def _lift(ctx: Context, suspension_id: UUID, sent: Form) -> None:
    service.lift(ctx, suspension_id, sent.model(LiftIn).note)


add_decisions(
    blueprint,
    "/<uuid:suspension_id>",
    "show",
    _page,
    Decision("putusan", "place.suspension.decide", _decide, "decided", question=DECIDE),
    Decision("cabut", "place.suspension.decide", _lift, "lifted", question=LIFT),
)
