"""The permission table against DOMAIN's, written here a second time, cell by cell."""

from __future__ import annotations

import pytest

from sifilma.accounts import permissions
from sifilma.accounts.permissions import TABLE, Column, Grant, Operation, Scope, columns, grants
from sifilma.kernel.actor import Actor, OrganisationKind, Role
from sifilma.kernel.ids import uuid7

A, J, O, L = "A", "J", "O", "L"  # noqa: E741  # DOMAIN's letters
# operation: approver, operator, auditor, manufacturer, regency, province, institution, key ("-": never, "!": fresh code, "h": head)
DOMAIN = {
    "users.own":               ("-",  "-",  "-", "Oh!", "Oh!", "Oh!", "Oh!", "-"),
    "api_keys":                ("-",  "-",  "-", "Oh!", "Oh!", "Oh!", "Oh!", "-"),
    "api_keys.see":            ("-",  "-",  "-", "Oh",  "Oh",  "Oh",  "Oh",  "-"),
    "reference.proposals.view": ("A", "A",  "A", "-",   "-",   "-",   "-",   "-"),
    "reference.draft":         ("-",  "A",  "-", "-",   "-",   "-",   "-",   "-"),
    "reference.execute":       ("A!", "-",  "-", "-",   "-",   "-",   "-",   "-"),
    "model.view":              ("A",  "A",  "A", "O",   "A",   "A",   "A",   "-"),
    "model.case.view":         ("A",  "A",  "A", "O",   "-",   "-",   "-",   "-"),
    "model.apply":             ("-",  "-",  "-", "O",   "-",   "-",   "-",   "-"),
    "model.case":              ("-",  "A",  "-", "-",   "-",   "-",   "-",   "-"),
    "model.return":            ("A!", "A",  "-", "-",   "-",   "-",   "-",   "-"),
    "model.certify":           ("A!", "-",  "-", "-",   "-",   "-",   "-",   "-"),
    "unit.register":           ("-",  "-",  "-", "-",   "O",   "O",   "O",   "O"),
    "unit.read":               ("A",  "A",  "A", "L",   "O",   "J",   "O",   "O"),
    "personalisation.draft":   ("-",  "-",  "-", "L",   "O",   "O",   "-",   "L"),
    "personalisation.submit":  ("-",  "-",  "-", "L",   "O",   "O",   "-",   "-"),
    "personalisation.view":    ("A",  "A",  "A", "L",   "O",   "J",   "L",   "L"),
    "personalisation.verify":  ("-",  "A",  "-", "-",   "-",   "-",   "-",   "-"),
    "personalisation.return":  ("A!", "A",  "-", "-",   "-",   "-",   "-",   "-"),
    "personalisation.approve": ("A!", "-",  "-", "-",   "-",   "-",   "-",   "-"),
    "personalise":             ("-",  "A",  "-", "-",   "-",   "-",   "-",   "-"),
    "handover.issue":          ("-",  "A",  "-", "L",   "-",   "-",   "-",   "-"),
    "handover.receive":        ("-",  "-",  "-", "L",   "O",   "O",   "O",   "-"),
    "activation_request.draft":   ("-",  "-", "-", "-", "O",  "O",  "O",  "O"),
    "activation_request.submit":  ("-",  "-", "-", "-", "O",  "O",  "O",  "-"),
    "activation_request.approve": ("A!", "-", "-", "-", "-",  "-",  "-",  "-"),
    "token.see":               ("A",  "A",  "A", "-",   "O",   "J",   "O",   "O"),
    "token.reveal":            ("-",  "-",  "-", "-",   "O!",  "O!",  "O!",  "-"),
    "activate":                ("-",  "-",  "-", "-",   "O!",  "O!",  "O!",  "O"),
    "manifest.view":           ("A",  "A",  "A", "-",   "O",   "J",   "O",   "O"),
    "manifest.body":           ("-",  "-",  "-", "-",   "O!",  "O!",  "O!",  "O"),
    "manifest.revoke":         ("A!", "A",  "-", "-",   "-",   "-",   "-",   "-"),
    "card.report":             ("-",  "A",  "-", "L",   "O",   "O",   "O",   "O"),
    "destruction.propose":     ("-",  "A",  "-", "O",   "O",   "O",   "O",   "-"),
    "destruction.approve":     ("A!", "-",  "-", "-",   "-",   "-",   "-",   "-"),
    "destruction.record":      ("-",  "O!", "-", "O!",  "O!",  "O!",  "O!",  "-"),
    "destruction.verify":      ("-",  "A",  "-", "-",   "-",   "-",   "-",   "-"),
    "place.review":            ("-",  "A",  "-", "-",   "-",   "-",   "-",   "-"),
    "place.see":               ("-",  "A",  "A", "-",   "-",   "-",   "-",   "-"),
    "audit.read":              ("O",  "O",  "A", "O",   "O",   "J",   "O",   "-"),
    "audit.verify":            ("-",  "-",  "A!", "-",  "-",   "-",   "-",   "-"),
    "audit.export":            ("-",  "-",  "A!", "O",  "O",   "J",   "O",   "-"),
}  # fmt: skip
ORDER = (
    Column.APPROVER,
    Column.OPERATOR,
    Column.AUDITOR,
    Column.MANUFACTURER,
    Column.REGENCY,
    Column.PROVINCE,
    Column.INSTITUTION,
    Column.KEY,
)
READING = {name for name in Operation if name.endswith((".view", ".read", ".see", ".export"))} | {Operation.AUDIT_VERIFY}


