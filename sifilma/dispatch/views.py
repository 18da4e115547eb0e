"""The work of the workers on the web: what runs, waits and fails, and why; pause, go on, try again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, make_response, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from sifilma.dispatch import pages, queries, service
from sifilma.kernel.errors import Invalid
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("dispatch_pages", __name__, url_prefix="/tugas-sistem", template_folder="templates")


@blueprint.get("")
@operation("chore.see")
def index() -> Response:
    """Show every chore with its latest run, what runs and waits, and what was given up."""
    return _page(Form())


@blueprint.post("/jeda")
@operation("chore.run", idempotent=False)
def pause() -> AnyResponse:
    """Have a chore not run any more until it is resumed."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        service.pause(ctx, form.get("chore"))
        return seen("dispatch_pages.index", "paused")
    return _page(form)


@blueprint.post("/lanjut")
@operation("chore.run", idempotent=False)
def resume() -> AnyResponse:
    """Let a chore go on."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        service.resume(ctx, form.get("chore"))
        return seen("dispatch_pages.index", "resumed")
    return _page(form)


@blueprint.post("/ulang")
@operation("chore.run", idempotent=False)
def retry() -> AnyResponse:
    """Have an object that was given up tried again."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        service.retry(ctx, form.get("chore"), _id(form.get("object_id")))
        return seen("dispatch_pages.index", "queued")
    return _page(form)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as wrong:
        raise Invalid.field("object_id", "There is no such task.") from wrong


def _page_of(chore: str, subject: UUID | str) -> str:
    """Return the URL of the page of an object that has turns, empty if there is none."""
    endpoint, key = pages.PAGES.get(chore, ("", ""))
    values: dict[str, Any] = {key: UUID(str(subject))}
    return url_for(endpoint, **values) if endpoint else ""


def _page(form: Form) -> Response:
    found = queries.work(context())
    page = make_response(
        render_template(
            "dispatch/work.html",
            work=found,
            form=form,
            name_of=pages.name_of,
            page_of=_page_of,
            why=pages.WHY,
            turns=resources().settings.worker_turns,
        )
    )
    page.status_code = form.status
    return page
