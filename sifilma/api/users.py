"""The routes of accounts: the own organisation's, central ones (by two administrators), invitations, API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Response, make_response, request
from pydantic import BaseModel, Field

from sifilma.accounts import api_keys, consents, enrolments, lost_factors, proposals, service
from sifilma.accounts.schemas import (
    ApiKeyIn,
    ApiKeyTermsIn,
    ConsentIn,
    DecisionIn,
    DeputyIn,
    EnrolIn,
    InvitationIn,
    LostFactorIn,
    UserChangeIn,
    UserIn,
)
from sifilma.accounts.serializers import ApiKeyOut, OrganisationOut, UserOut, api_key_out, organisation_out, user_out
from sifilma.api.common import IdPath, ListQuery, Page, answer, blueprint, page_of
from sifilma.identity.fields import Password
from sifilma.kernel.schemas import Strict
from sifilma.resources import resources
from sifilma.sign_in import totp
from sifilma.sign_in.cookies import enrolment_cookie_name
from sifilma.sign_in.request_gate import require_fresh
from sifilma.succession import service as succession
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("users")


class InvitedOut(BaseModel):
    """An account, and the one-time link its person is given (shown once; null where a second administrator must agree first)."""

    user: UserOut
    proposal: UUID | None
    invitation: str | None
    known_otherwise: bool = Field(default=False, description="Always false: whether somebody is known is told to them, not to the inviter.")


class ChangeOut(BaseModel):
    """A proposed change of a central account."""

    id: UUID
    state: str
    change: str
    invitation: str | None = None


class InvitationOut(BaseModel):
    """What an invitation shows: whose account, and the seed for the authenticator with the secret of the browser it is shown in."""

    username: str
    name: str
    organisation: OrganisationOut
    seed: str
    uri: str
    browser: str
    views: int = Field(description="How often the invitation was looked at, this time included.")


class ConsentOut(BaseModel):
    """A question whether a further account is one's own. `invitation` is one's own link, in the answer that accepts it alone."""

    id: UUID
    state: str
    username: str
    roles: list[str]
    organisation: OrganisationOut
    asked_at: datetime
    expires_at: datetime
    invitation: str | None = None


class OrphanOut(BaseModel):
    """An account that is said to be of a known person without an account in use, and the name that person is registered with."""

    id: UUID
    state: str
    user: UserOut
    registered_name: str


class ReportOut(BaseModel):
    """A report that one's own second factor is lost."""

    id: UUID
    state: str
    reason: str
    reported_at: datetime


class PasswordChangeIn(Strict):
    """The present password and the new one."""

    current: Password
    new: Password


def _link(secret: str | None) -> str | None:
    return f"{resources().settings.public_url}/undangan/{secret}" if secret else None


@api.get("/users", responses={200: Page[UserOut]}, summary="The accounts of one's own organisation")
@operation("users.see")
def list_users(query: ListQuery) -> Response:
    """Every account, newest first, without contact data."""
    ctx = context()
    select, key = service.list_own_users(ctx)
    return page_of(select, key, query, lambda rows: (user_out(user, ctx.now) for user in rows))


@api.post("/users", responses={201: InvitedOut}, summary="Invite somebody into one's own organisation")
@operation("users.own", idempotent=False)
def invite(body: UserIn) -> Response:
    """The answer holds the one-time link: hand it over in person or by a channel of your own."""
    ctx = context()
    user, secret = service.invite(ctx, resources().settings, service.get_own_organisation(ctx), body.new_user())
    return answer(InvitedOut(user=user_out(user, ctx.now), proposal=None, invitation=_link(secret)), 201)


@api.post("/users/<uuid:id>/changes", responses={200: UserOut}, summary="Disable, enable or re-role an account of one's own organisation")
@operation("users.own", idempotent=False)
def change_user(path: IdPath, body: UserChangeIn) -> Response:
    """In force with the person's next request; their sessions end."""
    ctx = context()
    user = service.get_own_user(ctx, path.id)
    service.change(ctx, user, body.change, body.role_set())
    return answer(user_out(user, ctx.now))


@api.post("/central-users", responses={201: InvitedOut, 202: InvitedOut}, summary="Propose to invite a head, or a central person")
@operation("users.central", idempotent=False)
def invite_central(body: UserIn) -> Response:
    """A first head is invited at once; a central person waits for a second user administrator."""
    ctx = context()
    organisation = service.get_organisation(ctx, body.organisation)
    user, proposal, secret = proposals.invite_by_admin(ctx, resources().settings, organisation, body.new_user())
    return answer(InvitedOut(user=user_out(user, ctx.now), proposal=proposal, invitation=_link(secret)), 202 if proposal else 201)


