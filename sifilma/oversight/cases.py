"""Cases: applications to have a model tested or certified, up to its certificate (Permendagri 76/2020, arts. 12-16)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from config.settings import Settings
from sifilma.approvals.file_access import HandedOut, hand_out
from sifilma.approvals.letters import letter_faults
from sifilma.approvals.service import Submissions, require_note, seal
from sifilma.cards.models import DeviceModel
from sifilma.documents.indonesian import WIB
from sifilma.documents.models import DocumentKind
from sifilma.documents.service import Upload, keep_pdf, sha256_of
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Context
from sifilma.kernel.days import wrong_paper_day
from sifilma.kernel.errors import Conflict, Faults, NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import Listing
from sifilma.kernel.text import say
from sifilma.oversight.models import (
    CASE,
    CERTIFICATE_OF,
    CaseKind,
    CaseState,
    ModelCase,
    ModelCaseApproval,
    ModelCertificate,
)
from sifilma.oversight.schemas import CaseIn, CertificateIn

WAY = Submissions(CASE, ModelCase, ModelCaseApproval, "model_case", "organisation_id", CaseState.TESTED, CaseState.CERTIFIED)
NO_FILE = say("Choose a file.")
OPEN = (CaseState.APPLIED, CaseState.APPROVED_TO_TEST, CaseState.TESTED)


def models_query(ctx: Context, operation: Operation = Operation.MODEL_VIEW) -> Select[DeviceModel]:
    """Return a query of the models the actor may see. A manufacturer sees its own."""
    return scoped(select(DeviceModel), ctx.actor, operation, DeviceModel.manufacturer_id)


def get_model(ctx: Context, model_id: UUID, operation: Operation = Operation.MODEL_VIEW) -> DeviceModel:
    """Return one model. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(models_query(ctx, operation).where(DeviceModel.id == model_id)).first()
    if found is None:
        raise NotFound()
    return found


def cases_query(ctx: Context, operation: Operation = Operation.MODEL_CASE_VIEW) -> Select[ModelCase]:
    """Return a query of the cases the actor may see."""
    return scoped(select(ModelCase), ctx.actor, operation, ModelCase.organisation_id)


def list_cases(ctx: Context, state: str | None) -> Listing[ModelCase]:
    """Return the cases the actor may see, of one state if it is given."""
    query = cases_query(ctx)
    return (query.where(ModelCase.state == state) if state else query), ModelCase.id


