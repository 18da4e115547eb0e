"""What the witness knows and the restored database does not, on the web: people look at it and decide."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, make_response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from sifilma.kernel.paging import OLDEST_FIRST, page
from sifilma.reconciliation import pages, questions
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("reconciliation_pages", __name__, url_prefix="/pemulihan", template_folder="templates")


@blueprint.get("")
@operation("restore.see")
def index() -> Response:
    """List what waits for a decision, and how things stand with the witness; `putus` lists what was decided."""
    return _page(Form(request.args))


@blueprint.post("/<uuid:question_id>")
@operation("restore.decide", idempotent=False)
def decide(question_id: UUID) -> AnyResponse:
    """Record what becomes of something."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        questions.decide(ctx, question_id, form.get("decision"), form.get("note"))
        return seen("reconciliation_pages.index", "decided")
    return _page(form)


def _page(form: Form) -> Response:
    ctx, decided = context(), request.args.get("putus") == "1"
    query, key = questions.list_questions(decided=decided)
    cursor = request.args.get("cursor", "")[:200] or None
    found = page(ctx.session, query, key, limit=50, cursor=cursor, order=OLDEST_FIRST)
    shown = render_template(
        "reconciliation/questions.html", form=form, found=found, decided=decided, choices=pages.choices_of, name_of=pages.name_of,
        standing=pages.standing_of(ctx, resources().settings), decision_name=pages.decision_name,
    )  # fmt: skip
    answer = make_response(shown)
    answer.status_code = form.status
    return answer
