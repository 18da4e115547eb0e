"""The routes of files that the worker writes for whoever asked: lists, how far they are, and the download."""

from __future__ import annotations

from flask import Response

from sifilma.api.common import IdPath, Page, StateQuery, answer, blueprint, file_of, page_of
from sifilma.documents.tables.sheets import XLSX_TYPE
from sifilma.own_files import serializers, service
from sifilma.own_files.queries import get_file, list_files
from sifilma.own_files.schemas import ListFileIn, OwnFileOut
from sifilma.own_files.views import handed_out, wanted_list
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("files")


@api.post("/files", responses={202: OwnFileOut}, summary="Have a list written as a file")
@operation("self")
def ask(body: ListFileIn) -> Response:
    """By the address of its page. A file that is being written already is not asked for again: the answer is that one."""
    ctx = context()
    return answer(serializers.file_out(ctx, service.ask(ctx, wanted_list(body.list, body.form, ("list", "form")))), 202)


@api.get("/files", responses={200: Page[OwnFileOut]}, summary="Files that were asked for")
@operation("self")
def list_own(query: StateQuery) -> Response:
    """The caller's own, newest first."""
    ctx = context()
    select, key = list_files(ctx, query.state or "")
    return page_of(select, key, query, lambda rows: serializers.files_out(ctx, rows))


@api.get("/files/<uuid:id>", responses={200: OwnFileOut}, summary="A file that was asked for")
@operation("self")
def show(path: IdPath) -> Response:
    """How far it is; `links.download` stands there when it is ready."""
    ctx = context()
    return answer(serializers.file_out(ctx, get_file(ctx, path.id)))


@api.post("/files/<uuid:id>/cancel", responses={200: OwnFileOut}, summary="Cancel a file, or delete it before its time")
@operation("self")
def cancel(path: IdPath) -> Response:
    """Cancelling once more changes nothing."""
    ctx = context()
    return answer(serializers.file_out(ctx, service.cancel(ctx, path.id)))


@api.post(
    "/files/<uuid:id>/download", responses={200: file_of("text/csv", XLSX_TYPE, "application/zip")}, summary="The file, when it is ready"
)
@operation("self", reads_first=True, idempotent=False)
def fetch(path: IdPath) -> Response:
    """Only for whoever asked for it, as long as they may see every row of it. The download is recorded."""
    return handed_out(context(), path.id)
