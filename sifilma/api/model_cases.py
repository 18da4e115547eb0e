"""The routes of applications to have models tested and certified (Permendagri 76/2020, articles 12-16)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from flask import Response, request
from pydantic import BaseModel, ConfigDict

from sifilma.api.common import File, IdPath, JsonPart, Page, StateQuery, answer, blueprint, page_of, tells_all, upload
from sifilma.documents.service import Upload
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Faults
from sifilma.kernel.schemas import ApproveIn, NoteIn
from sifilma.oversight import cases
from sifilma.oversight.schemas import CaseFor, CaseOut, CertificateIn
from sifilma.oversight.serializers import case_out
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("model-cases")
PATH = "/model-cases"


class CaseForm(BaseModel):
    """The parts of an application: JSON, and the letter."""

    model_config = ConfigDict(extra="forbid")

    request: Annotated[CaseFor, JsonPart]
    letter: File | None = None


class CertificateForm(BaseModel):
    """The parts of a certificate: what it states, and the certificate itself (recorded once more, the one that is there stays)."""

    model_config = ConfigDict(extra="forbid")

    request: Annotated[CertificateIn, JsonPart]
    certificate: File | None = None


def _faults(known: dict[str, Any], files: Callable[[str], list[Upload]]) -> Faults:
    """Return what is wrong with a certificate of which not all could be read."""
    ctx = context()
    found = cases.get_case(ctx, (request.view_args or {})["id"], Operation.MODEL_CASE)
    return cases.certificate_faults(ctx, resources().settings, found, known, next(iter(files("certificate")), None))


@api.post(PATH, responses={201: CaseOut}, summary="Apply to have a model tested or certified")
@operation("model.apply")
@tells_all(CaseFor, lambda known, files: cases.case_faults(context(), known, next(iter(files("letter")), None)), "request")
def apply(form: CaseForm) -> Response:
    """By its manufacturer, one application of a kind at a time."""
    made = cases.apply(context(), resources().files, form.request.model, form.request, upload(form.letter))
    return answer(case_out(cases.get_case(context(), made.id)), 201)


@api.get(PATH, responses={200: Page[CaseOut]}, summary="Applications")
@operation("model.case.view")
def list_cases(query: StateQuery) -> Response:
    """Newest first."""
    select, key = cases.list_cases(context(), query.state)
    return page_of(select, key, query, lambda rows: map(case_out, rows))


@api.get(f"{PATH}/<uuid:id>", responses={200: CaseOut}, summary="An application")
@operation("model.case.view")
def show(path: IdPath) -> Response:
    """With its digest: what an approver sends back."""
    return answer(case_out(cases.get_case(context(), path.id)))


@api.post(f"{PATH}/<uuid:id>/certificate", responses={200: CaseOut}, summary="Record the certificate that was issued")
@operation("model.case")
@tells_all(CertificateIn, _faults, "request")
def certificate(path: IdPath, form: CertificateForm) -> Response:
    """An approver, another person, certifies it."""
    given = upload(form.certificate)
    return answer(case_out(cases.record_certificate(context(), resources().settings, resources().files, path.id, form.request, given)))


@api.post(f"{PATH}/<uuid:id>/certify", responses={200: CaseOut}, summary="Certify exactly what was seen")
@operation("model.certify")
def certify(path: IdPath, body: ApproveIn) -> Response:
    """Another digest than the present one is a conflict."""
    return answer(case_out(cases.certify(context(), path.id, body.digest, body.note)))


def _decision(name: str, decide: Callable[[Context, UUID, str], Any]) -> Callable[..., Response]:
    @operation(name)
    def view(path: IdPath, body: NoteIn) -> Response:
        return answer(case_out(decide(context(), path.id, body.note)))

    return view


for verb, wanted, does, told in (
    ("admit", "model.case", cases.admit, "Let the model be tested"),
    ("return", "model.return", cases.send_back, "Return the certificate, with a note"),
    ("reject", "model.return", cases.reject, "Reject, with a note"),
    ("report", "model.case", cases.report, "The Minister was told"),
    ("cancel", "model.apply", cases.cancel, "Take back"),
):
    api.post(f"{PATH}/<uuid:id>/{verb}", responses={200: CaseOut}, summary=told, endpoint=verb)(_decision(wanted, does))
