"""The application's permission table equals that of docs/domain.md (tests/support/permission_table.py), cell by cell."""

from __future__ import annotations

import pytest

from sifilma.identity import permissions
from sifilma.identity.permissions import SCOPES, TABLE, Column, Grant, Operation, Scope, columns, grants, missing_scope, scopes_for
from sifilma.kernel.actor import Actor, KeyScope, OrganisationKind, Role
from sifilma.kernel.ids import uuid7
from tests.support import permission_table

READING = {name for name in Operation if name.endswith((".view", ".read", ".see", ".export"))} | {Operation.AUDIT_VERIFY}


def cell(grant: Grant | None) -> str:
    return (
        "-" if grant is None else f"{grant.scope.value}{'h' if grant.head else ''}{'p' if grant.people else ''}{'!' if grant.fresh else ''}"
    )


def differences() -> list[str]:
    """Return the cells in which the code and docs/domain.md differ."""
    return [
        f"{operation} {column}: {cell(TABLE[Operation(operation)].get(Column(column)))} instead of {wanted}"
        for operation, row in permission_table.TABLE.items()
        for column, wanted in row.items()
        if cell(TABLE[Operation(operation)].get(Column(column))) != wanted
    ]


def test_the_table_equals_that_of_the_specification() -> None:
    assert differences() == []


def test_the_comparison_finds_a_changed_cell() -> None:
    row = TABLE[Operation.TOKEN_REVEAL]
    row[Column.OPERATOR] = Grant(Scope.ALL)
    try:
        assert differences() == ["token.reveal operator: A instead of -"]
    finally:
        del row[Column.OPERATOR]


def test_auditors_write_nothing_and_central_people_see_no_tokens_or_manifest_bodies() -> None:
    granted = {operation for operation, row in TABLE.items() if Column.AUDITOR in row}
    assert granted <= READING
    for operation in (Operation.TOKEN_REVEAL, Operation.MANIFEST_BODY, Operation.ACTIVATE):
        assert not {Column.APPROVER, Column.OPERATOR, Column.AUDITOR, Column.USER_ADMIN, Column.CUSTODIAN} & set(TABLE[operation])


def test_an_operation_without_a_grant_in_the_table_is_denied() -> None:
    nobody = Actor()
    assert columns(nobody) == ()
    assert all(not grants(nobody, operation) for operation in Operation)
    without_role = Actor(organisation_id=uuid7(), organisation_kind=OrganisationKind.REGENCY_OFFICE, user_id=uuid7())
    assert all(not grants(without_role, operation) for operation in Operation)
    head = Actor(organisation_kind=OrganisationKind.REGENCY_OFFICE, user_id=uuid7(), roles=frozenset({Role.HEAD}))
    staff = Actor(organisation_kind=OrganisationKind.REGENCY_OFFICE, user_id=uuid7(), roles=frozenset({Role.STAFF}))
    assert grants(head, Operation.USERS_OWN)
    assert not grants(staff, Operation.USERS_OWN)


def key(kind: OrganisationKind, *scopes: KeyScope) -> Actor:
    """Return a program with these scopes, or with all."""
    return Actor(organisation_id=uuid7(), organisation_kind=kind, api_key_id=uuid7(), scopes=frozenset(scopes or KeyScope))


def test_every_operation_of_keys_is_in_exactly_one_scope_and_no_scope_opens_another() -> None:
    opened = sorted(operation for operations in SCOPES.values() for operation in operations)
    assert opened == sorted(operation for operation, row in TABLE.items() if Column.KEY in row)
    assert set(SCOPES) == set(KeyScope)


def test_a_key_may_do_only_what_its_scopes_open() -> None:
    for kind in (OrganisationKind.REGENCY_OFFICE, OrganisationKind.INSTITUTION, OrganisationKind.MANUFACTURER):
        for scope in KeyScope:
            mine = {operation for operation in TABLE if grants(key(kind, scope), operation)}
            assert mine == {operation for operation in SCOPES[scope] if grants(key(kind), operation)}
            assert bool(mine) == (scope in scopes_for(kind))
    reader = key(OrganisationKind.REGENCY_OFFICE, KeyScope.READ)
    assert missing_scope(reader, Operation.CARD_REPORT) is KeyScope.REPORTS
    assert missing_scope(reader, Operation.DESTRUCTION_RECORD) is None  # no key may do that, whatever its scopes


def test_a_key_may_do_only_what_a_person_of_its_organisation_may_do() -> None:
    for operation in (Operation.UNIT_REGISTER, Operation.ACTIVATION_DRAFT, Operation.ACTIVATE):
        assert grants(key(OrganisationKind.REGENCY_OFFICE), operation)
        assert not grants(key(OrganisationKind.MANUFACTURER), operation)
    assert not grants(key(OrganisationKind.INSTITUTION), Operation.PERSONALISATION_DRAFT)


@pytest.mark.parametrize("operation", [o for o in Operation if o not in (Operation.PUBLIC, Operation.SELF, Operation.SESSION_SELF)])
def test_every_operation_has_a_row_in_the_table(operation: Operation) -> None:
    assert operation in permissions.TABLE
