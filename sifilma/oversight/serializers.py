"""Convert cases and changes of reference data to the schemas of the API."""

from __future__ import annotations

from sifilma.accounts.serializers import party
from sifilma.oversight.models import CASE, CHANGE, CaseState, ChangeState, ModelCase, ReferenceChange
from sifilma.oversight.schemas import CaseOut, CertificateOut, ReferenceChangeBrief, ReferenceChangeOut
from sifilma.web.links import links, steps

CASE_VERBS = {
    "certificate": CaseState.TESTED,
    "certify": CaseState.CERTIFIED,
    "reject": CaseState.REJECTED,
    "report": CaseState.REPORTED,
    "cancel": CaseState.CANCELLED,
}
TO_TEST = {CaseState.APPLIED: "admit", CaseState.TESTED: "return"}
"""The verb that leads to `approved_to_test`. It differs by the present state: the operator admits, the approver returns."""
CHANGE_VERBS = {"approve": ChangeState.EXECUTED, "reject": ChangeState.REJECTED, "withdraw": ChangeState.REJECTED}


def case_out(case: ModelCase) -> CaseOut:
    """Return a case with its certificate."""
    linked = steps("model-cases", case.id, CASE, case.state, CASE_VERBS)
    verb = TO_TEST.get(CaseState(case.state))
    stated = case.certificate
    return CaseOut(
        id=case.id,
        state=case.state,
        kind=case.kind,
        model={"id": str(case.model_id), "name": case.model.name},
        organisation=party(case.organisation),
        letter_number=case.letter_number,
        letter_date=case.letter_date,
        notes=case.notes,
        created_at=case.created_at,
        digest=case.digest,
        note=case.change_note,
        certificate=CertificateOut.model_validate(stated, from_attributes=True) if stated else None,
        links=linked | (links("model-cases", case.id, **{verb: verb}) if verb else {}),
    )


def change_brief(change: ReferenceChange) -> ReferenceChangeBrief:
    """Return a change for a list."""
    return ReferenceChangeBrief(
        id=change.id,
        state=change.state,
        kind=change.kind,
        count=change.count,
        digest=change.digest,
        proposed_at=change.proposed_at,
        decided_at=change.decided_at,
        note=change.change_note,
        links=steps("reference-changes", change.id, CHANGE, change.state, CHANGE_VERBS),
    )


def change_out(change: ReferenceChange) -> ReferenceChangeOut:
    """Return a change with its rows, and the address of its PDF if there is one."""
    shown = ReferenceChangeOut(
        **change_brief(change).model_dump(), rows=change.content["rows"], document_sha256=change.content.get("document")
    )
    if change.document_id is not None:
        shown.links |= links("reference-changes", change.id, document="document")
    return shown
