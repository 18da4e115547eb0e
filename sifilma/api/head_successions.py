"""The routes of heads who follow each other by decree, and of organisations without a living head."""

from __future__ import annotations

from typing import Annotated

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from sifilma.api.common import File, IdPath, JsonPart, ListQuery, Page, StateQuery, answer, blueprint, file_of, page_of, upload
from sifilma.documents.responses import attachment
from sifilma.resources import resources
from sifilma.succession import queries, service
from sifilma.succession.schemas import SuccessionIn
from sifilma.succession.serializers import SuccessionOut, VacancyOut, succession_out, vacancy_out
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("head-successions")
PATH = "/head-successions"


class SuccessionForm(BaseModel):
    """The parts of a succession: JSON, and the decree as a PDF."""

    model_config = ConfigDict(extra="forbid")

    request: Annotated[SuccessionIn, JsonPart]
    decree: File | None = None


class VacancyQuery(ListQuery):
    """A page of organisations without a living head, by a part of the name, kind, and why."""

    name: str = Field("", max_length=100)
    kind: str = Field("", max_length=20)
    reason: str = Field("", max_length=20)


@api.post(PATH, responses={202: SuccessionOut}, summary="Propose that somebody follows as head")
@operation("users.succession")
def propose(form: SuccessionForm) -> Response:
    """By a user administrator, or by the outgoing head. Decided at `POST /user-changes/{id}/decision`, by another person."""
    ctx, held = context(), resources()
    made = service.propose(ctx, held.settings, held.files, form.request, upload(form.decree))
    return answer(succession_out(ctx, made), 202)


@api.get(PATH, responses={200: Page[SuccessionOut]}, summary="Successions of heads")
@operation("users.see")
def list_successions(query: StateQuery) -> Response:
    """Newest first; a head sees those of the own organisation."""
    ctx = context()
    select, key = queries.list_successions(ctx, query.state or "")
    return page_of(select, key, query, lambda rows: (succession_out(ctx, one) for one in rows))


@api.get(f"{PATH}/<uuid:id>", responses={200: SuccessionOut}, summary="A succession")
@operation("users.see")
def show(path: IdPath) -> Response:
    """With the open work that passes on."""
    ctx = context()
    return answer(succession_out(ctx, queries.get_succession(ctx, path.id)))


@api.get(f"{PATH}/<uuid:id>/decree", responses={200: file_of("application/pdf")}, summary="The decree of a succession")
@operation("users.see")
def decree(path: IdPath) -> Response:
    """The download is recorded."""
    handed = service.decree_of(context(), resources().files, path.id)
    return attachment(handed.data, handed.media_type, handed.filename)


@api.get("/offices-without-head", responses={200: Page[VacancyOut]}, summary="Organisations without a living head")
@operation("heads.see")
def list_vacancies(query: VacancyQuery) -> Response:
    """A province sees the offices of its regencies, the directorate every organisation."""
    ctx = context()
    select, key = queries.list_vacancies(ctx, query.name, query.kind, query.reason)
    return page_of(select, key, query, lambda rows: map(vacancy_out, queries.vacancies(ctx, rows)))
