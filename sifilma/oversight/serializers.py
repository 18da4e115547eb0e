"""Cases and changes as the API shows them."""

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
"""Two ways lead to the tests: forward and back."""
CHANGE_VERBS = {"approve": ChangeState.EXECUTED, "reject": ChangeState.REJECTED, "withdraw": ChangeState.REJECTED}


def case_out(case: ModelCase) -> CaseOut:
    """One application."""
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
    """One change in a list."""
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
    """One change with its rows."""
    return ReferenceChangeOut(**change_brief(change).model_dump(), rows=change.content["rows"])
