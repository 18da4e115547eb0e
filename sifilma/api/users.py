"""The routes of accounts: the own organisation's, central ones (by two administrators), invitations, API keys."""

from __future__ import annotations

from uuid import UUID

from flask import Response, make_response
from pydantic import BaseModel, Field

from sifilma.accounts import api_keys, lost_factors, proposals, service
from sifilma.accounts.schemas import ApiKeyIn, DecisionIn, DeputyIn, EnrolIn, LostFactorIn, UserChangeIn, UserIn
from sifilma.accounts.serializers import ApiKeyOut, UserOut, api_key_out, user_out
from sifilma.api.common import IdPath, ListQuery, Page, answer, blueprint, page_of
from sifilma.identity.fields import Password
from sifilma.kernel.schemas import Strict
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("users")


class InvitedOut(BaseModel):
    """An account, and the one-time link its person is given (shown once; null where a second administrator must agree first)."""

    user: UserOut
    proposal: UUID | None
    invitation: str | None
    known_otherwise: bool = Field(
        False, description="Whether the id number is known under another name than the one sent; the known name stays."
    )


class ChangeOut(BaseModel):
    """A proposed change of a central account."""

    id: UUID
    state: str
    change: str
    invitation: str | None = None


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
    otherwise = service.known_otherwise(user, body.name)
    return answer(InvitedOut(user=user_out(user, ctx.now), proposal=None, invitation=_link(secret), known_otherwise=otherwise), 201)


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
    otherwise = service.known_otherwise(user, body.name)
    invited = InvitedOut(user=user_out(user, ctx.now), proposal=proposal, invitation=_link(secret), known_otherwise=otherwise)
    return answer(invited, 202 if proposal else 201)


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
@operation("users.central", idempotent=False)
def decide_change(path: IdPath, body: DecisionIn) -> Response:
    """By another user administrator than the one who proposed it."""
    proposal, secret = proposals.decide_change(context(), resources().settings, path.id, body.decision == "execute")
    return answer(ChangeOut(id=proposal.id, state=proposal.state, change=proposal.change, invitation=_link(secret)))


@api.post("/users/<uuid:id>/lost-factor", responses={202: ChangeOut}, summary="Report that somebody's second factor is lost")
@operation("users.factor", idempotent=False)
def report_lost_factor(path: IdPath, body: LostFactorIn) -> Response:
    """For heads and central people by a user administrator, for others by their head. Nothing ends before a second person agrees."""
    proposal = lost_factors.report(context(), path.id, body.reason)
    return answer(ChangeOut(id=proposal.id, state=proposal.state, change=proposal.change), 202)


@api.post("/user-changes/<uuid:id>/lost-factor-decision", responses={200: ChangeOut}, summary="Decide on a second factor reported as lost")
@operation("users.factor", idempotent=False)
def decide_lost_factor(path: IdPath, body: DecisionIn) -> Response:
    """By another person than the one who reported it. Password, factors and sessions end; the answer holds the one-time link."""
    proposal, secret = lost_factors.decide(context(), resources().settings, path.id, body.decision == "execute")
    return answer(ChangeOut(id=proposal.id, state=proposal.state, change=proposal.change, invitation=_link(secret)))


@api.post("/invitations/enrol", responses={204: None}, summary="Take up an invitation: own password, authenticator confirmed", security=[])
@operation("public", idempotent=False)
def enrol(body: EnrolIn) -> Response:
    """The link is used up."""
    service.enrol(context(), resources().settings, body.invitation, body.password, body.code)
    return make_response("", 204)


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
    select, key = api_keys.list_api_keys(context())
    return page_of(select, key, query, lambda rows: map(api_key_out, rows))


@api.post("/api-keys", responses={201: ApiKeyOut}, summary="Make an API key")
@operation("api_keys", idempotent=False)
def make_key(body: ApiKeyIn) -> Response:
    """The key is in this answer and nowhere else."""
    ctx = context()
    key, secret = api_keys.create_api_key(ctx, service.get_own_organisation(ctx).id, body.name)
    return answer(api_key_out(key, secret), 201)


@api.delete("/api-keys/<uuid:id>", responses={200: ApiKeyOut}, summary="Revoke an API key")
@operation("api_keys", idempotent=False)
def revoke_key(path: IdPath) -> Response:
    """From the next request on it opens nothing."""
    return answer(api_key_out(api_keys.revoke_api_key(context(), path.id)))
