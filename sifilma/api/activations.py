"""The routes of activations: one at a time, by file, and the review of places."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from sifilma.activation import queries
from sifilma.activation.bulk import job as bulk
from sifilma.activation.bulk import service as together
from sifilma.activation.issuing import service as issuing
from sifilma.activation.issuing.rules import placed
from sifilma.activation.review import service as review
from sifilma.activation.schemas import ActivationIn, ActivationOut, ReviewIn, TogetherIn
from sifilma.activation.serializers import activations_out
from sifilma.api.common import File, IdPath, ListQuery, Page, answer, blueprint, page_of, upload
from sifilma.jobs.schemas import JobOut
from sifilma.jobs.serializers import job_out
from sifilma.kernel.text import Sentence
from sifilma.regions.sources import place_check
from sifilma.resources import resources
from sifilma.web.links import links
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("activations")


class ActivationsQuery(ListQuery):
    """A page of activations, and the state of the place's review."""

    review: Literal["none", "waiting", "accepted", "rejected"] | None = None


class IssuedManifest(BaseModel):
    """The manifest that was issued; its file is fetched by a call of its own."""

    id: UUID
    seq: int
    epoch: int
    state: str
    issued_at: datetime
    expires_at: datetime
    links: dict[str, str]


class IssuedOut(BaseModel):
    """What an activation gave, and what the place check said."""

    id: UUID
    state: str
    place: str
    distance_m: int
    warnings: list[Sentence] = Field(default_factory=list)
    manifest: IssuedManifest
    links: dict[str, str]


@api.post("/activations", responses={201: IssuedOut}, summary="Activate a card in a machine at a place")
@operation("activate", reads_first=True)
def activate(body: ActivationIn) -> Response:
    """The token counts once; a wrong one is counted, the fifth cancels it. A fault leaves it as it was."""
    ctx, held = context(), resources()
    body = placed(ctx, body)
    done = issuing.activate(ctx, held.settings, held.hsm, place_check(held.settings.home), body)
    manifest = IssuedManifest(
        id=done.manifest_id,
        seq=done.seq,
        epoch=done.epoch,
        state="active",
        issued_at=done.issued_at,
        expires_at=done.expires_at,
        links=links("manifests", done.manifest_id, download="download"),
    )
    return answer(
        IssuedOut(
            id=done.activation_id,
            state="active",
            place=done.place.outcome.value,
            distance_m=done.place.distance_m,
            warnings=issuing.warnings(ctx, body.region_code),
            manifest=manifest,
            links=links("activations", done.activation_id),
        ),
        201,
    )


class ActivationsFile(BaseModel):
    """A CSV or XLSX file with the columns of an activation."""

    model_config = ConfigDict(extra="forbid")

    file: File


@api.post("/activations/bulk", responses={202: JobOut}, summary="Activate the cards of a file")
@operation("activate", reads_first=True)
def activate_many(form: ActivationsFile) -> Response:
    """A job does its rows one after the other, each once. The file is kept sealed in the HSM's care until the job ends, no longer."""
    ctx = context()
    job = bulk.begin(ctx, resources().settings, resources().hsm, upload(form.file))
    return answer(job_out(job).model_copy(update={"warnings": ctx.warnings}), 202)


@api.post("/activations/together", responses={202: JobOut}, summary="Activate several cards at one place")
@operation("activate", reads_first=True, lists=True)
def activate_together(body: TogetherIn) -> Response:
    """A job does the cards one after the other, as the rows of a file; row 1 is the first card.

    Without its token a card's open one is taken, which is recorded as its being shown: for people only. A program sends the tokens.
    """
    places = place_check(resources().settings.home)
    return answer(job_out(together.begin(context(), resources().settings, resources().hsm, places, body)), 202)


@api.get("/activations", responses={200: Page[ActivationOut]}, summary="Activations")
@operation("manifest.view")
def list_activations(query: ActivationsQuery) -> Response:
    """Newest first; `review=waiting` is the operator's queue."""
    ctx = context()
    select, key = queries.list_activations(ctx, query.review)
    return page_of(select, key, query, lambda rows: activations_out(ctx, rows))


@api.get("/activations/<uuid:id>", responses={200: ActivationOut}, summary="An activation")
@operation("manifest.view")
def show(path: IdPath) -> Response:
    """With its place and what was found about it."""
    ctx = context()
    return answer(activations_out(ctx, [queries.get_activation(ctx, path.id)])[0])


@api.post("/activations/<uuid:id>/review", responses={200: ActivationOut}, summary="Review a place that did not pass")
@operation("place.review")
def decide(path: IdPath, body: ReviewIn) -> Response:
    """Once, with a note. A rejected place opens a proposal to suspend the card (`/place-suspensions`)."""
    ctx, within = context(), timedelta(days=resources().settings.place_deadline_days)
    return answer(activations_out(ctx, [review.decide(ctx, path.id, body.decision, body.note, within)])[0])
