"""Results of the personalisation machines on the web: typed into a form or uploaded as a file, in several parts if needed."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response
from werkzeug.wrappers import Response as AnyResponse

from sifilma.documents import lists
from sifilma.documents.forms import upload
from sifilma.documents.tables.sheets import Measured
from sifilma.identity.permissions import Operation, grants
from sifilma.personalisation import results, service
from sifilma.personalisation.intake import job as intake
from sifilma.personalisation.models import PersonalisationState
from sifilma.personalisation.results import Given
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context
from sifilma.web.texts import translate

blueprint = Blueprint("result_pages", __name__, url_prefix="/personalisasi/<uuid:request_id>/hasil", template_folder="templates")
COLUMNS = results.RESULTS.names
ROWS = 25


@blueprint.get("")
@operation("personalise")
def new(request_id: UUID) -> Response:
    """Show the form with a row for each card still to be personalised, at most ROWS."""
    return _form(request_id, Form.begun())


@blueprint.post("")
@operation("personalise", reads_first=True)
def record(request_id: UUID) -> AnyResponse:
    """Record the results of the uploaded file, or of the form if there is none. If one row has an error, none is recorded."""
    ctx, form, settings = context(), Form.sent(), resources().settings
    with form.attempt(ctx):
        file = upload("results")
        found = intake.read_results(ctx, file.data, settings.rows_at_once) if file else results.parse_results(_filled(_typed(form)))
        if isinstance(found, Measured) and file:
            form.settle(ctx)
            ctx.uow.begin_write()
            return seen("job_pages.show", "taken_in", job_id=intake.begin_results(ctx, resources().files, request_id, file, found).id)
        assert isinstance(found, Given)  # noqa: S101  # a file that is only measured began a job
        results.add_results(ctx, settings, resources().hsm, request_id, found)
        ctx.warn(results.failures(found))
        form.settle(ctx)
        if _hands_over(request_id):
            return seen("handover_pages.new", "recorded", permohonan=request_id)
        return seen("personalisation_pages.show", "recorded", request_id=request_id)
    return _form(request_id, form)


def _hands_over(request_id: UUID) -> bool:
    """Return whether a BAST comes next: every card has its result, and the actor may issue one."""
    ctx = context()
    done = service.get_request(ctx, request_id, Operation.PERSONALISE).state == PersonalisationState.COMPLETED
    return done and bool(grants(ctx.actor, Operation.HANDOVER_ISSUE))


@blueprint.get("/templat.<kind>")
@operation("personalise")
def template(request_id: UUID, kind: str) -> Response:
    """Return a table for results, with a row for each card still to be personalised."""
    ctx = context()
    table = results.template(ctx, service.get_request(ctx, request_id, Operation.PERSONALISE))
    return lists.form_table(kind, "hasil", table, translate)


def _form(request_id: UUID, form: Form) -> Response:
    ctx = context()
    found = service.get_request(ctx, request_id, Operation.PERSONALISE)
    coming = results.expected(ctx, found)
    rows = _typed(form) or [{"sam_uid": row.sam_uid, "hardware_number": row.hardware_number} for row in coming[:ROWS]]
    form.cells = bool(form.values.getlist("sam_uid"))
    wrong = {(error["row"], error["field"]): error["message"] for error in form.rows} if form.cells else {}
    return form.again(
        "personalisation/results.html",
        found=found,
        rows=rows,
        wrong=wrong,
        open=found.state in results.OPEN,
        coming=len(coming),
        done=results.personalised(ctx, found),
    )


def _typed(form: Form) -> list[dict[str, str]]:
    """Return the rows of the form as typed, with the empty ones."""
    columns = [form.values.getlist(name) for name in COLUMNS]
    return [dict(zip(COLUMNS, (cell.strip() for cell in row), strict=True)) for row in zip(*columns, strict=False)]


def _filled(rows: list[dict[str, str]]) -> dict[int, dict[str, str]]:
    """Return the rows with an outcome and a UID or key check value, by their numbers on the page. The others have no result yet."""
    return {number: row for number, row in enumerate(rows, start=1) if row["outcome"] and any((row["sam_uid"], row["kcv"]))}