@api.post("/central-users/<uuid:id>/changes", responses={202: ChangeOut}, summary="Propose to change a central account")
@operation("users.central", idempotent=False)
def propose_change(path: IdPath, body: UserChangeIn) -> Response:
    """A second user administrator executes it."""
    ctx = context()
    proposal = proposals.propose_change(ctx, service.get_user(ctx, path.id), body.change, body.role_set(), body.reason)
    return answer(ChangeOut(id=proposal.id, state=proposal.state, change=proposal.change), 202)


@api.post("/central-users/<uuid:id>/deputy", responses={202: ChangeOut}, summary="Propose to give a role until a day")
@operation("users.central", idempotent=False)
def propose_deputy(path: IdPath, body: DeputyIn) -> Response:
    """To a central account that stands in for somebody. A second user administrator executes it."""
    ctx = context()
    proposal = proposals.propose_deputy(ctx, service.get_user(ctx, path.id), body.role, body.until, body.basis)
    return answer(ChangeOut(id=proposal.id, state=proposal.state, change=proposal.change), 202)


@api.post("/user-changes/<uuid:id>/decision", responses={200: ChangeOut}, summary="Execute or reject a proposed change")
@operation("users.succession", idempotent=False)
def decide_change(path: IdPath, body: DecisionIn) -> Response:
    """By another user administrator than the one who proposed it; the succession of a head also by the outgoing head."""
    proposal, secret = succession.decide(context(), resources().settings, path.id, body.decision == "execute")
    return answer(ChangeOut(id=proposal.id, state=proposal.state, change=proposal.change, invitation=_link(secret)))


@api.post("/users/<uuid:id>/lost-factor", responses={202: ChangeOut}, summary="Report that somebody's second factor is lost")
@operation("users.factor", idempotent=False)
def report_lost_factor(path: IdPath, body: LostFactorIn) -> Response:
    """For heads and central people by a user administrator, for others by their head. Nothing ends before a second person agrees."""
    proposal = lost_factors.report(context(), resources().settings, path.id, body.reason)
    return answer(ChangeOut(id=proposal.id, state=proposal.state, change=proposal.change), 202)


@api.post("/user-changes/<uuid:id>/lost-factor-decision", responses={200: ChangeOut}, summary="Decide on a second factor reported as lost")
@operation("users.factor", idempotent=False)
def decide_lost_factor(path: IdPath, body: DecisionIn) -> Response:
    """By another person than the one who reported it. Password, factors and sessions end; the answer holds the one-time link."""
    proposal, secret = lost_factors.decide(context(), resources().settings, path.id, body.decision == "execute")
    return answer(ChangeOut(id=proposal.id, state=proposal.state, change=proposal.change, invitation=_link(secret)))


@api.post("/invitations/view", responses={200: InvitationOut}, summary="Look at an invitation: a new seed each time", security=[])
@operation("public", idempotent=False)
def view_invitation(body: InvitationIn) -> Response:
    """The seed counts for whoever sends `browser` with it, until somebody looks again. Each view is recorded."""
    view = enrolments.look(context(), resources().settings, body.invitation)
    user = view.user
    return answer(
        InvitationOut(
            username=user.username,
            name=user.person.name,
            organisation=organisation_out(user.organisation),
            seed=view.seed,
            uri=totp.provisioning_uri(view.seed, user.username),
            browser=view.browser,
            views=view.views,
        )
    )


@api.post("/invitations/enrol", responses={204: None}, summary="Take up an invitation: own password, authenticator confirmed", security=[])
@operation("public", idempotent=False)
def enrol(body: EnrolIn) -> Response:
    """The link is used up. `browser` is that of the last view; after a view of the page, the cookie it set."""
    settings = resources().settings
    browser = body.browser or request.cookies.get(enrolment_cookie_name(settings), "")
    enrolments.enrol(context(), settings, body.invitation, browser, body.password, body.code)
    return make_response("", 204)


@api.get("/me/consents", responses={200: Page[ConsentOut]}, summary="Further accounts that are said to be mine")
@operation("session.self")
def list_consents() -> Response:
    """Those that wait for an answer, or were accepted and not taken up yet."""
    found = consents.own_questions(context())
    return answer(Page[ConsentOut](items=[_consent_out(one.consent, one.user) for one in found], next=None))


@api.post("/me/consents/<uuid:id>/answer", responses={200: ConsentOut}, summary="Accept or refuse a further account")
@operation("session.self", idempotent=False)
def decide_consent(path: IdPath, body: ConsentIn) -> Response:
    """Accepting needs a fresh one-time code; links that were handed out end, and the answer holds one's own."""
    ctx, settings, accept = context(), resources().settings, body.decision == "accept"
    if accept:
        require_fresh(ctx.actor, settings)
    consent, secret = consents.answer(ctx, settings, path.id, accept)
    return answer(_consent_out(consent, service.get_user(ctx, consent.user_id), _link(secret)))


