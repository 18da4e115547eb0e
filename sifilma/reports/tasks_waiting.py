"""What waits for the actor, and what the actor waits for. Each kind of task is one select; all have the same columns, for UNION ALL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, String, cast, func, literal, select
from sqlalchemy.orm import aliased

from sifilma.access_review import queries as access
from sifilma.access_review.models import AccessReview, DormantMark
from sifilma.accounts import lost_factors
from sifilma.accounts.consents import orphaned_query, own_questions_query
from sifilma.accounts.models import FACTOR, AccountConsent, ConsentState, UserChange
from sifilma.accounts.proposals import PROPOSALS as USER_CHANGES
from sifilma.accounts.queries import users_query
from sifilma.activation.manifests.revocation import PROPOSALS as REVOCATIONS
from sifilma.activation.models import (
    ActivationRequest,
    RequestState,
)
from sifilma.activation.requests.service import WAY as ACTIVATION
from sifilma.activation.suspensions.models import PlaceSuspension, SuspensionState
from sifilma.approvals.models import ProposalState
from sifilma.cards import proposals
from sifilma.cards.models import Card, CardState, DeviceModel
from sifilma.cards.upkeep.proposals import PROPOSALS as CORRECTIONS
from sifilma.destruction.models import DestructionState
from sifilma.handover.models import Handover
from sifilma.identity.models import AccountState, ApiKey, Organisation, Person, User, holds
from sifilma.identity.permissions import Operation, grants
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.lost_access.models import LostAccess
from sifilma.lost_access.queries import waiting_query as lost_access_query
from sifilma.oversight.cases import OPEN, cases_query
from sifilma.oversight.cases import WAY as MODEL_CASE
from sifilma.oversight.models import CaseState, ModelCase, ReferenceChange
from sifilma.oversight.reference import PROPOSALS as REFERENCE
from sifilma.oversight.reference import changes_query
from sifilma.personalisation import service as personalisation
from sifilma.personalisation.models import PersonalisationRequest, PersonalisationState
from sifilma.personalisation.proposals import CLOSINGS
from sifilma.personalisation.queries import MAKING, approved_at
from sifilma.personalisation.service import WAY as PERSONALISATION
from sifilma.reports.way import line_queries
from sifilma.reports.way import queries as life
from sifilma.succession.queries import headless_since, is_headless, waits_for_outgoing


def waiting(ctx: Context) -> life.Lines:
    """Yield what the actor has to do next."""
    yield from _about_me(ctx)
    yield from life.waiting(ctx)
    yield from _models(ctx)
    if grants(ctx.actor, Operation.REFERENCE_EXECUTE):
        yield _reference(ctx, "decide_reference", REFERENCE.decidable(ctx))
    yield from _access(ctx)
    if grants(ctx.actor, Operation.USERS_FACTOR):
        yield line_queries.line_query(
            lost_access_query(ctx), "help_to_sign_in", User.id, Person.name, User.organisation_id, LostAccess.asked_at
        )
    if grants(ctx.actor, Operation.USERS_CENTRAL):
        yield _user_change(ctx, "decide_user_change", _others(ctx), ~_of_heads(ctx), lost_factors.may_decide(ctx))
        yield _headless(ctx, "office_headless")
    elif grants(ctx.actor, Operation.USERS_FACTOR):
        yield _user_change(ctx, "decide_user_change", _others(ctx), _of_heads(ctx), lost_factors.may_decide(ctx))


def _about_me(ctx: Context) -> life.Lines:
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
    yield line_queries.line_query(
        report, "object_to_report", UserChange.id, literal("", String), User.organisation_id, UserChange.proposed_at
    )
    if grants(ctx.actor, Operation.USERS_CENTRAL):
        yield _consent(orphaned_query(ctx).where(User.id == AccountConsent.user_id), "give_account")
    elif grants(ctx.actor, Operation.USERS_SUCCESSION):
        waits = (UserChange.state == ProposalState.PROPOSED, User.id == UserChange.user_id, Person.id == User.person_id)
        mine = select(UserChange).where(*waits, waits_for_outgoing(ctx))
        yield line_queries.line_query(mine, "agree_succession", UserChange.id, Person.name, User.organisation_id, UserChange.proposed_at)


def _consent(query: Select[Any], task: str) -> Select[Any]:
    at, until = AccountConsent.asked_at, AccountConsent.expires_at
    return line_queries.line_query(query, task, AccountConsent.id, literal("", String), User.organisation_id, at, until=until)


def awaited(ctx: Context) -> life.Lines:
    """Yield what the actor waits for others to do."""
    if not ctx.actor.is_central:
        yield line_queries.activation_lines_query(
            life.own_activation_query(ctx, RequestState.SUBMITTED), "activation_submitted", ActivationRequest.submitted_at
        )
    if ctx.actor.outlets is None:  # what is not of single outlets is no matter of those who are limited to some
        yield from _awaited_papers(ctx)
    if grants(ctx.actor, Operation.UNIT_KEY_PROPOSE):
        yield life.unit_key_lines_query(ctx, "unit_keys_proposed", proposals.PROPOSALS.own(ctx))
    if grants(ctx.actor, Operation.UNIT_REGISTER):
        yield life.awaited_pcids_query(ctx)
    if grants(ctx.actor, Operation.UNIT_CORRECT):
        yield life.correction_lines_query(ctx, "correction_proposed", CORRECTIONS.own(ctx))
    yield from _awaited_people(ctx)


def _awaited_papers(ctx: Context) -> life.Lines:
    """Yield the actor's requests for cards, BASTs, destructions and applications that others work on."""
    own = ctx.actor.organisation_id
    if not ctx.actor.is_central:
        mine = personalisation.requests_query(ctx).where(PersonalisationRequest.requester_id == own)
        yield line_queries.personalisation_lines_query(
            mine.where(PersonalisationRequest.state == PersonalisationState.SUBMITTED),
            "personalisation_submitted",
            PersonalisationRequest.submitted_at,
        )
        yield line_queries.personalisation_lines_query(
            mine.where(PersonalisationRequest.state.in_(MAKING)), "personalisation_running", approved_at()
        )
        of = PersonalisationRequest.requester_id == own
        yield life.made_lines_query(ctx, "bast_awaited", Card.state == CardState.PERSONALISED, of=of)
        yield line_queries.destruction_lines_query(life.own_destruction_query(ctx, DestructionState.PROPOSED), "destruction_proposed")
        yield line_queries.destruction_lines_query(life.own_destruction_query(ctx, DestructionState.EXECUTED), "destruction_executed")
        yield _case(cases_query(ctx).where(ModelCase.state.in_(OPEN)), "model_case_open")
    yield line_queries.handover_lines_query(ctx, "handover_issued", Handover.issuer_id == own, Handover.receiver_id)


