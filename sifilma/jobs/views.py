"""Jobs on the web: progress, errors by row, the files with results and failed rows, and their cancellation."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, render_template, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from sifilma.approvals.decision_views import attempted
from sifilma.documents import list_views, lists
from sifilma.documents.lists import Export
from sifilma.jobs import serializers, service, worker
from sifilma.jobs.models import JobState
from sifilma.kernel.context import Context
from sifilma.kernel.schemas import NoteIn
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import moment, seen
from sifilma.web.requests import context
from sifilma.web.states import kind as kind_name
from sifilma.web.states import named, state
from sifilma.web.texts import translate

blueprint = Blueprint("job_pages", __name__, url_prefix="/pekerjaan", template_folder="templates")
WAITS = {"hsm": _("the HSM"), "service": _("the service")}
EXPORT = Export(
    "pekerjaan",
    {
        _("Begun"): lambda line: moment(line.of.created_at),
        _("File"): lambda line: line.of.filename,
        _("What for"): lambda line: kind_name(line.of.kind),
        _("State"): lambda line: str(state(line.of.state).name),
        _("Rows"): lambda line: line.of.total,
        _("Done"): lambda line: line.of.done,
        _("With errors"): lambda line: line.of.failed,
        _("Waits for"): lambda line: str(WAITS.get(line.of.waits_for, "")),
        _("Begun by"): lambda line: line.who,
        _("Organisation"): lambda line: line.organisation,
    },
    counted=lambda number, words: ngettext("%(count)s file", "%(count)s files", number, count=words),
    filters={"state": ""},
)


@blueprint.get("")
@operation("job.see")
def index() -> Response:
    """List the jobs of the actor's organisation, or all jobs for the directorate."""
    ctx, form = context(), Form(request.args)
    wanted = form.get("state") if form.get("state") in list(JobState) else ""
    listing = service.list_jobs(ctx, wanted)
    return list_views.answer(
        "jobs/jobs.html", listing, lambda jobs: serializers.lines(ctx, jobs), EXPORT, form=form, states=named(JobState)
    )


@blueprint.get("/<uuid:job_id>")
@operation("job.see")
def show(job_id: UUID) -> str:
    """Show one job. The page requests `progress` again and again while the job runs."""
    page = serializers.job_page(context(), resources().settings, job_id, translate)
    return render_template("jobs/job.html", page=page, form=Form.begun())


def _again(job_id: UUID, form: Form) -> AnyResponse:
    return form.again("jobs/job.html", page=serializers.job_page(context(), resources().settings, job_id, translate))


def _named(ctx: Context, job_id: UUID) -> str:
    return service.get_job(ctx, job_id).filename


CANCEL = Question(
    _("Cancel the work"),
    _("What is done stays done; the other rows are given back. It cannot be taken up again."),
    _named,
    "job_pages.show",
)


@blueprint.post("/<uuid:job_id>/batal")
@operation("job.cancel", question=CANCEL)
@attempted(_again)
def cancel(ctx: Context, job_id: UUID, form: Form) -> AnyResponse:
    """Cancel one job. What is done stays done; the other rows are given back."""
    service.cancel(ctx, job_id, form.model(NoteIn).note)
    return seen("job_pages.show", "cancelled", job_id=job_id)


@blueprint.post("/<uuid:job_id>/jeda")
@operation("job.cancel")
@attempted(_again)
def pause(ctx: Context, job_id: UUID, _form: Form) -> AnyResponse:
    """Have one job wait until somebody lets it go on."""
    service.pause(ctx, job_id)
    return seen("job_pages.show", "paused", job_id=job_id)


@blueprint.post("/<uuid:job_id>/lanjut")
@operation("job.cancel")
@attempted(_again)
def resume(ctx: Context, job_id: UUID, _form: Form) -> AnyResponse:
    """Let one job go on."""
    service.resume(ctx, job_id)
    return seen("job_pages.show", "resumed", job_id=job_id)


@blueprint.get("/<uuid:job_id>/kemajuan")
@operation("job.see")
def progress(job_id: UUID) -> str:
    """Return the part of the page that changes while the job runs."""
    return render_template("jobs/progress.html", page=serializers.job_page(context(), resources().settings, job_id, translate))


@blueprint.get("/<uuid:job_id>/perbaikan.<kind>")
@operation("job.see")
def corrected(job_id: UUID, kind: str) -> Response:
    """Return the failed rows as a sheet that can be corrected and uploaded again."""
    ctx = context()
    job = service.get_job(ctx, job_id)
    table = worker.KINDS[job.kind].corrected(ctx, resources().settings, resources().files, job, translate)
    return lists.form_table(kind, f"perbaikan {job.stem}", table, translate)


@blueprint.get("/<uuid:job_id>/hasil.<kind>")
@operation("job.see")
def result(job_id: UUID, kind: str) -> Response:
    """Return the result of each row as a sheet."""
    ctx = context()
    job = service.get_job(ctx, job_id)
    sheet = worker.KINDS[job.kind].result(ctx, resources().settings, resources().files, job, translate)
    return lists.table(kind, f"hasil {job.stem}", sheet.header, sheet.rows)
