"""The routes of changes of reference data. An operator proposes them; an approver, who is another person, executes them."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import Response
from pydantic import BaseModel, ConfigDict

from sifilma.api.common import File, IdPath, JsonPart, Page, StateQuery, answer, blueprint, file_of, needed, page_of
from sifilma.documents.responses import attachment
from sifilma.kernel.schemas import ApproveIn, NoteIn
from sifilma.oversight import reference
from sifilma.oversight.schemas import AgreementIn, AgreementsIn, ModelsIn, OrganisationsIn, ReferenceChangeBrief, ReferenceChangeOut
from sifilma.oversight.serializers import change_brief, change_out
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("reference-changes")
PATH = "/reference-changes"


class ChangesQuery(StateQuery):
    """A page of changes, by state or kind."""

    kind: Literal["organisations", "agreements", "models"] | None = None


@api.post(f"{PATH}/organisations", responses={201: ReferenceChangeOut}, summary="Propose organisations")
@operation("reference.draft", lists=True)
def propose_organisations(body: OrganisationsIn) -> Response:
    """What is registered already is left out."""
    return answer(change_out(reference.propose_rows(context(), "organisations", body.rows)), 201)


@api.post(f"{PATH}/agreements", responses={201: ReferenceChangeOut}, summary="Propose agreements (PKS) of institutions")
@operation("reference.draft", lists=True)
def propose_agreements(body: AgreementsIn) -> Response:
    """What is registered already is left out."""
    return answer(change_out(reference.propose_rows(context(), "agreements", body.rows)), 201)


class AgreementForm(BaseModel):
    """The parts of an agreement: JSON, and the agreement itself as a PDF."""

    model_config = ConfigDict(extra="forbid")

    request: Annotated[AgreementIn, JsonPart]
    document: File


@api.post(f"{PATH}/agreement", responses={201: ReferenceChangeOut}, summary="Propose one agreement (PKS) with its PDF")
@operation("reference.draft")
def propose_agreement(form: AgreementForm) -> Response:
    """The digest covers the PDF, so that the approver executes exactly what was uploaded."""
    given = needed(form.document, "document")
    return answer(change_out(reference.propose_agreement(context(), resources().files, form.request, given)), 201)


@api.post(f"{PATH}/models", responses={201: ReferenceChangeOut}, summary="Propose models of manufacturers")
@operation("reference.draft", lists=True)
def propose_models(body: ModelsIn) -> Response:
    """What is registered already is left out."""
    return answer(change_out(reference.propose_rows(context(), "models", body.rows)), 201)


@api.get(PATH, responses={200: Page[ReferenceChangeBrief]}, summary="Changes of reference data")
@operation("reference.proposals.view")
def list_changes(query: ChangesQuery) -> Response:
    """Newest first."""
    select, key = reference.list_changes(context(), query.state or "", query.kind or "")
    return page_of(select, key, query, lambda rows: map(change_brief, rows))


@api.get(f"{PATH}/<uuid:id>", responses={200: ReferenceChangeOut}, summary="A change of reference data")
@operation("reference.proposals.view")
def show(path: IdPath) -> Response:
    """With its digest: what an approver sends back."""
    return answer(change_out(reference.get_change(context(), path.id)))


@api.get(f"{PATH}/<uuid:id>/document", responses={200: file_of("application/pdf")}, summary="The PDF that came with a change")
@operation("reference.proposals.view")
def document(path: IdPath) -> Response:
    """The download is recorded."""
    handed = reference.document_of(context(), resources().files, path.id)
    return attachment(handed.data, handed.media_type, handed.filename)


@api.post(f"{PATH}/<uuid:id>/approve", responses={200: ReferenceChangeOut}, summary="Register exactly what was seen")
@operation("reference.execute")
def approve(path: IdPath, body: ApproveIn) -> Response:
    """By another person than the proposer; all rows or none."""
    return answer(change_out(reference.execute(context(), path.id, body.digest, body.note)))


@api.post(f"{PATH}/<uuid:id>/reject", responses={200: ReferenceChangeOut}, summary="Reject, with a note")
@operation("reference.execute")
def reject(path: IdPath, body: NoteIn) -> Response:
    """The operator reads the note."""
    return answer(change_out(reference.reject(context(), path.id, body.note)))


@api.post(f"{PATH}/<uuid:id>/withdraw", responses={200: ReferenceChangeOut}, summary="Take back")
@operation("reference.draft")
def withdraw(path: IdPath, body: NoteIn) -> Response:
    """By whoever proposed it."""
    return answer(change_out(reference.withdraw(context(), path.id, body.note)))