def _awaited_people(ctx: Context) -> life.Lines:
    """Yield what awaits a second approver, a decision on one's own proposal, or the acceptance of an invitation."""
    if grants(ctx.actor, Operation.PERSONALISATION_APPROVE):
        asked = life.personalisation_approvals_query(ctx, PERSONALISATION.awaits_another(ctx))
        yield line_queries.personalisation_lines_query(asked, "personalisation_second", PersonalisationRequest.submitted_at)
        yield line_queries.activation_lines_query(
            life.activation_approvals_query(ctx, ACTIVATION.awaits_another(ctx)), "activation_second", ActivationRequest.submitted_at
        )
    if grants(ctx.actor, Operation.MANIFEST_REVOKE):
        yield line_queries.revocation_lines_query(ctx, "revocation_proposed", REVOCATIONS.own(ctx))
    if grants(ctx.actor, Operation.PERSONALISATION_CLOSE):
        yield line_queries.closing_lines_query(ctx, "closing_proposed", CLOSINGS.own(ctx))
    if grants(ctx.actor, Operation.PLACE_REVIEW):
        own = (PlaceSuspension.state == SuspensionState.PROPOSED) & (PlaceSuspension.proposed_by_person == ctx.actor.person_id)
        yield life.place_lines_query(ctx, "place_suspension_open", own)
    if grants(ctx.actor, Operation.REFERENCE_DRAFT):
        yield _reference(ctx, "reference_proposed", REFERENCE.own(ctx))
    if grants(ctx.actor, Operation.USERS_FACTOR):
        yield _user_change(ctx, "user_change_proposed", USER_CHANGES.own(ctx))
    if grants(ctx.actor, Operation.USERS_SEE):
        invited = users_query(ctx).where(User.state == AccountState.INVITED, Person.id == User.person_id)
        yield line_queries.line_query(invited, "invitation_open", User.id, Person.name, User.organisation_id, User.created_at)
    if grants(ctx.actor, Operation.HEADS_SEE) and not grants(ctx.actor, Operation.USERS_CENTRAL):
        yield _headless(ctx, "office_headless_seen")


_office = aliased(Organisation)  # made once: to make an alias takes longer than the rest of its condition


def _headless(ctx: Context, task: str) -> Select[Any]:
    """Return the organisations without a living head that the actor may know of, as one line with their number."""
    office, own = _office, ctx.actor.organisation_id
    query = select(Organisation).join(office, is_headless(office, ctx.now)).group_by(Organisation.id, Organisation.name)
    grouped = scoped(query, ctx.actor, Operation.HEADS_SEE, office.id)
    number = cast(func.count(office.id), String)
    return line_queries.line_query(grouped, task, Organisation.id, number, own, func.min(headless_since(office)))


