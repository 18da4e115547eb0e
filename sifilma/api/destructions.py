"""The routes of destructions and their Berita Acara."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from sifilma.api.common import File, IdPath, JsonPart, Page, StateQuery, answer, blueprint, file_of, page_of, tells_all, upload
from sifilma.destruction import berita_acara, service
from sifilma.destruction.schemas import DestructionBrief, DestructionIn, DestructionOut, RecordIn
from sifilma.destruction.serializers import brief, full
from sifilma.documents.responses import attachment
from sifilma.documents.service import Upload
from sifilma.kernel.errors import Faults
from sifilma.kernel.schemas import ApproveIn, NoteIn
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("destructions")


class RecordForm(BaseModel):
    """The parts of a record: JSON, and the photos."""

    model_config = ConfigDict(extra="forbid")

    record: Annotated[RecordIn, JsonPart]
    photos: list[File] = Field(min_length=1, max_length=20)


def _faults(known: dict[str, Any], files: Callable[[str], list[Upload]]) -> Faults:
    """Return what is wrong with a Berita Acara of which not all could be read."""
    ctx = context()
    found = service.get_recordable(ctx, (request.view_args or {})["id"])
    return service.record_faults(ctx, resources().settings, found, known, files("photos"))


@api.post("/destructions", responses={201: DestructionOut}, summary="Propose to destroy cards")
@operation("destruction.propose", lists=True)
def propose(body: DestructionIn) -> Response:
    """Cards that are damaged, locked or withdrawn."""
    ctx = context()
    return answer(full(ctx, service.propose(ctx, body)), 201)


@api.get("/destructions", responses={200: Page[DestructionBrief]}, summary="Destructions")
@operation("destruction.view")
def list_destructions(query: StateQuery) -> Response:
    """Newest first."""
    select, key = service.list_destructions(context(), query.state)
    return page_of(select, key, query, lambda rows: map(brief, rows))


@api.get("/destructions/<uuid:id>", responses={200: DestructionOut}, summary="A destruction")
@operation("destruction.view")
def show(path: IdPath) -> Response:
    """With its digest: what an approver sends back."""
    ctx = context()
    return answer(full(ctx, service.get_destruction(ctx, path.id)))


@api.post("/destructions/<uuid:id>/approve", responses={200: DestructionOut}, summary="Approve exactly what was seen")
@operation("destruction.approve")
def approve(path: IdPath, body: ApproveIn) -> Response:
    """By another person than the proposer."""
    ctx = context()
    return answer(full(ctx, service.approve(ctx, path.id, body.digest, body.note)))


@api.post("/destructions/<uuid:id>/reject", responses={200: DestructionOut}, summary="Reject")
@operation("destruction.approve")
def reject(path: IdPath, body: NoteIn) -> Response:
    """With a note."""
    ctx = context()
    return answer(full(ctx, service.reject(ctx, path.id, body.note)))


@api.post("/destructions/<uuid:id>/cancel", responses={200: DestructionOut}, summary="Take back")
@operation("destruction.propose")
def cancel(path: IdPath, body: NoteIn) -> Response:
    """Before it is executed."""
    ctx = context()
    return answer(full(ctx, service.cancel(ctx, path.id, body.note)))


@api.post("/destructions/<uuid:id>/record", responses={200: DestructionOut}, summary="Record the Berita Acara")
@operation("destruction.record")
@tells_all(RecordIn, _faults, "record")
def record(path: IdPath, form: RecordForm) -> Response:
    """Only with it complete are the cards destroyed."""
    ctx = context()
    photos = [photo for file in form.photos if (photo := upload(file)) is not None]
    done = service.record_execution(ctx, resources().settings, resources().files, path.id, form.record, photos)
    return answer(full(ctx, done))


@api.post("/destructions/<uuid:id>/verify", responses={200: DestructionOut}, summary="Verify")
@operation("destruction.verify")
def verify(path: IdPath, body: NoteIn) -> Response:
    """By a person who neither proposed nor recorded it."""
    ctx = context()
    return answer(full(ctx, service.verify(ctx, path.id, body.note)))


@api.get("/destructions/<uuid:id>/document", responses={200: file_of("application/pdf")}, summary="The Berita Acara as a PDF")
@operation("destruction.view")
def pdf(path: IdPath) -> Response:
    """As it was issued."""
    ctx = context()
    found = service.get_destruction(ctx, path.id)
    data = berita_acara.stored(ctx, resources().files, resources().settings, found)
    return attachment(data, "application/pdf", berita_acara.filename(found))
