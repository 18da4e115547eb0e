"""What waits for somebody, and what somebody waits for: one select a kind of work, all of the same columns, so that they make one list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, String, cast, exists, func, literal, null, or_, select

from sifilma.accounts import lost_factors
from sifilma.accounts.queries import users_query
from sifilma.activation import queries as activation
from sifilma.activation.models import (
    Activation,
    ActivationApproval,
    ActivationRequest,
    Manifest,
    RequestState,
    Revocation,
    Token,
    TokenState,
)
from sifilma.cards.models import Card, CardState, DeviceModel
from sifilma.destruction.models import Destruction, DestructionState
from sifilma.destruction.service import destructions_query
from sifilma.handover.models import Handover, HandoverState
from sifilma.handover.service import handovers_query
from sifilma.identity.models import AccountState, Organisation, Person, User, UserChange
from sifilma.identity.permissions import Operation, grants
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.kernel.db import UtcDateTime
from sifilma.oversight.cases import OPEN, cases_query
from sifilma.oversight.models import CaseState, ModelCase, ReferenceChange
from sifilma.oversight.reference import changes_query
from sifilma.personalisation import service as personalisation
from sifilma.personalisation.models import PersonalisationApproval, PersonalisationRequest, PersonalisationState

Lines = Iterator[Select[Any]]
MAKING = (PersonalisationState.APPROVED, PersonalisationState.PERSONALISING)


def line(query: Select[Any], task: str, key: Any, title: Any, owner: Any, at: Any, count: Any = None, until: Any = None) -> Select[Any]:
    """A select as lines of work: what is to be done, the object's id, its name, whose it is, since when, how many, until when."""
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
    """What the actor is to do next."""
    yield from _approvals(ctx)
    yield from _looks(ctx)
    yield from _own_papers(ctx)
    yield from _cards(ctx)
    yield from _destructions(ctx)
    yield from _models(ctx)
    if grants(ctx.actor, Operation.REFERENCE_EXECUTE):
        yield _reference(ctx, "decide_reference", ReferenceChange.proposed_by_person != ctx.actor.person_id)
    if grants(ctx.actor, Operation.USERS_CENTRAL):
        yield _user_change(ctx, "decide_user_change", _others(ctx), ~_of_heads())
    elif grants(ctx.actor, Operation.USERS_FACTOR):
        yield _user_change(ctx, "decide_user_change", _others(ctx), _of_heads())


def awaited(ctx: Context) -> Lines:
    """What others are to do next for the actor."""
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
    yield from _awaited_people(ctx)


def _awaited_people(ctx: Context) -> Lines:
    """Second approvers, deciders of one's own proposals, people who have not taken up their invitation."""
    if grants(ctx.actor, Operation.PERSONALISATION_APPROVE):
        yield _personalisation(
            _submitted_personalisation(ctx).where(_approved_personalisation(ctx)),
            "personalisation_second",
            PersonalisationRequest.submitted_at,
        )
        yield _activation(_submitted_activation(ctx).where(_approved_activation(ctx)), "activation_second", ActivationRequest.submitted_at)
    if grants(ctx.actor, Operation.MANIFEST_REVOKE):
        yield _revocation(ctx, "revocation_proposed", Revocation.proposed_by_person == ctx.actor.person_id)
    if grants(ctx.actor, Operation.REFERENCE_DRAFT):
        yield _reference(ctx, "reference_proposed", ReferenceChange.proposed_by_person == ctx.actor.person_id)
    if grants(ctx.actor, Operation.USERS_FACTOR):
        yield _user_change(ctx, "user_change_proposed", UserChange.proposed_by_person == ctx.actor.person_id)
    if grants(ctx.actor, Operation.USERS_SEE):
        invited = users_query(ctx).where(User.state == AccountState.INVITED, Person.id == User.person_id)
        yield line(invited, "invitation_open", User.id, Person.name, User.organisation_id, User.created_at)


# --- decisions of central people -------------------------------------------------------------------------------------


