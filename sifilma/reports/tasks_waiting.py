"""What waits for the actor, and what the actor waits for. Each kind of task is one select; all have the same columns, for UNION ALL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, String, cast, func, literal, null, or_, select

from sifilma.accounts import lost_factors
from sifilma.accounts.consents import orphaned_query, own_questions_query
from sifilma.accounts.models import FACTOR, AccountConsent, ConsentState, UserChange
from sifilma.accounts.proposals import PROPOSALS as USER_CHANGES
from sifilma.accounts.queries import users_query
from sifilma.activation import queries as activation
from sifilma.activation.manifests.revocation import PROPOSALS as REVOCATIONS
from sifilma.activation.models import (
    Activation,
    ActivationRequest,
    Manifest,
    RequestState,
    Revocation,
    Token,
    TokenState,
)
from sifilma.activation.requests.service import WAY as ACTIVATION
from sifilma.approvals.models import ProposalState
from sifilma.cards import key_changes, program_reports
from sifilma.cards.models import Card, CardReport, CardState, DeviceModel, ReportState, UnitKeyChange
from sifilma.destruction.models import Destruction, DestructionState
from sifilma.destruction.service import WAY as DESTRUCTION
from sifilma.destruction.service import destructions_query
from sifilma.handover.models import Handover, HandoverState
from sifilma.handover.service import handovers_query
from sifilma.identity.models import AccountState, ApiKey, Organisation, Person, User, holds
from sifilma.identity.permissions import Operation, grants
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.kernel.db import UtcDateTime
from sifilma.oversight.cases import OPEN, cases_query
from sifilma.oversight.cases import WAY as MODEL_CASE
from sifilma.oversight.models import CaseState, ModelCase, ReferenceChange
from sifilma.oversight.reference import PROPOSALS as REFERENCE
from sifilma.oversight.reference import changes_query
from sifilma.personalisation import service as personalisation
from sifilma.personalisation.models import PersonalisationRequest, PersonalisationState
from sifilma.personalisation.service import WAY as PERSONALISATION

Lines = Iterator[Select[Any]]
MAKING = (PersonalisationState.APPROVED, PersonalisationState.PERSONALISING)


def line_query(
    query: Select[Any], task: str, key: Any, title: Any, owner: Any, at: Any, count: Any = None, until: Any = None
) -> Select[Any]:
    """Return a select in the common columns: task, id, title, organisation, since when, count, deadline."""
    return query.with_only_columns(
        literal(task, String).label("task"),
        key.label("key"),
        title.label("title"),
        Organisation.name.label("organisation"),
        at.label("at"),
        (count if count is not None else literal(0, Integer)).label("count"),
        (until if until is not None else cast(null(), UtcDateTime)).label("until"),
    ).where(Organisation.id == owner)


def waiting(ctx: Context) -> Lines:
    """Yield what the actor has to do next."""
    yield from _about_me(ctx)
    yield from _approvals(ctx)
    yield from _looks(ctx)
    yield from _own_papers(ctx)
    yield from _cards(ctx)
    yield from _destructions(ctx)
    yield from _models(ctx)
    yield from _programs(ctx)
    if grants(ctx.actor, Operation.REFERENCE_EXECUTE):
        yield _reference(ctx, "decide_reference", REFERENCE.decidable(ctx))
    if grants(ctx.actor, Operation.USERS_CENTRAL):
        yield _user_change(ctx, "decide_user_change", _others(ctx), ~_of_heads(), lost_factors.may_decide(ctx))
    elif grants(ctx.actor, Operation.USERS_FACTOR):
        yield _user_change(ctx, "decide_user_change", _others(ctx), _of_heads(), lost_factors.may_decide(ctx))


def _about_me(ctx: Context) -> Lines:
    """Yield what others ask of the actor's person."""
    if ctx.actor.person_id is None:
        return
    asked = own_questions_query(ctx).where(AccountConsent.state == ConsentState.ASKED, User.id == AccountConsent.user_id)
    yield _consent(asked, "answer_consent")
    report = select(UserChange).where(
        UserChange.user_id == ctx.actor.user_id,
        UserChange.change == FACTOR,
        UserChange.state == ProposalState.PROPOSED,
        User.id == UserChange.user_id,
    )
    yield line_query(report, "object_to_report", UserChange.id, literal("", String), User.organisation_id, UserChange.proposed_at)
    if grants(ctx.actor, Operation.USERS_CENTRAL):
        yield _consent(orphaned_query(ctx).where(User.id == AccountConsent.user_id), "give_account")