def _consent_out(consent: Any, user: Any, invitation: str | None = None) -> ConsentOut:
    return ConsentOut(
        id=consent.id,
        state=consent.state,
        username=user.username,
        roles=sorted(user.roles_at(context().now)),
        organisation=organisation_out(user.organisation),
        asked_at=consent.asked_at,
        expires_at=consent.expires_at,
        invitation=invitation,
    )


@api.get("/me/lost-factor-reports", responses={200: Page[ReportOut]}, summary="Whether my second factor is reported as lost")
@operation("session.self")
def list_reports() -> Response:
    """The report that waits for a decision, if there is one."""
    found = lost_factors.own_reports(context())
    items = [ReportOut(id=one.id, state=one.state, reason=one.reason, reported_at=one.proposed_at) for one in found]
    return answer(Page[ReportOut](items=items, next=None))


@api.post("/me/lost-factor-reports/<uuid:id>/objection", responses={200: ChangeOut}, summary="Object: my second factor is not lost")
@operation("session.self", idempotent=False)
def object_to_report(path: IdPath) -> Response:
    """With a one-time code that was given since the report. It ends the report."""
    require_fresh(context().actor, resources().settings)
    proposal = lost_factors.object_to(context(), path.id)
    return answer(ChangeOut(id=proposal.id, state=proposal.state, change=proposal.change))


@api.get("/account-consents", responses={200: Page[OrphanOut]}, summary="Known persons who have no account in use to consent from")
@operation("users.central")
def list_orphaned() -> Response:
    """Two user administrators give such an account to the person."""
    ctx = context()
    items = [
        OrphanOut(id=one.consent.id, state=one.consent.state, user=user_out(one.user, ctx.now), registered_name=one.who)
        for one in consents.orphaned(ctx)
    ]
    return answer(Page[OrphanOut](items=items, next=None))


@api.post("/account-consents/<uuid:id>/proposal", responses={202: ChangeOut}, summary="Propose that an account is a known person's")
@operation("users.central", idempotent=False)
def propose_person(path: IdPath) -> Response:
    """A second user administrator executes it (`POST /user-changes/{id}/decision`), whose answer holds the one-time link."""
    proposal = proposals.propose_person(context(), path.id)
    return answer(ChangeOut(id=proposal.id, state=proposal.state, change=proposal.change), 202)


@api.post("/me/password", responses={204: None}, summary="Change one's own password")
@operation("session.self", idempotent=False)
def change_password(body: PasswordChangeIn) -> Response:
    """Every other session ends."""
    service.change_password(context(), resources().settings, body.current, body.new)
    return make_response("", 204)


@api.get("/api-keys", responses={200: Page[ApiKeyOut]}, summary="The API keys of one's own organisation")
@operation("api_keys.see")
def list_keys(query: ListQuery) -> Response:
    """Newest first, by their first characters."""
    ctx = context()
    select, key = api_keys.list_api_keys(ctx)
    return page_of(select, key, query, lambda rows: (api_key_out(ctx, row) for row in rows))


@api.post("/api-keys", responses={201: ApiKeyOut}, summary="Make an API key")
@operation("api_keys", idempotent=False)
def make_key(body: ApiKeyIn) -> Response:
    """The key is in this answer and nowhere else. Without `scopes` it may do all that keys of the organisation may."""
    ctx = context()
    own = service.get_own_organisation(ctx).id
    key, secret = api_keys.create_api_key(ctx, resources().settings, own, body.name, body.terms(), body.days)
    return answer(api_key_out(ctx, key, secret), 201)


@api.post("/api-keys/<uuid:id>/terms", responses={200: ApiKeyOut}, summary="Give an API key other scopes and addresses")
@operation("api_keys", idempotent=False)
def change_key(path: IdPath, body: ApiKeyTermsIn) -> Response:
    """From the next request on. Its last day stays as it is: a key is not prolonged, a new one takes its place."""
    ctx = context()
    return answer(api_key_out(ctx, api_keys.change_api_key(ctx, path.id, body.terms())))


@api.delete("/api-keys/<uuid:id>", responses={200: ApiKeyOut}, summary="Revoke an API key")
@operation("api_keys", idempotent=False)
def revoke_key(path: IdPath) -> Response:
    """From the next request on it opens nothing."""
    ctx = context()
    return answer(api_key_out(ctx, api_keys.revoke_api_key(ctx, path.id)))
