"""The routes of personalisation requests and their results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from flask import Response, request
from flask_openapi3 import RawModel
from pydantic import BaseModel, ConfigDict

from sifilma.api.common import File, IdPath, JsonPart, Page, RequestsQuery, answer, blueprint, page_of, tells_all, upload
from sifilma.api.decisions import add_decisions
from sifilma.approvals.queries import Wanted
from sifilma.documents.service import Upload
from sifilma.documents.tables.sheets import CSV_TYPE, XLSX_TYPE, Measured
from sifilma.jobs.schemas import JobOut
from sifilma.jobs.serializers import job_out
from sifilma.kernel.errors import Faults, Invalid
from sifilma.kernel.schemas import ApproveIn
from sifilma.personalisation import proposals, queries, results, service
from sifilma.personalisation.intake import job as intake
from sifilma.personalisation.schemas import (
    CloseIn,
    PersonalisationBrief,
    PersonalisationIn,
    PersonalisationOut,
    PersonalisationReturnIn,
    ResultsIn,
)
from sifilma.personalisation.serializers import brief, full
from sifilma.personalisation.service import REQUESTS, Files
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("personalisation-requests")
PATH = "/personalisation-requests"


class PersonalisationForm(BaseModel):
    """The parts of a request: JSON, the letter, and a manufacturer's purchase order and batch."""

    model_config = ConfigDict(extra="forbid")

    request: Annotated[PersonalisationIn, JsonPart]
    letter: File | None = None
    purchase_order: File | None = None
    batch: File | None = None

    def files(self) -> Files:
        """Return the uploaded files."""
        return Files(upload(self.letter), upload(self.purchase_order), upload(self.batch))


def _faults(known: dict[str, Any], files: Callable[[str], list[Upload]]) -> Faults:
    """Return what is wrong with a request of which not all could be read."""
    ctx, request_id = context(), (request.view_args or {}).get("id")
    sent = Files(*(next(iter(files(name)), None) for name in ("letter", "purchase_order", "batch")))
    return service.faults(ctx, resources().settings, known, sent, REQUESTS.get_own(ctx, request_id) if request_id else None)


class ResultsBody(RawModel):
    """The body of results: JSON, or a table. The content of a table decides how it is read; Windows calls a CSV file vnd.ms-excel."""

    mimetypes = ["application/json", "text/csv", "application/vnd.ms-excel", XLSX_TYPE]  # noqa: RUF012  # the framework's own way


@api.post(PATH, responses={201: PersonalisationOut}, summary="Draft a request")
@operation("personalisation.draft")
@tells_all(PersonalisationIn, _faults, "request")
def draft(form: PersonalisationForm) -> Response:
    """A manufacturer's batch is checked row by row; nothing is saved while a row has an error."""
    ctx = context()
    made = service.draft(ctx, resources().settings, resources().files, form.request, form.files())
    return answer(full(ctx, made), 201)


@api.get(PATH, responses={200: Page[PersonalisationBrief]}, summary="Requests")
@operation("personalisation.view")
def list_requests(query: RequestsQuery) -> Response:
    """Newest first."""
    select, key = queries.list_requests(context(), Wanted(query.state or "", late=resources().targets if query.late else None))
    return page_of(select, key, query, lambda rows: map(brief, rows))


@api.get(f"{PATH}/<uuid:id>", responses={200: PersonalisationOut}, summary="A request")
@operation("personalisation.view")
def show(path: IdPath) -> Response:
    """With its digest: what an approver sends back."""
    ctx = context()
    return answer(full(ctx, service.get_request(ctx, path.id)))


@api.put(f"{PATH}/<uuid:id>", responses={200: PersonalisationOut}, summary="Edit a draft or a returned request")
@operation("personalisation.draft")
@tells_all(PersonalisationIn, _faults, "request")
def edit(path: IdPath, form: PersonalisationForm) -> Response:
    """Files that do not come again stay."""
    ctx = context()
    return answer(full(ctx, service.edit(ctx, resources().settings, resources().files, path.id, form.request, form.files())))


add_decisions(api, PATH, "personalisation", REQUESTS, full, PersonalisationOut)


@api.post(f"{PATH}/<uuid:id>/return", responses={200: PersonalisationOut}, summary="Return for repair, with notes", endpoint="return")
@operation("personalisation.return")
def send_back(path: IdPath, body: PersonalisationReturnIn) -> Response:
    """A note on the whole, notes on single fields (`fields`: name and note), or both. The step in `history` has them."""
    ctx = context()
    return answer(full(ctx, REQUESTS.send_back(ctx, path.id, body.note, body.fields.given())))


@api.post(f"{PATH}/<uuid:id>/approve", responses={200: PersonalisationOut}, summary="Approve exactly what was seen")
@operation("personalisation.approve")
def approve(path: IdPath, body: ApproveIn) -> Response:
    """Another digest than the present one is a conflict."""
    ctx = context()
    return answer(full(ctx, service.approve(ctx, resources().settings, path.id, body.digest, body.note)))


@api.post(
    f"{PATH}/<uuid:id>/results", responses={200: PersonalisationOut, 202: JobOut}, summary="Record results, in parts or many by a job"
)
@operation("personalise", reads_first=True, lists=True)
def add_results(path: IdPath, raw: ResultsBody) -> Response:
    """JSON `{results: […]}`, or a CSV or XLSX table with the same columns. A long table is a job (202): its good rows are recorded."""
    ctx, settings = context(), resources().settings
    if raw.is_json:
        stated = ResultsIn.model_validate(raw.get_json(silent=True))
        given = results.Given(dict(enumerate(stated.results, start=1)))
    elif raw.mimetype in ResultsBody.mimetypes:
        found = intake.read_results(ctx, data := raw.get_data(), settings.rows_at_once)
        if isinstance(found, Measured):
            ctx.uow.begin_write()
            file = Upload(f"results.{'csv' if raw.mimetype == CSV_TYPE else 'xlsx'}", data)
            return answer(job_out(intake.begin_results(ctx, resources().files, path.id, file, found)), 202)
        given = found
    else:
        raise Invalid.field("body", "Send JSON, or a table as text/csv or XLSX.")
    return answer(full(ctx, results.add_results(ctx, settings, resources().hsm, path.id, given)))


@api.post(f"{PATH}/<uuid:id>/close", responses={200: PersonalisationOut, 202: PersonalisationOut}, summary="Close with a remainder")
@operation("personalisation.close")
def close(path: IdPath, body: CloseIn) -> Response:
    """By an operator or the requester a proposal (202); by an approver who is another person, with a fresh code, its decision (200)."""
    ctx = context()
    request, decided = proposals.close(ctx, path.id, execute=body.decision == "execute", reason=body.reason)
    return answer(full(ctx, request), 200 if decided else 202)