def _approvals(ctx: Context) -> Lines:
    me = ctx.actor.person_id
    if grants(ctx.actor, Operation.PERSONALISATION_APPROVE):
        waits = _submitted_personalisation(ctx).where(PersonalisationRequest.submitted_by_person != me, ~_approved_personalisation(ctx))
        yield _personalisation(waits, "approve_personalisation", PersonalisationRequest.submitted_at)
    if grants(ctx.actor, Operation.ACTIVATION_APPROVE):
        waits_too = _submitted_activation(ctx).where(ActivationRequest.submitted_by_person != me, ~_approved_activation(ctx))
        yield _activation(waits_too, "approve_activation", ActivationRequest.submitted_at)
    if grants(ctx.actor, Operation.DESTRUCTION_APPROVE):
        proposed = destructions_query(ctx, Operation.DESTRUCTION_APPROVE).where(Destruction.state == DestructionState.PROPOSED)
        yield _destruction(proposed.where(Destruction.submitted_by_person != me), "approve_destruction")
    if Role.APPROVER in ctx.actor.roles:
        yield _revocation(ctx, "decide_revocation", Revocation.proposed_by_person != me)


def _submitted_personalisation(ctx: Context) -> Select[Any]:
    return personalisation.requests_query(ctx, Operation.PERSONALISATION_APPROVE).where(
        PersonalisationRequest.state == PersonalisationState.SUBMITTED
    )


def _submitted_activation(ctx: Context) -> Select[Any]:
    return activation.requests_query(ctx, Operation.ACTIVATION_APPROVE).where(ActivationRequest.state == RequestState.SUBMITTED)


def _approved_personalisation(ctx: Context) -> ColumnElement[bool]:
    given = PersonalisationApproval
    return exists().where(
        given.personalisation_request_id == PersonalisationRequest.id,
        given.person_id == ctx.actor.person_id,
        given.digest == PersonalisationRequest.digest,
    )


def _approved_activation(ctx: Context) -> ColumnElement[bool]:
    given = ActivationApproval
    return exists().where(
        given.activation_request_id == ActivationRequest.id,
        given.person_id == ctx.actor.person_id,
        given.digest == ActivationRequest.digest,
    )


def _looks(ctx: Context) -> Lines:
    """What an operator looks at."""
    if grants(ctx.actor, Operation.PERSONALISATION_VERIFY):
        query = personalisation.requests_query(ctx, Operation.PERSONALISATION_VERIFY)
        unseen = query.where(PersonalisationRequest.state == PersonalisationState.SUBMITTED, PersonalisationRequest.verified_at.is_(None))
        yield _personalisation(unseen, "verify_personalisation", PersonalisationRequest.submitted_at)
    if grants(ctx.actor, Operation.ACTIVATION_VERIFY):
        asked = activation.requests_query(ctx, Operation.ACTIVATION_VERIFY)
        yield _activation(
            asked.where(ActivationRequest.state == RequestState.SUBMITTED, ActivationRequest.verified_at.is_(None)),
            "verify_activation",
            ActivationRequest.submitted_at,
        )
    if grants(ctx.actor, Operation.PERSONALISE):
        made = personalisation.requests_query(ctx, Operation.PERSONALISE).where(PersonalisationRequest.state.in_(MAKING))
        yield _personalisation(made, "record_results", PersonalisationRequest.changed_at)
    if grants(ctx.actor, Operation.PLACE_REVIEW):
        doubted = activation.activations_query(ctx, Operation.PLACE_REVIEW).where(Activation.review_state == "waiting")
        doubted = doubted.where(Card.id == Activation.card_id)
        yield line(doubted, "review_place", Activation.id, Card.uid, Activation.organisation_id, Activation.at)


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
        yield tokens(
            issued.where(Token.expires_at > ctx.now), "activate", func.min(ActivationRequest.changed_at), func.min(Token.expires_at)
        )


def tokens(query: Select[Any], task: str, at: Any, until: Any = None) -> Select[Any]:
    """Tokens by their requests."""
    grouped = query.where(ActivationRequest.id == Token.activation_request_id).group_by(
        ActivationRequest.id, ActivationRequest.letter_number, Organisation.name
    )
    return line(
        grouped,
        task,
        ActivationRequest.id,
        ActivationRequest.letter_number,
        ActivationRequest.organisation_id,
        at,
        func.count(Token.id),
        until,
    )