def keys_query(ctx: Context, days: tuple[int, ...]) -> Select[Any]:
    """Return a select of the API keys of the actor's organisation that count and expire within the largest of these days."""
    soon = ctx.now + timedelta(days=max(days, default=0))
    mine = scoped(select(ApiKey), ctx.actor, Operation.API_KEYS, ApiKey.organisation_id).where(
        ApiKey.revoked_at.is_(None), ApiKey.expires_at > ctx.now, ApiKey.expires_at <= soon
    )
    return line_queries.line_query(mine, "api_key_ends", ApiKey.id, ApiKey.name, ApiKey.organisation_id, ApiKey.expires_at)


def _models(ctx: Context) -> life.Lines:
    """Yield applications for models that wait for an operator or an approver."""
    if grants(ctx.actor, Operation.MODEL_CASE):
        mine = cases_query(ctx, Operation.MODEL_CASE)
        yield _case(mine.where(ModelCase.state == CaseState.APPLIED), "admit_model")
        yield _case(mine.where(ModelCase.state == CaseState.APPROVED_TO_TEST), "record_certificate")
        yield _case(mine.where(ModelCase.state == CaseState.CERTIFIED), "report_certificate")
    if grants(ctx.actor, Operation.MODEL_CERTIFY):
        yield _case(cases_query(ctx, Operation.MODEL_CERTIFY).where(MODEL_CASE.approvable(ctx)), "certify_model")


def _access(ctx: Context) -> life.Lines:
    """Yield the confirmation of people, and for user administrators who is late and which unused accounts cannot be missed."""
    if not grants(ctx.actor, Operation.ACCESS_REVIEW):
        return
    yield _review(access.to_decide_query(ctx), "confirm_people", AccessReview.opened_at, AccessReview.ends_at)
    if ctx.actor.is_central:
        late = access.reviews_query(ctx, Operation.ACCESS_REVIEW).where(access.is_late(ctx.now))
        yield _review(late.where(AccessReview.organisation_id != ctx.actor.organisation_id), "review_late", AccessReview.due_at)
        kept = select(User).where(
            User.id == DormantMark.user_id, User.state == AccountState.ACTIVE, ~access.is_missable(ctx.now), Person.id == User.person_id
        )
        yield line_queries.line_query(kept, "unused_needed", User.id, Person.name, User.organisation_id, DormantMark.marked_at)


def _review(query: Select[Any], task: str, at: Any, until: Any = None) -> Select[Any]:
    return line_queries.line_query(query, task, AccessReview.id, literal("", String), AccessReview.organisation_id, at, until=until)


# --- lines of each kind ----------------------------------------------------------------------------------------------


def _others(ctx: Context) -> ColumnElement[bool]:
    """Return the condition of proposals that the actor may decide, and that are not about themselves."""
    return USER_CHANGES.decidable(ctx) & (User.person_id != ctx.actor.person_id)


def _of_heads(ctx: Context) -> ColumnElement[bool]:
    """Return the condition of proposals that a head decides.

    A second factor of a member of staff is lost, and the organisation has another head than the one who reported it.
    """
    of_staff = (Organisation.kind != OrganisationKind.DIRECTORATE) & ~holds(User, Role.HEAD, ctx.now)
    return (UserChange.change == FACTOR) & of_staff & lost_factors.other_head()


def _user_change(ctx: Context, task: str, *who: ColumnElement[bool]) -> Select[Any]:
    query = scoped(select(UserChange), ctx.actor, Operation.USERS_FACTOR, User.organisation_id)
    query = query.where(*who, User.id == UserChange.user_id, Person.id == User.person_id)
    return line_queries.line_query(query, task, User.id, Person.name, User.organisation_id, UserChange.proposed_at)


def _case(query: Select[Any], task: str) -> Select[Any]:
    named = query.where(DeviceModel.id == ModelCase.model_id)
    return line_queries.line_query(named, task, ModelCase.id, DeviceModel.name, ModelCase.organisation_id, ModelCase.changed_at)


def _reference(ctx: Context, task: str, who: ColumnElement[bool]) -> Select[Any]:
    """Return a select of proposed reference data, with the proposer's organisation."""
    query = changes_query(ctx).where(who, User.id == ReferenceChange.changed_by)
    return line_queries.line_query(query, task, ReferenceChange.id, literal("", String), User.organisation_id, ReferenceChange.proposed_at)
