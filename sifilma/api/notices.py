"""What is new for the person who asks: their notices, and marking them as seen."""

from __future__ import annotations

from flask import Response

from sifilma.api.common import ListQuery, Page, answer, blueprint, page_of
from sifilma.reports.bell import service
from sifilma.reports.bell.schemas import NoticeOut, SeenIn, SeenOut
from sifilma.reports.bell.serializers import notice_out
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("notices")


class NoticesQuery(ListQuery):
    """A page of notices, or of those that were not seen."""

    unseen: bool = False


@api.get("/notices", responses={200: Page[NoticeOut]}, summary="What is new for the person, newest first")
@operation("session.self")
def list_notices(query: NoticesQuery) -> Response:
    """List the notices of the person who is signed in."""
    select, key = service.list_notices(context(), unseen=query.unseen)
    site = resources().site
    return page_of(select, key, query, lambda rows: (notice_out(site, row) for row in rows))


@api.post("/notices/seen", responses={200: SeenOut}, summary="Mark notices as seen")
@operation("session.self")
def mark_seen(body: SeenIn) -> Response:
    """Mark some notices, or all up to one, as seen."""
    return answer(service.mark_seen(context(), body))