def _made(ctx: Context, task: str, *conditions: ColumnElement[bool]) -> Select[Any]:
    """Cards by the request they were made for, and whom they go to."""
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
    return line(
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
    """Applications for models: the operator's steps, and the approver's."""
    if grants(ctx.actor, Operation.MODEL_CASE):
        mine = cases_query(ctx, Operation.MODEL_CASE)
        yield _case(mine.where(ModelCase.state == CaseState.APPLIED), "admit_model")
        yield _case(mine.where(ModelCase.state == CaseState.APPROVED_TO_TEST), "record_certificate")
        yield _case(mine.where(ModelCase.state == CaseState.CERTIFIED), "report_certificate")
    if grants(ctx.actor, Operation.MODEL_CERTIFY):
        waits = cases_query(ctx, Operation.MODEL_CERTIFY).where(ModelCase.state == CaseState.TESTED)
        yield _case(waits.where(ModelCase.submitted_by_person != ctx.actor.person_id), "certify_model")


# --- lines of each kind ----------------------------------------------------------------------------------------------


def _personalisation(query: Select[Any], task: str, at: Any) -> Select[Any]:
    return line(
        query,
        task,
        PersonalisationRequest.id,
        PersonalisationRequest.letter_number,
        PersonalisationRequest.requester_id,
        at,
        PersonalisationRequest.quantity,
    )


def _activation(query: Select[Any], task: str, at: Any) -> Select[Any]:
    return line(
        query,
        task,
        ActivationRequest.id,
        ActivationRequest.letter_number,
        ActivationRequest.organisation_id,
        at,
        ActivationRequest.machines,
    )


def _handover(ctx: Context, task: str, mine: ColumnElement[bool], other: Any) -> Select[Any]:
    return line(
        handovers_query(ctx).where(mine, Handover.state == HandoverState.ISSUED),
        task,
        Handover.id,
        Handover.number,
        other,
        Handover.issued_at,
    )


def _destruction(query: Select[Any], task: str) -> Select[Any]:
    return line(query, task, Destruction.id, func.coalesce(Destruction.number, ""), Destruction.organisation_id, Destruction.changed_at)


def _revocation(ctx: Context, task: str, who: ColumnElement[bool]) -> Select[Any]:
    query = scoped(select(Revocation), ctx.actor, Operation.MANIFEST_REVOKE, Manifest.organisation_id)
    query = query.where(who, Revocation.state == "proposed", Manifest.id == Revocation.manifest_id, Card.id == Manifest.card_id)
    return line(query, task, Manifest.id, Card.uid, Manifest.organisation_id, Revocation.proposed_at)


def _others(ctx: Context) -> ColumnElement[bool]:
    """Proposals neither by the actor nor about them."""
    return (UserChange.proposed_by_person != ctx.actor.person_id) & (User.person_id != ctx.actor.person_id)


def _of_heads() -> ColumnElement[bool]:
    """Proposals a head decides on: a second factor of staff is lost, and there is another head than the one who reported it."""
    of_staff = (Organisation.kind != OrganisationKind.DIRECTORATE) & ~User.roles.like("%head%")
    return (UserChange.change == lost_factors.FACTOR) & of_staff & lost_factors.other_head()


def _user_change(ctx: Context, task: str, *who: ColumnElement[bool]) -> Select[Any]:
    query = scoped(select(UserChange), ctx.actor, Operation.USERS_FACTOR, User.organisation_id)
    query = query.where(*who, UserChange.state == "proposed", User.id == UserChange.user_id, Person.id == User.person_id)
    return line(query, task, User.id, Person.name, User.organisation_id, UserChange.proposed_at)


def _case(query: Select[Any], task: str) -> Select[Any]:
    named = query.where(DeviceModel.id == ModelCase.model_id)
    return line(named, task, ModelCase.id, DeviceModel.name, ModelCase.organisation_id, ModelCase.changed_at)


def _reference(ctx: Context, task: str, who: ColumnElement[bool]) -> Select[Any]:
    """Rows to be added, by the organisation of whoever proposed them."""
    query = changes_query(ctx).where(who, ReferenceChange.state == "proposed", User.id == ReferenceChange.changed_by)
    return line(query, task, ReferenceChange.id, literal("", String), User.organisation_id, ReferenceChange.proposed_at)
