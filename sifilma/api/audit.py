"""The record of acts."""

from __future__ import annotations

from flask import Response
from pydantic import Field

from sifilma.accounts import audit_reading
from sifilma.accounts.audit_reading import EntryOut, Wanted
from sifilma.api.common import ListQuery, Page, blueprint, page_of
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("audit")


class AuditQuery(ListQuery):
    """Which entries."""

    object: str | None = Field(None, max_length=64, description="id of the object")
    action: str | None = Field(None, max_length=40)


@api.get("/audit", responses={200: Page[EntryOut]}, summary="What was done")
@operation("audit.read")
def list_entries(query: AuditQuery) -> Response:
    """Newest first."""
    select, key = audit_reading.entries(context(), Wanted(query.object or "", query.action or ""))
    return page_of(select, key, query, lambda rows: map(audit_reading.entry_out, rows))
