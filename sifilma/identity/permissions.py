"""Who may do what: the permission table of docs/domain.md as data.

What the table does not grant is denied. The request gate (`sifilma/sign_in/request_gate.py`) asks it for every route.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sifilma.kernel.actor import Actor, KeyScope, OrganisationKind, Role


class Operation(StrEnum):
    """Every operation a route can name.

    `public` needs no sign-in, `self` any signed-in person or API key, `session.self` a signed-in person.
    """

    PUBLIC = "public"
    SELF = "self"
    SESSION_SELF = "session.self"
    USERS_CENTRAL = "users.central"
    USERS_OWN = "users.own"
    USERS_SEE = "users.see"
    USERS_FACTOR = "users.factor"
    USERS_SUCCESSION = "users.succession"
    HEADS_SEE = "heads.see"
    ACCESS_SEE = "access.see"
    ACCESS_REVIEW = "access.review"
    MESSAGES_SEE = "messages.see"
    MESSAGES_SEND = "messages.send"
    API_KEYS = "api_keys"
    API_KEYS_SEE = "api_keys.see"
    REFERENCE_READ = "reference.read"
    REFERENCE_PROPOSALS_VIEW = "reference.proposals.view"
    REFERENCE_DRAFT = "reference.draft"
    REFERENCE_EXECUTE = "reference.execute"
    MODEL_VIEW = "model.view"
    MODEL_CASE_VIEW = "model.case.view"
    MODEL_APPLY = "model.apply"
    MODEL_CASE = "model.case"
    MODEL_RETURN = "model.return"
    MODEL_CERTIFY = "model.certify"
    UNIT_REGISTER = "unit.register"
    UNIT_SUPPLY = "unit.supply"
    UNIT_READ = "unit.read"
    UNIT_CONDITION = "unit.condition"
    UNIT_CORRECT = "unit.correct"
    UNIT_CORRECT_DECIDE = "unit.correct.decide"
    OUTLET_SEE = "outlet.see"
    OUTLET_KEEP = "outlet.keep"
    UNIT_KEY_PROPOSE = "unit.key.propose"
    UNIT_KEY_DECIDE = "unit.key.decide"
    PERSONALISATION_DRAFT = "personalisation.draft"
    PERSONALISATION_SUBMIT = "personalisation.submit"
    PERSONALISATION_VIEW = "personalisation.view"
    PERSONALISATION_VERIFY = "personalisation.verify"
    PERSONALISATION_RETURN = "personalisation.return"
    PERSONALISATION_APPROVE = "personalisation.approve"
    PERSONALISATION_CLOSE = "personalisation.close"
    PERSONALISE = "personalise"
    BLANK_SEE = "blank.see"
    BLANK_RECORD = "blank.record"
    HANDOVER_VIEW = "handover.view"
    HANDOVER_ISSUE = "handover.issue"
    HANDOVER_RECEIVE = "handover.receive"
    ACTIVATION_DRAFT = "activation_request.draft"
    ACTIVATION_SUBMIT = "activation_request.submit"
    ACTIVATION_VIEW = "activation_request.view"
    ACTIVATION_VERIFY = "activation_request.verify"
    ACTIVATION_RETURN = "activation_request.return"
    ACTIVATION_APPROVE = "activation_request.approve"
    TOKEN_SEE = "token.see"  # noqa: S105
    TOKEN_REVEAL = "token.reveal"  # noqa: S105
    ACTIVATE = "activate"
    MANIFEST_VIEW = "manifest.view"
    MANIFEST_BODY = "manifest.body"
    MANIFEST_PROPOSE = "manifest.propose"
    MANIFEST_REVOKE = "manifest.revoke"
    CARD_VIEW = "card.view"
    CARD_REPORT = "card.report"
    CARD_REPORT_DECIDE = "card.report.decide"
    DESTRUCTION_VIEW = "destruction.view"
    DESTRUCTION_PROPOSE = "destruction.propose"
    DESTRUCTION_APPROVE = "destruction.approve"
    DESTRUCTION_RECORD = "destruction.record"
    DESTRUCTION_VERIFY = "destruction.verify"
    CONVERSATION_READ = "conversation.read"
    CONVERSATION_WRITE = "conversation.write"
    WORK_ASSIGN = "work.assign"
    JOB_SEE = "job.see"
    JOB_CANCEL = "job.cancel"
    CHORE_SEE = "chore.see"
    CHORE_RUN = "chore.run"
    RESTORE_SEE = "restore.see"
    RESTORE_DECIDE = "restore.decide"
    PLACE_REVIEW = "place.review"
    PLACE_SEE = "place.see"
    PLACE_SUSPENSION_SEE = "place.suspension.see"
    PLACE_SUSPENSION_DECIDE = "place.suspension.decide"
    AUDIT_READ = "audit.read"
    AUDIT_VERIFY = "audit.verify"
    AUDIT_EXPORT = "audit.export"
    FAILURE_SEE = "failure.see"
    CLOCK_ACCEPT = "clock.accept"
    KEYS_HOLD = "keys.hold"


class Scope(StrEnum):
    """How far a grant reaches: all rows, the own jurisdiction, the own organisation, or rows linked by a batch."""

    ALL = "A"
    JURISDICTION = "J"
    OWN = "O"
    LINKED = "L"


class Column(StrEnum):
    """The columns of the table: central roles, kinds of organisation, API keys."""

    APPROVER = "approver"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    USER_ADMIN = "user_admin"
    CUSTODIAN = "custodian"
    MANUFACTURER = "manufacturer"
    REGENCY = "regency"
    PROVINCE = "province"
    INSTITUTION = "institution"
    KEY = "key"


@dataclass(frozen=True)
class Grant:
    """One cell of the table.

    `fresh`: needs a fresh one-time code (`!`). `head`: only for the head of an organisation (`h`). `people`: for no API key of it (`p`).
    """

    scope: Scope
    fresh: bool = False
    head: bool = False
    people: bool = False


_COLUMNS = tuple(Column)

# Cells in the order of Column: `-` is never, a letter is a Scope, `!` needs a fresh code, `h` is for the head only, `p` for
# people and no key of the organisation. The order is:
# approver operator auditor user_admin custodian | manufacturer regency province institution | key
_TABLE: dict[Operation, str] = {
    Operation.USERS_CENTRAL: "-  -  -  A! -   -  -  -  -   -",
    Operation.USERS_OWN: "-  -  -  -  -   Oh! Oh! Oh! Oh!  -",
    Operation.USERS_SEE: "-  -  -  A  -   Oh  Oh  Oh  Oh   -",
    Operation.USERS_FACTOR: "-  -  -  A! -   Oh! Oh! Oh! Oh!  -",
    Operation.USERS_SUCCESSION: "-  -  -  A! -   Oh! Oh! Oh! Oh! -",
    Operation.HEADS_SEE: "A  A  A  A  -   -  -  J  -   -",
    Operation.ACCESS_SEE: "-  -  A  A  -   Oh  Oh  Oh  Oh   -",
    Operation.ACCESS_REVIEW: "-  -  -  A! -   Oh! Oh! Oh! Oh!  -",
    Operation.MESSAGES_SEE: "-  -  -  A  -   Oh  Oh  Oh  Oh   -",
    Operation.MESSAGES_SEND: "-  -  -  A  -   Oh  Oh  Oh  Oh   -",
    Operation.API_KEYS: "-  -  -  -  -   Oh! Oh! Oh! Oh!  -",
    Operation.API_KEYS_SEE: "-  -  -  -  -   Oh  Oh  Oh  Oh   -",
    Operation.REFERENCE_READ: "A  A  A  A  A   A  A  A  A   A",
    Operation.REFERENCE_PROPOSALS_VIEW: "A A  A  -  -   -  -  -  -   -",
    Operation.REFERENCE_DRAFT: "-  A  -  -  -   -  -  -  -   -",
    Operation.REFERENCE_EXECUTE: "A! -  -  -  -   -  -  -  -   -",
    Operation.MODEL_VIEW: "A  A  A  -  -   O  A  A  A   -",
    Operation.MODEL_CASE_VIEW: "A  A  A  -  -   O  -  -  -   -",
    Operation.MODEL_APPLY: "-  -  -  -  -   O  -  -  -   -",
    Operation.MODEL_CASE: "-  A  -  -  -   -  -  -  -   -",
    Operation.MODEL_RETURN: "A! A  -  -  -   -  -  -  -   -",
    Operation.MODEL_CERTIFY: "A! -  -  -  -   -  -  -  -   -",
    Operation.UNIT_REGISTER: "-  -  -  -  -   -  O  O  O   O",
    Operation.UNIT_SUPPLY: "-  -  -  -  -   L  O  O  O   O",
    Operation.UNIT_READ: "A  A  A  -  -   L  O  J  O   O",
    Operation.UNIT_CONDITION: "-  -  -  -  -   -  O  O  O  -",
    Operation.UNIT_CORRECT: "-  -  -  -  -   -  O  O  O  -",
    Operation.UNIT_CORRECT_DECIDE: "-  -  -  -  -   -  O! O! O!  -",
    Operation.OUTLET_SEE: "A  A  A  -  -   -  O  J  O   O",
    Operation.OUTLET_KEEP: "-  -  -  -  -   -  O  O  O   O",
    Operation.UNIT_KEY_PROPOSE: "-  -  -  -  -   L! O! O! O!  O",
    Operation.UNIT_KEY_DECIDE: "-  -  -  -  -   -  O! O! O!  -",
    Operation.PERSONALISATION_DRAFT: "-  -  -  -  -   L  O  O  Op  L",
    Operation.PERSONALISATION_SUBMIT: "-  -  -  -  -   L  O  O  O   -",
    Operation.PERSONALISATION_VIEW: "A  A  A  -  -   L  O  J  L   L",
    Operation.PERSONALISATION_VERIFY: "-  A  -  -  -   -  -  -  -   -",
    Operation.PERSONALISATION_RETURN: "A! A  -  -  -   -  -  -  -   -",
    Operation.PERSONALISATION_APPROVE: "A! -  -  -  -   -  -  -  -   -",
    Operation.PERSONALISATION_CLOSE: "A! A -  -  -   L  O  O  -   -",
    Operation.PERSONALISE: "-  A  -  -  -   -  -  -  -   -",
    Operation.BLANK_SEE: "A  A  A  -  -   -  -  -  -   -",
    Operation.BLANK_RECORD: "-  A  -  -  -   -  -  -  -   -",
    Operation.HANDOVER_VIEW: "A  A  A  -  -   L  O  J  O   -",
    Operation.HANDOVER_ISSUE: "-  A  -  -  -   L  O  O  O   -",
    Operation.HANDOVER_RECEIVE: "-  A  -  -  -   L  O  O  O   -",
    Operation.ACTIVATION_DRAFT: "-  -  -  -  -   -  O  O  O   O",
    Operation.ACTIVATION_SUBMIT: "-  -  -  -  -   -  O  O  O   -",
    Operation.ACTIVATION_VIEW: "A  A  A  -  -   -  O  J  O   O",
    Operation.ACTIVATION_VERIFY: "-  A  -  -  -   -  -  -  -   -",
    Operation.ACTIVATION_RETURN: "A! A  -  -  -   -  -  -  -   -",
    Operation.ACTIVATION_APPROVE: "A! -  -  -  -   -  -  -  -   -",
    Operation.TOKEN_SEE: "A  A  A  -  -   -  O  O  O   O",
    Operation.TOKEN_REVEAL: "-  -  -  -  -   -  O! O! O!  -",
    Operation.ACTIVATE: "-  -  -  -  -   -  O! O! O!  O",
    Operation.MANIFEST_VIEW: "A  A  A  -  -   -  O  O  O   O",
    Operation.MANIFEST_BODY: "-  -  -  -  -   -  O! O! O!  O",
    Operation.MANIFEST_PROPOSE: "-  A  -  -  -   -  -  J  -   -",
    Operation.MANIFEST_REVOKE: "A! A  -  -  -   -  -  -  -   -",
    Operation.CARD_VIEW: "A  A  A  -  -   L  O  J  O   O",
    Operation.CARD_REPORT: "-  A  -  -  -   L  O  O  O   O",
    Operation.CARD_REPORT_DECIDE: "-  A! -  -  -   O! O! O! O!  -",
    Operation.DESTRUCTION_VIEW: "A  A  A  -  -   O  O  J  O   -",
    Operation.DESTRUCTION_PROPOSE: "-  A  -  -  -   O  O  O  O   -",
    Operation.DESTRUCTION_APPROVE: "A! -  -  -  -   -  -  -  -   -",
    Operation.DESTRUCTION_RECORD: "-  O! -  -  -   O! O! O! O!  -",
    Operation.DESTRUCTION_VERIFY: "-  A  -  -  -   -  -  -  -   -",
    Operation.CONVERSATION_READ: "A  A  A  -  -   O  O  O  O   -",
    Operation.CONVERSATION_WRITE: "A  A  -  -  -   O  O  O  O   -",
    Operation.WORK_ASSIGN: "A  A  -  -  -   -  -  -  -   -",
    Operation.JOB_SEE: "-  A  -  -  -   O  O  O  O   O",
    Operation.JOB_CANCEL: "-  A  -  -  -   O  O  O  O   -",
    Operation.CHORE_SEE: "-  A  A  -  -   -  -  -  -   -",
    Operation.CHORE_RUN: "-  A  -  -  -   -  -  -  -   -",
    Operation.RESTORE_SEE: "A  A  A  -  -   -  -  -  -   -",
    Operation.RESTORE_DECIDE: "A! A! -  -  -   -  -  -  -   -",
    Operation.PLACE_REVIEW: "-  A  -  -  -   -  -  -  -   -",
    Operation.PLACE_SEE: "-  A  A  -  -   -  -  -  -   -",
    Operation.PLACE_SUSPENSION_SEE: "A A  A  -  -   -  O  J  O   -",
    Operation.PLACE_SUSPENSION_DECIDE: "A! - -  -  -   -  -  -  -   -",
    Operation.AUDIT_READ: "O  O  A  -  -   O  O  J  O   -",
    Operation.AUDIT_VERIFY: "-  -  A! -  -   -  -  -  -   -",
    Operation.AUDIT_EXPORT: "-  -  A! -  -   O  O  J  O   -",
    Operation.FAILURE_SEE: "-  A  A  A  -   -  -  -  -   -",
    Operation.CLOCK_ACCEPT: "A! A! -  A! -   -  -  -  -   -",
    Operation.KEYS_HOLD: "-  -  -  -  A!  -  -  -  -   -",
}


def _cell(text: str) -> Grant | None:
    return None if text == "-" else Grant(Scope(text[0]), fresh="!" in text, head="h" in text, people="p" in text)


TABLE: dict[Operation, dict[Column, Grant]] = {
    operation: {column: grant for column, text in zip(_COLUMNS, row.split(), strict=True) if (grant := _cell(text))}
    for operation, row in _TABLE.items()
}

CENTRAL_ROLES = (Role.APPROVER, Role.OPERATOR, Role.AUDITOR, Role.USER_ADMIN, Role.CUSTODIAN)
_KIND_COLUMN = {
    OrganisationKind.MANUFACTURER: Column.MANUFACTURER,
    OrganisationKind.REGENCY_OFFICE: Column.REGENCY,
    OrganisationKind.PROVINCE_OFFICE: Column.PROVINCE,
    OrganisationKind.INSTITUTION: Column.INSTITUTION,
}


SCOPES: dict[KeyScope, frozenset[Operation]] = {
    KeyScope.READ: frozenset(
        {
            Operation.REFERENCE_READ,
            Operation.UNIT_READ,
            Operation.OUTLET_SEE,
            Operation.PERSONALISATION_VIEW,
            Operation.ACTIVATION_VIEW,
            Operation.TOKEN_SEE,
            Operation.MANIFEST_VIEW,
            Operation.CARD_VIEW,
            Operation.JOB_SEE,
        }
    ),
    KeyScope.UNITS: frozenset({Operation.UNIT_REGISTER, Operation.UNIT_SUPPLY, Operation.OUTLET_KEEP, Operation.UNIT_KEY_PROPOSE}),
    KeyScope.BATCHES: frozenset({Operation.PERSONALISATION_DRAFT}),
    KeyScope.REQUESTS: frozenset({Operation.ACTIVATION_DRAFT}),
    KeyScope.ACTIVATIONS: frozenset({Operation.ACTIVATE}),
    KeyScope.MANIFESTS: frozenset({Operation.MANIFEST_BODY}),
    KeyScope.REPORTS: frozenset({Operation.CARD_REPORT}),
}
"""What each scope of an API key opens, of what the column `key` grants. Every operation of that column is in exactly one scope."""


AT_OUTLETS = frozenset(
    {
        Operation.REFERENCE_READ,
        Operation.MODEL_VIEW,
        Operation.OUTLET_SEE,
        Operation.UNIT_READ,
        Operation.UNIT_CONDITION,
        Operation.CARD_VIEW,
        Operation.CARD_REPORT,
        Operation.ACTIVATION_DRAFT,
        Operation.ACTIVATION_SUBMIT,
        Operation.ACTIVATION_VIEW,
        Operation.TOKEN_SEE,
        Operation.TOKEN_REVEAL,
        Operation.ACTIVATE,
        Operation.MANIFEST_VIEW,
        Operation.MANIFEST_BODY,
        Operation.PLACE_SUSPENSION_SEE,
        Operation.CONVERSATION_READ,
        Operation.CONVERSATION_WRITE,
        Operation.JOB_SEE,
        Operation.JOB_CANCEL,
    }
)
"""What an account that is limited to outlets may do, with the units, cards and activation requests there, and nothing else."""


def scopes_for(kind: str) -> tuple[KeyScope, ...]:
    """Return the scopes that open anything for a key of an organisation of this kind."""
    of = OrganisationKind(kind)
    return tuple(scope for scope, operations in SCOPES.items() if any(_is_for_keys(of, operation) for operation in operations))


def _is_for_keys(kind: OrganisationKind | None, operation: Operation) -> bool:
    """Return whether an organisation of this kind may do it, and not by its people alone."""
    grant = TABLE.get(operation, {}).get(_KIND_COLUMN[kind]) if kind in _KIND_COLUMN else None
    return grant is not None and not grant.people


def missing_scope(actor: Actor, operation: Operation) -> KeyScope | None:
    """Return the scope that an API key lacks for an operation. None for people, and for what no key of the organisation may do."""
    if actor.api_key_id is None or not _grants(actor, operation):
        return None
    return next((scope for scope, opened in SCOPES.items() if operation in opened and scope not in actor.scopes), None)


def columns(actor: Actor) -> tuple[Column, ...]:
    """Return the columns that apply to an actor: several for a central person, one for everybody else."""
    if actor.api_key_id is not None:
        return (Column.KEY,)
    if actor.organisation_kind is OrganisationKind.DIRECTORATE:
        return tuple(Column(role.value) for role in sorted(actor.roles) if role in CENTRAL_ROLES)
    if actor.organisation_kind is None or not actor.roles:
        return ()
    return (_KIND_COLUMN[actor.organisation_kind],)


def grants(actor: Actor, operation: Operation) -> tuple[Grant, ...]:
    """Return the actor's grants of an operation; an empty result denies it.

    A key may not do what nobody of its organisation may, nor what none of its scopes opens. Nor may an account
    that is limited to outlets do what is not of them.
    """
    if actor.outlets is not None and operation not in AT_OUTLETS:
        return ()
    return () if missing_scope(actor, operation) else _grants(actor, operation)


def reach_of(actor: Actor, operation: Operation) -> frozenset[Scope]:
    """Return the scopes of the actor's grants of an operation, none if it is denied."""
    return frozenset(grant.scope for grant in grants(actor, operation))


def _grants(actor: Actor, operation: Operation) -> tuple[Grant, ...]:
    row = TABLE.get(operation, {})
    if actor.api_key_id is not None and not _is_for_keys(actor.organisation_kind, operation):
        return ()
    found = (row.get(column) for column in columns(actor))
    return tuple(grant for grant in found if grant and (not grant.head or Role.HEAD in actor.roles))
