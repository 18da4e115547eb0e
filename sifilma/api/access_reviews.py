"""The routes of the access review: accounts with their roles, API keys, reviews and the decisions in them."""

from __future__ import annotations

from flask import Response
from pydantic import Field

from sifilma.access_review import pages, queries, serializers, service
from sifilma.access_review.queries import Wanted
from sifilma.access_review.schemas import DecisionsIn
from sifilma.access_review.serializers import AccountAccessOut, KeyAccessOut, ReviewLineOut, ReviewOut
from sifilma.api.common import IdPath, ListQuery, Page, StateQuery, answer, blueprint, page_of
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.paging import OLDEST_FIRST
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("access-reviews")


class AccessQuery(StateQuery):
    """A page of accounts, by state, role, or whether they are marked as unused."""

    role: str | None = Field(None, max_length=20)
    dormant: bool = False


@api.get("/access/accounts", responses={200: Page[AccountAccessOut]}, summary="Who may what, since when, last used")
@operation("access.see")
def list_accounts(query: AccessQuery) -> Response:
    """Of all organisations for user administrators and auditors, of their own for heads."""
    ctx = context()
    wanted = Wanted(role=query.role or "", state=query.state or "", dormant=query.dormant)
    return page_of(
        *queries.list_accounts(ctx, wanted), query, lambda rows: map(serializers.account_out, pages.access_lines(ctx, list(rows)))
    )


@api.get("/access/api-keys", responses={200: Page[KeyAccessOut]}, summary="API keys with who made them")
@operation("access.see")
def list_keys(query: StateQuery) -> Response:
    """By `active` or `revoked`."""
    ctx = context()
    listing = queries.list_keys(ctx, state=query.state or "")
    return page_of(*listing, query, lambda rows: map(serializers.key_out, pages.key_lines(ctx, list(rows))))


@api.get("/access-reviews", responses={200: Page[ReviewOut]}, summary="Reviews of the accounts of organisations")
@operation("access.see")
def list_reviews(query: StateQuery) -> Response:
    """By `open`, `late` or `closed`, newest first."""
    ctx = context()
    listing = queries.list_reviews(ctx, state=query.state or "")
    return page_of(*listing, query, lambda rows: map(serializers.review_out, pages.summaries(ctx, list(rows))))


@api.get("/access-reviews/<uuid:id>", responses={200: ReviewOut}, summary="A review")
@operation("access.see")
def show(path: IdPath) -> Response:
    """How many accounts were confirmed, ended, lapsed, or wait."""
    ctx = context()
    return answer(serializers.review_out(pages.summaries(ctx, [queries.get_review(ctx, path.id)])[0]))


@api.get("/access-reviews/<uuid:id>/lines", responses={200: Page[ReviewLineOut]}, summary="The accounts in a review")
@operation("access.see")
def list_lines(path: IdPath, query: ListQuery) -> Response:
    """In the order in which they were listed."""
    ctx = context()
    review, decides = queries.get_review(ctx, path.id), bool(grants(ctx.actor, Operation.ACCESS_REVIEW))
    return page_of(
        *queries.list_lines(review),
        query,
        lambda rows: map(serializers.line_out, pages.review_lines(ctx, review, list(rows), decides)),
        order=OLDEST_FIRST,
    )


@api.post("/access-reviews/<uuid:id>/decisions", responses={200: ReviewOut}, summary="Confirm or end accounts in a review")
@operation("access.review", idempotent=False)
def decide(path: IdPath, body: DecisionsIn) -> Response:
    """One act. Nobody decides on their own account; an ended account is disabled, for a central one that is proposed."""
    ctx = context()
    review = service.decide(ctx, path.id, [one.decision() for one in body.decisions])
    return answer(serializers.review_out(pages.summaries(ctx, [review])[0]))