def cell(grant: Grant | None) -> str:
    return "-" if grant is None else f"{grant.scope.value}{'h' if grant.head else ''}{'!' if grant.fresh else ''}"


def differences() -> list[str]:
    """Cells in which code and DOMAIN differ."""
    return [
        f"{operation} {column}: {cell(TABLE[Operation(operation)].get(column))} instead of {wanted}"
        for operation, row in DOMAIN.items()
        for column, wanted in zip(ORDER, row, strict=True)
        if cell(TABLE[Operation(operation)].get(column)) != wanted
    ]


def test_the_table_is_domains() -> None:
    assert differences() == []


def test_the_comparison_catches_a_changed_cell() -> None:
    row = TABLE[Operation.TOKEN_REVEAL]
    row[Column.OPERATOR] = Grant(Scope.ALL)
    try:
        assert differences() == ["token.reveal operator: A instead of -"]
    finally:
        del row[Column.OPERATOR]


def test_an_auditor_writes_nothing_and_central_people_never_see_tokens_or_bodies() -> None:
    granted = {operation for operation, row in TABLE.items() if Column.AUDITOR in row}
    assert granted <= READING
    for operation in (Operation.TOKEN_REVEAL, Operation.MANIFEST_BODY, Operation.ACTIVATE):
        assert not {Column.APPROVER, Column.OPERATOR, Column.AUDITOR, Column.USER_ADMIN, Column.CUSTODIAN} & set(TABLE[operation])


def test_what_is_not_in_the_table_is_never() -> None:
    nobody = Actor()
    assert columns(nobody) == ()
    assert all(not grants(nobody, operation) for operation in Operation)
    without_role = Actor(organisation_id=uuid7(), organisation_kind=OrganisationKind.REGENCY_OFFICE, user_id=uuid7())
    assert all(not grants(without_role, operation) for operation in Operation)
    head = Actor(organisation_kind=OrganisationKind.REGENCY_OFFICE, user_id=uuid7(), roles=frozenset({Role.HEAD}))
    staff = Actor(organisation_kind=OrganisationKind.REGENCY_OFFICE, user_id=uuid7(), roles=frozenset({Role.STAFF}))
    assert grants(head, Operation.USERS_OWN)
    assert not grants(staff, Operation.USERS_OWN)


@pytest.mark.parametrize("operation", [o for o in Operation if o not in (Operation.PUBLIC, Operation.SELF, Operation.SESSION_SELF)])
def test_every_operation_has_its_row(operation: Operation) -> None:
    assert operation in permissions.TABLE