def _consent(query: Select[Any], task: str) -> Select[Any]:
    at, until = AccountConsent.asked_at, AccountConsent.expires_at
    return line_query(query, task, AccountConsent.id, literal("", String), User.organisation_id, at, until=until)


def awaited(ctx: Context) -> Lines:
    """Yield what the actor waits for others to do."""
    own = ctx.actor.organisation_id
    if not ctx.actor.is_central:
        mine = personalisation.requests_query(ctx).where(PersonalisationRequest.requester_id == own)
        yield _personalisation(
            mine.where(PersonalisationRequest.state == PersonalisationState.SUBMITTED),
            "personalisation_submitted",
            PersonalisationRequest.submitted_at,
        )
        yield _personalisation(
            mine.where(PersonalisationRequest.state.in_(MAKING)), "personalisation_running", PersonalisationRequest.changed_at
        )
        yield _activation(_own_activation(ctx, RequestState.SUBMITTED), "activation_submitted", ActivationRequest.submitted_at)
        yield _made(ctx, "bast_awaited", PersonalisationRequest.requester_id == own, Card.state == CardState.PERSONALISED)
        yield _destruction(_own_destruction(ctx, DestructionState.PROPOSED), "destruction_proposed")
        yield _destruction(_own_destruction(ctx, DestructionState.EXECUTED), "destruction_executed")
        yield _case(cases_query(ctx).where(ModelCase.state.in_(OPEN)), "model_case_open")
    yield _handover(ctx, "handover_issued", Handover.issuer_id == own, Handover.receiver_id)
    if grants(ctx.actor, Operation.UNIT_KEY_PROPOSE):
        yield _unit_keys(ctx, "unit_keys_proposed", key_changes.PROPOSALS.own(ctx))
    yield from _awaited_people(ctx)


def _awaited_people(ctx: Context) -> Lines:
    """Yield what awaits a second approver, a decision on one's own proposal, or the acceptance of an invitation."""
    if grants(ctx.actor, Operation.PERSONALISATION_APPROVE):
        asked = _personalisation_approvals(ctx, PERSONALISATION.awaits_another(ctx))
        yield _personalisation(asked, "personalisation_second", PersonalisationRequest.submitted_at)
        yield _activation(_activation_approvals(ctx, ACTIVATION.awaits_another(ctx)), "activation_second", ActivationRequest.submitted_at)
    if grants(ctx.actor, Operation.MANIFEST_REVOKE):
        yield _revocation(ctx, "revocation_proposed", REVOCATIONS.own(ctx))
    if grants(ctx.actor, Operation.REFERENCE_DRAFT):
        yield _reference(ctx, "reference_proposed", REFERENCE.own(ctx))
    if grants(ctx.actor, Operation.USERS_FACTOR):
        yield _user_change(ctx, "user_change_proposed", USER_CHANGES.own(ctx))
    if grants(ctx.actor, Operation.USERS_SEE):
        invited = users_query(ctx).where(User.state == AccountState.INVITED, Person.id == User.person_id)
        yield line_query(invited, "invitation_open", User.id, Person.name, User.organisation_id, User.created_at)


# --- decisions of central people -------------------------------------------------------------------------------------


def _approvals(ctx: Context) -> Lines:
    if grants(ctx.actor, Operation.PERSONALISATION_APPROVE):
        yield _personalisation(
            _personalisation_approvals(ctx, PERSONALISATION.approvable(ctx)), "approve_personalisation", PersonalisationRequest.submitted_at
        )
    if grants(ctx.actor, Operation.ACTIVATION_APPROVE):
        yield _activation(_activation_approvals(ctx, ACTIVATION.approvable(ctx)), "approve_activation", ActivationRequest.submitted_at)
    if grants(ctx.actor, Operation.DESTRUCTION_APPROVE):
        proposed = destructions_query(ctx, Operation.DESTRUCTION_APPROVE).where(DESTRUCTION.approvable(ctx))
        yield _destruction(proposed, "approve_destruction")
    if Role.APPROVER in ctx.actor.roles:
        yield _revocation(ctx, "decide_revocation", REVOCATIONS.decidable(ctx))


