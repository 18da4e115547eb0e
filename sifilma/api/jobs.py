"""The routes of jobs: progress, errors by row, the files with results and failed rows, and cancellation."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from flask import Response
from pydantic import BaseModel, ConfigDict

from sifilma.api.common import IdPath, Page, StateQuery, answer, blueprint, file_of, page_of
from sifilma.documents import lists
from sifilma.documents.tables import sheets
from sifilma.jobs import serializers, service, worker
from sifilma.jobs.schemas import JobOut, RowErrorOut
from sifilma.kernel.schemas import NoteIn
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("jobs")
FILE: dict[str | int | HTTPStatus, Any] = {200: file_of("text/csv", sheets.XLSX_TYPE)}


class FileQuery(BaseModel):
    """The type of a file."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["csv", "xlsx"] = "csv"


class ErrorsOut(BaseModel):
    """Every error of every row, in the order of the file."""

    items: list[RowErrorOut]


@api.get("/jobs", responses={200: Page[JobOut]}, summary="Jobs of the organisation")
@operation("job.see")
def list_jobs(query: StateQuery) -> Response:
    """Newest first."""
    select, key = service.list_jobs(context(), query.state or "")
    return page_of(select, key, query, lambda rows: map(serializers.job_out, rows))


@api.get("/jobs/<uuid:id>", responses={200: JobOut}, summary="A job")
@operation("job.see")
def show(path: IdPath) -> Response:
    """`done` of `total` rows are settled, `failed` of those with errors. What is away (`waits_for`) is waited for."""
    return answer(serializers.job_out(service.get_job(context(), path.id)))


@api.post("/jobs/<uuid:id>/cancel", responses={200: JobOut}, summary="Cancel a job")
@operation("job.cancel")
def cancel(path: IdPath, body: NoteIn) -> Response:
    """Rows that are done stay done; the others come back with `corrected`. Cancelling once more changes nothing."""
    return answer(serializers.job_out(service.cancel(context(), path.id, body.note)))


@api.post("/jobs/<uuid:id>/pause", responses={200: JobOut}, summary="Pause a job")
@operation("job.cancel")
def pause(path: IdPath) -> Response:
    """It is given no turn any more until it is resumed. Pausing once more changes nothing."""
    return answer(serializers.job_out(service.pause(context(), path.id)))


@api.post("/jobs/<uuid:id>/resume", responses={200: JobOut}, summary="Let a paused job go on")
@operation("job.cancel")
def resume(path: IdPath) -> Response:
    """Resuming once more changes nothing."""
    return answer(serializers.job_out(service.resume(context(), path.id)))


@api.get("/jobs/<uuid:id>/errors", responses={200: ErrorsOut}, summary="What was wrong with the rows of a job")
@operation("job.see")
def errors(path: IdPath) -> Response:
    """By the file's own row numbers."""
    ctx = context()
    return answer(ErrorsOut(items=serializers.errors_out(ctx, service.get_job(ctx, path.id))))


@api.get("/jobs/<uuid:id>/corrected", responses=FILE, summary="The failed and undone rows, to be put right and sent again")
@operation("job.see")
def corrected(path: IdPath, query: FileQuery) -> Response:
    """The columns of the file and one called `error`; without tokens, which are not kept. Of a batch all rows: it is taken whole."""
    ctx = context()
    job = service.get_job(ctx, path.id)
    table = worker.KINDS[job.kind].corrected(ctx, resources().settings, resources().files, job, None)
    return lists.form_table(query.kind, "errors", table, None)


@api.get("/jobs/<uuid:id>/result", responses=FILE, summary="What became of each row")
@operation("job.see")
def result(path: IdPath, query: FileQuery) -> Response:
    """Rows that are settled, in the order of the file."""
    ctx = context()
    job = service.get_job(ctx, path.id)
    sheet = worker.KINDS[job.kind].result(ctx, resources().settings, resources().files, job, str)
    return lists.table(query.kind, "result", sheet.header, sheet.rows)