def get_case(ctx: Context, case_id: UUID, operation: Operation = Operation.MODEL_CASE_VIEW) -> ModelCase:
    """Return one case. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(cases_query(ctx, operation).where(ModelCase.id == case_id)).first()
    if found is None:
        raise NotFound()
    return found


def apply(ctx: Context, store: FileStore, model_id: UUID, data: CaseIn, letter: Upload | None) -> ModelCase:
    """Store a manufacturer's application for one of its models, and return the case.

    Raise NotFound outside the actor's scope, Invalid if the letter is missing, no PDF or dated in the future, and Conflict (`case-open`)
    while a case of this kind is open for the model.
    """
    model = get_model(ctx, model_id, Operation.MODEL_APPLY)
    faults, document = case_faults(ctx, dict(data), letter), None
    with faults.taking():
        document = keep_pdf(ctx, store, letter, DocumentKind.LETTER, "letter") if letter else None
    faults.refuse()
    assert document is not None  # noqa: S101  # else there is a fault
    known = select(ModelCase.id).where(ModelCase.model_id == model.id, ModelCase.kind == data.kind, ModelCase.state.in_(OPEN))
    if ctx.session.scalar(known):
        raise Conflict("An application of this kind is open for this model already.", type="case-open")
    case = ModelCase(
        id=uuid7(),
        model_id=model.id,
        organisation_id=model.manufacturer_id,
        kind=str(data.kind),
        letter_number=data.letter_number,
        letter_date=data.letter_date,
        letter_document_id=document.id,
        notes=data.notes,
        created_at=ctx.now,
        required_approvals=1,
    )
    act = WAY.act(ctx, case, "apply", kind=str(data.kind), name=model.name)
    CASE.born(case, CaseState.APPLIED, act)
    ctx.session.add(case)
    ctx.session.flush()
    return case


def case_faults(ctx: Context, given: Mapping[str, Any], letter: Upload | None) -> Faults:
    """Return what is wrong with an application of which not all fields could be read: with those that could, and that the letter lacks."""
    faults = letter_faults(ctx.now, given)
    if letter is None:
        faults.add("letter", NO_FILE)
    return faults


def admit(ctx: Context, case_id: UUID, note: str = "") -> ModelCase:
    """Send the model to the testing or certifying body. An operator does this. Raise Conflict unless the case is `applied`."""
    found = get_case(ctx, case_id, Operation.MODEL_CASE)
    # The life cycle does not suffice: it has a step to `approved_to_test` from `tested` too, by which an approver returns a certificate.
    if found.state != CaseState.APPLIED:
        raise Conflict("This application was let through already, or is closed.", state=found.state)
    WAY.move(ctx, found, CaseState.APPROVED_TO_TEST, "admit", note)
    return found


def record_certificate(
    ctx: Context, settings: Settings, store: FileStore, case_id: UUID, data: CertificateIn, file: Upload | None
) -> ModelCase:
    """Record the certificate that the testing or certifying body issued, and submit it to an approver.

    On a new recording without a file, the file of the former one stays. Raise NotFound outside the actor's scope, Conflict in a state that
    awaits no certificate, and Invalid that names the fields with errors.
    """
    found = get_case(ctx, case_id, Operation.MODEL_CASE)
    CASE.require(found, CaseState.TESTED)
    faults = certificate_faults(ctx, settings, found, dict(data), file)
    document_id = found.certificate.document_id if found.certificate else None
    with faults.taking():
        document_id = keep_pdf(ctx, store, file, DocumentKind.CERTIFICATE, "certificate").id if file else document_id
    faults.refuse("The certificate cannot be recorded.")
    assert document_id is not None  # noqa: S101  # else there is a fault
    # Flushed before the step: triggers accept a certificate only in `approved_to_test`, and the step to `tested` only with a certificate.
    _write(settings, found, data, document_id)
    ctx.session.flush()
    seal(ctx, found, content(ctx, found))
    WAY.move(ctx, found, CaseState.TESTED, "test", digest=found.digest, number=data.number)
    return found


def certificate_faults(ctx: Context, settings: Settings, case: ModelCase, given: Mapping[str, Any], file: Upload | None) -> Faults:
    """Return what is wrong with a certificate of which not all fields could be read: with those that could, and that its file lacks."""
    today, least = ctx.now.astimezone(WIB).date(), settings.tkdn_min
    issued, until, tkdn = given.get("issued_on"), given.get("valid_until"), given.get("tkdn")
    faults = Faults()
    if issued is not None and (wrong := wrong_paper_day(ctx.now, issued)) is not None:
        faults.add("issued_on", wrong)
    if until is not None and issued is not None and until < issued:
        faults.add("valid_until", say("The certificate ends before it begins."))
    elif until is not None and until < today:
        faults.add("valid_until", say("This certificate has expired already."))
    if case.kind == CaseKind.CERTIFICATION and tkdn is None and "tkdn" in given:
        faults.add("tkdn", say("A TKDN certificate states a percentage."))
    elif case.kind == CaseKind.CERTIFICATION and tkdn is not None and _e2(tkdn) < _e2(least):
        told = say("A TKDN of at least %(least)s percent is needed (%(basis)s).", least=least, basis=settings.legal_basis_tkdn)
        faults.add("tkdn", told)
    elif case.kind == CaseKind.TESTING and tkdn is not None:
        faults.add("tkdn", say("The result of a test states no TKDN."))
    if file is None and case.certificate is None:
        faults.add("certificate", NO_FILE)
    return faults


def _e2(percent: Decimal | float) -> int:
    return round(Decimal(str(percent)) * 100)


def _write(settings: Settings, case: ModelCase, data: CertificateIn, document_id: UUID) -> None:
    case.certificate = case.certificate or ModelCertificate(id=uuid7(), kind=str(CERTIFICATE_OF[CaseKind(case.kind)]))
    written = case.certificate
    written.number, written.issuer, written.document_id = data.number, data.issuer, document_id
    written.issued_on, written.valid_until = data.issued_on, data.valid_until
    written.tkdn_e2 = _e2(data.tkdn) if data.tkdn is not None else None
    written.tkdn_min_e2, written.legal_basis = _e2(settings.tkdn_min), settings.legal_basis_tkdn


def content(ctx: Context, case: ModelCase) -> dict[str, Any]:
    """Return the content that an approver certifies: the application, and the certificate as recorded. Percentages are in hundredths."""
    stated = case.certificate
    files = sha256_of(ctx, {"letter": case.letter_document_id, "certificate": stated.document_id if stated else None})
    return {
        "id": str(case.id),
        "model": str(case.model_id),
        "organisation": str(case.organisation_id),
        "kind": case.kind,
        "letter": {"number": case.letter_number, "date": case.letter_date.isoformat(), "sha256": files["letter"]},
        "notes": case.notes,
        "certificate": _certificate(stated, files["certificate"]) if stated else None,
    }


def _certificate(stated: ModelCertificate, sha256: str | None) -> dict[str, Any]:
    return {
        "kind": stated.kind,
        "number": stated.number,
        "issuer": stated.issuer,
        "issued_on": stated.issued_on.isoformat(),
        "valid_until": stated.valid_until.isoformat(),
        "tkdn_e2": stated.tkdn_e2,
        "tkdn_min_e2": stated.tkdn_min_e2,
        "legal_basis": stated.legal_basis,
        "sha256": sha256,
    }


def certify(ctx: Context, case_id: UUID, digest: str, note: str = "") -> ModelCase:
    """Approve the certificate with this digest; the case becomes `certified`. Raise as `Submissions.approve` does."""
    found = get_case(ctx, case_id, Operation.MODEL_CERTIFY)
    WAY.approve(ctx, found, digest, note)
    return found


def send_back(ctx: Context, case_id: UUID, note: str) -> ModelCase:
    """Return a certificate that was recorded wrongly: the operator records it again.

    Raise Conflict unless it waits for an approver, and Invalid without a note.
    """
    found = get_case(ctx, case_id, Operation.MODEL_RETURN)
    if found.state != CaseState.TESTED:
        raise Conflict("Only a certificate that waits for an approver is returned.", state=found.state)
    WAY.move(ctx, found, CaseState.APPROVED_TO_TEST, "return", require_note(note))
    return found


def reject(ctx: Context, case_id: UUID, note: str) -> ModelCase:
    """End the case without a certificate. Raise Invalid without a note, which the manufacturer reads, and Conflict in other states."""
    found = get_case(ctx, case_id, Operation.MODEL_RETURN)
    WAY.move(ctx, found, CaseState.REJECTED, "reject", require_note(note))
    return found


def report(ctx: Context, case_id: UUID, note: str = "") -> ModelCase:
    """Record that the Minister was told of the certificate. Raise Conflict unless the case is `certified`."""
    found = get_case(ctx, case_id, Operation.MODEL_CASE)
    WAY.move(ctx, found, CaseState.REPORTED, "report", note)
    return found


def cancel(ctx: Context, case_id: UUID, note: str = "") -> ModelCase:
    """Withdraw an application of the manufacturer. Raise Conflict once a certificate waits for an approver."""
    found = get_case(ctx, case_id, Operation.MODEL_APPLY)
    WAY.move(ctx, found, CaseState.CANCELLED, "cancel", note)
    return found


def open_file(ctx: Context, store: FileStore, case_id: UUID, name: str) -> HandedOut:
    """Return the letter (`surat`) or the certificate (`sertifikat`) of a case and record the download. Raise NotFound if there is none."""
    found = get_case(ctx, case_id)
    stated = found.certificate.document_id if found.certificate else None
    documents = {"surat": found.letter_document_id, "sertifikat": stated}
    return hand_out(ctx, store, documents.get(name), CASE.kind, found.id, found.organisation_id)
