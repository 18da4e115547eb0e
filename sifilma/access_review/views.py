"""The access review on the web: accounts, API keys, reviews, and the confirmation of people."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from sifilma.access_review import pages, queries, service
from sifilma.access_review.queries import Wanted
from sifilma.access_review.schemas import DecisionsIn
from sifilma.approvals.decision_views import attempted
from sifilma.documents import list_views
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.context import Context
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("access_pages", __name__, url_prefix="/akses", template_folder="templates")
CHOICE, ROLES = "line", "roles"
"""The groups of form fields with the decisions and the roles that were shown, by line."""


@blueprint.get("")
@operation("access.see")
def index() -> Response:
    """List accounts with their roles, since when, and when they were last used."""
    ctx, form = context(), Form(request.args)
    wanted = Wanted(
        form.get("nama").strip()[:60],
        form.get("organisasi").strip()[:100],
        form.get("peran")[:20],
        form.get("state")[:20],
        form.get("lama") == "1",
    )
    listing, roles = queries.list_accounts(ctx, wanted), pages.role_choices(ctx.actor.is_central)
    return list_views.answer(
        "access_review/accounts.html", listing, lambda found: pages.access_lines(ctx, found), pages.ACCOUNTS, form=form, roles=roles
    )


@blueprint.get("/kunci")
@operation("access.see")
def keys() -> Response:
    """List API keys with who made them."""
    ctx, form = context(), Form(request.args)
    listing = queries.list_keys(ctx, form.get("organisasi").strip()[:100], form.get("state")[:20])
    return list_views.answer("access_review/keys.html", listing, lambda found: pages.key_lines(ctx, found), pages.KEYS, form=form)


@blueprint.get("/tinjauan")
@operation("access.see")
def reviews() -> Response:
    """List reviews; user administrators see which organisations are late."""
    ctx, form = context(), Form(request.args)
    listing = queries.list_reviews(ctx, form.get("organisasi").strip()[:100], form.get("state")[:20])
    states = list(pages.REVIEW_STATES.items())
    return list_views.answer(
        "access_review/reviews.html", listing, lambda found: pages.summaries(ctx, found), pages.REVIEWS, form=form, states=states
    )


@blueprint.get("/tinjauan/<uuid:review_id>")
@operation("access.see")
def review(review_id: UUID) -> Response:
    """Show a review: who may what, and what was decided."""
    return _review(review_id, Form.begun())


def _review(review_id: UUID, form: Form) -> Response:
    ctx = context()
    found = queries.get_review(ctx, review_id)
    decides = bool(grants(ctx.actor, Operation.ACCESS_REVIEW))
    page = list_views.answer(
        "access_review/review.html",
        queries.list_lines(found),
        lambda lines: pages.review_lines(ctx, found, lines, decides),
        pages.REVIEW,
        oldest_first=True,
        form=form,
        summary=pages.summaries(ctx, [found])[0],
    )
    page.status_code = form.status if form.errors else page.status_code
    return page


@blueprint.post("/tinjauan/<uuid:review_id>")
@operation("access.review", idempotent=False)
@attempted(_review)
def decide(ctx: Context, review_id: UUID, form: Form) -> AnyResponse:
    """Confirm or end the accounts for which something was chosen, in one act."""
    shown = form.within(ROLES)
    chosen = [{"line": line, "outcome": outcome, "roles": shown.get(line, "").split()} for line, outcome in form.within(CHOICE).items()]
    body = form.model(DecisionsIn, decisions=chosen)
    service.decide(ctx, review_id, [one.decision() for one in body.decisions])
    return seen("access_pages.review", "confirmed", review_id=review_id)
