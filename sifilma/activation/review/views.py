"""The review of places on the web: the queue, and one place with its map."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from flask import Blueprint, Response, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from sifilma.activation.models import Activation
from sifilma.activation.review import service as review
from sifilma.activation.review.pages import doubts, found_at
from sifilma.activation.schemas import ReviewIn
from sifilma.activation.suspensions.queries import find_of_activation
from sifilma.documents import list_views
from sifilma.documents.lists import Export
from sifilma.kernel.context import Context
from sifilma.regions.sources import place_check
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import moment, seen
from sifilma.web.requests import context
from sifilma.web.states import named, state

blueprint = Blueprint("review_pages", __name__, url_prefix="/tinjauan", template_folder="../templates")
STATES = ("waiting", "accepted", "rejected")
EXPORT = Export(
    "tinjauan",
    {
        _("Activated"): lambda one: moment(one.of.at),
        _("Organisation"): lambda one: one.organisation,
        _("SAM card"): lambda one: one.uid,
        _("Machine"): lambda one: one.hardware_number,
        _("Claimed place"): lambda one: one.claimed,
        _("Nearest regency"): lambda one: one.nearest,
        _("Metres away"): lambda one: one.of.place_distance_m,
        _("Place check"): lambda one: str(state(one.of.place_outcome).name),
        _("Reason given"): lambda one: one.of.reason,
        _("Review"): lambda one: str(state(one.of.review_state).name),
    },
    orders={"jarak": (_("Distance"), Activation.place_distance_m)},
    counted=lambda number, words: ngettext("%(count)s place", "%(count)s places", number, count=words),
    filters={"state": STATES[0], "pemegang": ""},
)


@blueprint.get("")
@operation("place.see")
def index() -> Response:
    """List the places that wait, or those that were decided, oldest first."""
    ctx, form = context(), Form(request.args)
    wanted = form.get("state") if form.get("state") in STATES else STATES[0]
    listing, values = review.list_reviews(ctx, wanted, form.get("pemegang")), {"wanted": wanted, "states": named(STATES)}
    return list_views.answer(
        "activation/reviews.html", listing, lambda rows: doubts(ctx, rows), EXPORT, oldest_first=True, form=form, queue=values
    )


@blueprint.get("/<uuid:activation_id>")
@operation("place.see")
def show(activation_id: UUID) -> Response:
    """Show the stated place beside the one that was found."""
    return _page(activation_id, Form.begun())


def _named(ctx: Context, activation_id: UUID) -> str:
    doubt = doubts(ctx, [review.get_review(ctx, activation_id)])[0]
    return f"{doubt.uid} · {doubt.of.address}"


DECIDE = Question(
    _("Decide on the place"),
    _("The decision stands for good. If the place is rejected, the card is to be suspended, and its office reads your note."),
    _named,
    "review_pages.show",
)


@blueprint.post("/<uuid:activation_id>/putusan")
@operation("place.review", question=DECIDE)
def decide(activation_id: UUID) -> AnyResponse:
    """Accept or reject the place."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        given = form.model(ReviewIn)
        review.decide(ctx, activation_id, given.decision, given.note, timedelta(days=resources().settings.place_deadline_days))
        return seen("review_pages.show", "reviewed", activation_id=activation_id)
    return _page(activation_id, form)


def _page(activation_id: UUID, form: Form) -> Response:
    ctx = context()
    doubt = doubts(ctx, [review.get_review(ctx, activation_id)])[0]
    return form.again(
        "activation/review.html",
        one=doubt,
        found=found_at(ctx, place_check(resources().settings.home), doubt),
        days=resources().settings.place_deadline_days,
        suspension=find_of_activation(ctx, doubt.of),
    )