def _personalisation_approvals(ctx: Context, which: ColumnElement[bool]) -> Select[Any]:
    return personalisation.requests_query(ctx, Operation.PERSONALISATION_APPROVE).where(which)


def _activation_approvals(ctx: Context, which: ColumnElement[bool]) -> Select[Any]:
    return activation.requests_query(ctx, Operation.ACTIVATION_APPROVE).where(which)


def _looks(ctx: Context) -> Lines:
    """Yield what an operator checks or records."""
    if grants(ctx.actor, Operation.PERSONALISATION_VERIFY):
        query = personalisation.requests_query(ctx, Operation.PERSONALISATION_VERIFY)
        yield _personalisation(query.where(PERSONALISATION.verifiable()), "verify_personalisation", PersonalisationRequest.submitted_at)
    if grants(ctx.actor, Operation.ACTIVATION_VERIFY):
        asked = activation.requests_query(ctx, Operation.ACTIVATION_VERIFY)
        yield _activation(asked.where(ACTIVATION.verifiable()), "verify_activation", ActivationRequest.submitted_at)
    if grants(ctx.actor, Operation.PERSONALISE):
        made = personalisation.requests_query(ctx, Operation.PERSONALISE).where(PersonalisationRequest.state.in_(MAKING))
        yield _personalisation(made, "record_results", PersonalisationRequest.changed_at)
    if grants(ctx.actor, Operation.PLACE_REVIEW):
        doubted = activation.activations_query(ctx, Operation.PLACE_REVIEW).where(Activation.review_state == "waiting")
        doubted = doubted.where(Card.id == Activation.card_id)
        yield line_query(doubted, "review_place", Activation.id, Card.uid, Activation.organisation_id, Activation.at)


# --- papers and cards of one's own organisation ----------------------------------------------------------------------


def _own_papers(ctx: Context) -> Lines:
    if grants(ctx.actor, Operation.PERSONALISATION_SUBMIT):
        mine = personalisation.requests_query(ctx, Operation.PERSONALISATION_SUBMIT).where(
            PersonalisationRequest.requester_id == ctx.actor.organisation_id
        )
        yield _personalisation(
            mine.where(PersonalisationRequest.state == PersonalisationState.RETURNED),
            "mend_personalisation",
            PersonalisationRequest.changed_at,
        )
        yield _personalisation(
            mine.where(PersonalisationRequest.state == PersonalisationState.DRAFT),
            "submit_personalisation",
            PersonalisationRequest.changed_at,
        )
    if grants(ctx.actor, Operation.ACTIVATION_SUBMIT):
        yield _activation(_own_activation(ctx, RequestState.RETURNED), "mend_activation", ActivationRequest.changed_at)
        yield _activation(_own_activation(ctx, RequestState.DRAFT), "submit_activation", ActivationRequest.changed_at)


def _own_activation(ctx: Context, state: RequestState) -> Select[Any]:
    return activation.requests_query(ctx).where(
        ActivationRequest.organisation_id == ctx.actor.organisation_id, ActivationRequest.state == state
    )


def _cards(ctx: Context) -> Lines:
    own = ctx.actor.organisation_id
    if grants(ctx.actor, Operation.HANDOVER_RECEIVE):
        yield _handover(ctx, "receive_handover", Handover.receiver_id == own, Handover.issuer_id)
    if grants(ctx.actor, Operation.HANDOVER_ISSUE):
        ready = CardState.PERSONALISED if ctx.actor.is_central else CardState.RECEIVED
        yield _made(ctx, "issue_handover", Card.holder_id == own, Card.buyer_id != own, Card.state == ready)
    if grants(ctx.actor, Operation.ACTIVATE):
        issued = scoped(select(Token), ctx.actor, Operation.ACTIVATE, Token.organisation_id).where(Token.state == TokenState.ISSUED)
        yield tokens_query(
            issued.where(Token.expires_at > ctx.now), "activate", func.min(ActivationRequest.changed_at), func.min(Token.expires_at)
        )


def tokens_query(query: Select[Any], task: str, at: Any, until: Any = None) -> Select[Any]:
    """Return tokens, grouped by their requests."""
    grouped = query.where(ActivationRequest.id == Token.activation_request_id).group_by(
        ActivationRequest.id, ActivationRequest.letter_number, Organisation.name
    )
    return line_query(
        grouped,
        task,
        ActivationRequest.id,
        ActivationRequest.letter_number,
        ActivationRequest.organisation_id,
        at,
        func.count(Token.id),
        until,
    )


def _programs(ctx: Context) -> Lines:
    """Yield what programs reported or sent, and public keys that another person proposed."""
    if grants(ctx.actor, Operation.CARD_REPORT_DECIDE):
        reported = program_reports.reports_query(ctx, Operation.CARD_REPORT_DECIDE).where(CardReport.state == ReportState.PENDING)
        reported = reported.where(Card.id == CardReport.card_id)
        yield line_query(reported, "decide_report", CardReport.id, Card.uid, CardReport.organisation_id, CardReport.reported_at)
    if grants(ctx.actor, Operation.UNIT_KEY_DECIDE):
        yield _unit_keys(ctx, "decide_unit_keys", key_changes.decidable(ctx))


def _unit_keys(ctx: Context, task: str, which: ColumnElement[bool]) -> Select[Any]:
    """Return a select of proposals of public keys, with the organisation that proposed."""
    query = key_changes.changes_query(ctx).where(which)
    change = UnitKeyChange
    return line_query(query, task, change.id, literal("", String), change.by_organisation_id, change.changed_at)


def keys_query(ctx: Context, days: tuple[int, ...]) -> Select[Any]:
    """Return a select of the API keys of the actor's organisation that count and expire within the largest of these days."""
    soon = ctx.now + timedelta(days=max(days, default=0))
    mine = scoped(select(ApiKey), ctx.actor, Operation.API_KEYS, ApiKey.organisation_id).where(
        ApiKey.revoked_at.is_(None), ApiKey.expires_at > ctx.now, ApiKey.expires_at <= soon
    )
    return line_query(mine, "api_key_ends", ApiKey.id, ApiKey.name, ApiKey.organisation_id, ApiKey.expires_at)


def _made(ctx: Context, task: str, *conditions: ColumnElement[bool]) -> Select[Any]:
    """Return cards, grouped by the request they were made for, with the organisation they go to."""
    to = (
        PersonalisationRequest.requester_id
        if ctx.actor.organisation_kind is OrganisationKind.DIRECTORATE
        else PersonalisationRequest.buyer_id
    )
    query = (
        select(Card)
        .where(PersonalisationRequest.id == Card.personalisation_request_id, *conditions)
        .group_by(PersonalisationRequest.id, PersonalisationRequest.letter_number, Organisation.name)
    )
    return line_query(
        query, task, PersonalisationRequest.id, PersonalisationRequest.letter_number, to, func.min(Card.changed_at), func.count(Card.id)
    )


def _destructions(ctx: Context) -> Lines:
    me = ctx.actor.person_id
    if grants(ctx.actor, Operation.DESTRUCTION_RECORD):
        yield _destruction(_own_destruction(ctx, DestructionState.APPROVED), "record_destruction")
    if grants(ctx.actor, Operation.DESTRUCTION_VERIFY):
        done = destructions_query(ctx, Operation.DESTRUCTION_VERIFY).where(Destruction.state == DestructionState.EXECUTED)
        others = done.where(
            Destruction.submitted_by_person != me, or_(Destruction.recorded_by_person.is_(None), Destruction.recorded_by_person != me)
        )
        yield _destruction(others, "verify_destruction")


def _own_destruction(ctx: Context, state: DestructionState) -> Select[Any]:
    return destructions_query(ctx).where(Destruction.organisation_id == ctx.actor.organisation_id, Destruction.state == state)


def _models(ctx: Context) -> Lines:
    """Yield applications for models that wait for an operator or an approver."""
    if grants(ctx.actor, Operation.MODEL_CASE):
        mine = cases_query(ctx, Operation.MODEL_CASE)
        yield _case(mine.where(ModelCase.state == CaseState.APPLIED), "admit_model")
        yield _case(mine.where(ModelCase.state == CaseState.APPROVED_TO_TEST), "record_certificate")
        yield _case(mine.where(ModelCase.state == CaseState.CERTIFIED), "report_certificate")
    if grants(ctx.actor, Operation.MODEL_CERTIFY):
        yield _case(cases_query(ctx, Operation.MODEL_CERTIFY).where(MODEL_CASE.approvable(ctx)), "certify_model")


# --- lines of each kind ----------------------------------------------------------------------------------------------


def _personalisation(query: Select[Any], task: str, at: Any) -> Select[Any]:
    return line_query(
        query,
        task,
        PersonalisationRequest.id,
        PersonalisationRequest.letter_number,
        PersonalisationRequest.requester_id,
        at,
        PersonalisationRequest.quantity,
    )


def _activation(query: Select[Any], task: str, at: Any) -> Select[Any]:
    return line_query(
        query,
        task,
        ActivationRequest.id,
        ActivationRequest.letter_number,
        ActivationRequest.organisation_id,
        at,
        ActivationRequest.machines,
    )


def _handover(ctx: Context, task: str, mine: ColumnElement[bool], other: Any) -> Select[Any]:
    return line_query(
        handovers_query(ctx).where(mine, Handover.state == HandoverState.ISSUED),
        task,
        Handover.id,
        Handover.number,
        other,
        Handover.issued_at,
    )


def _destruction(query: Select[Any], task: str) -> Select[Any]:
    return line_query(
        query, task, Destruction.id, func.coalesce(Destruction.number, ""), Destruction.organisation_id, Destruction.changed_at
    )


def _revocation(ctx: Context, task: str, who: ColumnElement[bool]) -> Select[Any]:
    query = scoped(select(Revocation), ctx.actor, Operation.MANIFEST_REVOKE, Manifest.organisation_id)
    query = query.where(who, Manifest.id == Revocation.manifest_id, Card.id == Manifest.card_id)
    return line_query(query, task, Manifest.id, Card.uid, Manifest.organisation_id, Revocation.proposed_at)


def _others(ctx: Context) -> ColumnElement[bool]:
    """Return the condition of proposals that the actor may decide, and that are not about themselves."""
    return USER_CHANGES.decidable(ctx) & (User.person_id != ctx.actor.person_id)


def _of_heads() -> ColumnElement[bool]:
    """Return the condition of proposals that a head decides.

    A second factor of a member of staff is lost, and the organisation has another head than the one who reported it.
    """
    of_staff = (Organisation.kind != OrganisationKind.DIRECTORATE) & ~holds(User, Role.HEAD)
    return (UserChange.change == FACTOR) & of_staff & lost_factors.other_head()


def _user_change(ctx: Context, task: str, *who: ColumnElement[bool]) -> Select[Any]:
    query = scoped(select(UserChange), ctx.actor, Operation.USERS_FACTOR, User.organisation_id)
    query = query.where(*who, User.id == UserChange.user_id, Person.id == User.person_id)
    return line_query(query, task, User.id, Person.name, User.organisation_id, UserChange.proposed_at)


def _case(query: Select[Any], task: str) -> Select[Any]:
    named = query.where(DeviceModel.id == ModelCase.model_id)
    return line_query(named, task, ModelCase.id, DeviceModel.name, ModelCase.organisation_id, ModelCase.changed_at)


def _reference(ctx: Context, task: str, who: ColumnElement[bool]) -> Select[Any]:
    """Return a select of proposed reference data, with the proposer's organisation."""
    query = changes_query(ctx).where(who, User.id == ReferenceChange.changed_by)
    return line_query(query, task, ReferenceChange.id, literal("", String), User.organisation_id, ReferenceChange.proposed_at)
