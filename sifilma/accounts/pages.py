"""What the pages of accounts show. They hold no contact data, and of an id number only the last digits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import LazyString, ngettext
from flask_babel import lazy_gettext as _

from config.settings import Settings
from sifilma.accounts import lost_factors, queries
from sifilma.accounts.api_keys import state_of
from sifilma.accounts.models import FACTOR, UserChange
from sifilma.accounts.proposals import PROPOSALS
from sifilma.accounts.service import CENTRAL, LOCAL
from sifilma.documents.lists import Export
from sifilma.identity.models import TEMPORARY, AccountState, ApiKey, Organisation, Person, User, role_ends, role_set
from sifilma.identity.permissions import Operation, grants, scopes_for
from sifilma.kernel.actor import KeyScope, OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.web.states import kind, state

ORDER = (Role.HEAD, Role.STAFF, Role.OPERATOR, Role.APPROVER, Role.USER_ADMIN, Role.AUDITOR, Role.CUSTODIAN)
SHOWN_DIGITS = 4


@dataclass(frozen=True)
class AccountLine:
    """An account in a list. `last_seen` is None if the person has never signed in."""

    user: User
    roles: str
    last_seen: datetime | None


EXPORT = Export(
    "pengguna",
    {
        _("Name"): lambda line: line.user.person.name,
        _("User name"): lambda line: line.user.username,
        _("Organisation"): lambda line: line.user.organisation.name,
        _("Roles"): lambda line: line.roles,
        _("State"): lambda line: state(line.user.state).name,
        _("Last seen"): lambda line: line.last_seen or "",
    },
    orders={"pengguna": (_("User name"), User.username)},
    counted=lambda number, words: ngettext("%(count)s account", "%(count)s accounts", number, count=words),
    filters={"nama": "", "organisasi": "", "state": ""},
)


@dataclass(frozen=True)
class InvitationLink:
    """A one-time link, for the person who hands it out. It works for `hours`."""

    user: User
    url: str
    hours: int


def invitation_link(settings: Settings, user: User, secret: str) -> InvitationLink:
    """Return the link for the secret of an invitation."""
    return InvitationLink(user, f"{settings.public_url}/undangan/{secret}", settings.invitation_hours)


def list_lines(ctx: Context, users: list[User]) -> list[AccountLine]:
    """Return the lines of a list, in one query for all accounts."""
    seen = queries.last_seen(ctx, [user.id for user in users])
    return [AccountLine(user, role_words(user.roles_at(ctx.now)), seen.get(user.id)) for user in users]


def account_page(ctx: Context, user: User) -> dict[str, Any]:
    """Return the values for the page of one account, and which acts the actor may do there."""
    central = user.organisation.kind == OrganisationKind.DIRECTORATE
    own = user.organisation_id == ctx.actor.organisation_id and bool(grants(ctx.actor, Operation.USERS_OWN))
    admin = bool(grants(ctx.actor, Operation.USERS_CENTRAL))
    return {
        "user": user,
        "role_words": role_words(user.roles_at(ctx.now)),
        "number": masked(user.person),
        "held": user.roles_at(ctx.now),
        "ends": [(kind(role), end) for role, end in sorted(role_ends(user.roles, ctx.now).items())],
        "temporary": [(role.value, kind(role)) for role in TEMPORARY if role not in user.roles_at(ctx.now)],
        "roles": roles_of(user.organisation),
        "last_seen": queries.last_seen(ctx, [user.id]).get(user.id),
        "link_until": queries.open_link_until(ctx, user),
        "history": queries.history_of(ctx, user),
        "myself": user.id == ctx.actor.user_id,
        "loses": user.state == AccountState.ACTIVE and lost_factors.reports(ctx.actor, user),
        "changes": own,
        "proposes": admin and central,
        "succeeds": not central and Role.HEAD in user.roles_at(ctx.now) and (admin or user.id == ctx.actor.user_id),
        "helps_head": admin and not central and Role.HEAD in user.roles_at(ctx.now),
    }


@dataclass(frozen=True)
class ProposalLine:
    """A proposal that waits for a second person. `who` is the name of the proposer; `mine`: the actor proposed it.

    `lost`: it reports a lost second factor. Only then `refusal` says why the actor cannot be the second person.
    """

    proposal: UserChange
    user: User
    roles: str
    proposed: str
    who: str
    mine: bool
    refusal: str
    lost: bool


def proposal_lines(ctx: Context) -> list[ProposalLine]:
    """Return the proposals the actor may see that wait for a second person."""
    return [_proposal_line(ctx, *row) for row in queries.open_changes(ctx, *lost_factors.parties(ctx.actor))]


def _proposal_line(ctx: Context, proposal: UserChange, user: User, who: str, *found: bool) -> ProposalLine:
    mine = PROPOSALS.is_own(ctx, proposal)
    lost = proposal.change == FACTOR
    refusal = lost_factors.refusal(ctx, proposal, user, lost_factors.Parties(*found)) if lost else ""
    now, proposed = role_words(user.roles_at(ctx.now)), role_words(role_set(proposal.roles))
    return ProposalLine(proposal, user, now, proposed, who, mine, refusal, lost)


SCOPE_WORDS: dict[KeyScope, LazyString] = {
    KeyScope.READ: _("Read: units, cards, requests, places, manifests without their content"),
    KeyScope.UNITS: _("Register units and supply their PCIDs"),
    KeyScope.BATCHES: _("Draft personalisation requests with their batches"),
    KeyScope.REQUESTS: _("Draft activation requests"),
    KeyScope.ACTIVATIONS: _("Activate cards, one by one or by file"),
    KeyScope.MANIFESTS: _("Fetch manifests, encrypted to the unit"),
    KeyScope.REPORTS: _("Report cards: each is suspended until a person decides"),
}
"""What a scope of an API key means, in words."""


@dataclass(frozen=True)
class KeyLine:
    """An API key in a list: its state, its scopes in words, and its networks."""

    key: ApiKey
    state: str
    scopes: list[str]
    addresses: list[str]


def key_lines(ctx: Context, keys: Iterable[ApiKey]) -> list[KeyLine]:
    """Return the lines of a list of API keys."""
    return [
        KeyLine(
            key, state_of(ctx, key), [str(words) for scope, words in SCOPE_WORDS.items() if scope in key.scope_set], key.addresses.split()
        )
        for key in keys
    ]


def scope_choices(ctx: Context) -> list[tuple[str, str]]:
    """Return the scopes that open anything for a key of the actor's organisation, as pairs of value and words."""
    kind = ctx.actor.organisation_kind
    return [(scope.value, str(SCOPE_WORDS[scope])) for scope in (scopes_for(kind) if kind else ())]


def role_words(roles: frozenset[Role]) -> str:
    """Return roles in words, separated by commas."""
    return ", ".join(kind(role) for role in ORDER if role in roles)


def roles_of(organisation: Organisation) -> list[tuple[str, str]]:
    """Return the roles that accounts of an organisation may have, as pairs of value and name."""
    allowed = CENTRAL if organisation.kind == OrganisationKind.DIRECTORATE else LOCAL
    return [(role.value, kind(role)) for role in ORDER if role in allowed]


def masked(person: Person) -> str:
    """Return the id number with all but its last digits hidden. A number of at most four characters is shown whole."""
    return f"•••• {person.id_number[-SHOWN_DIGITS:]}" if len(person.id_number) > SHOWN_DIGITS else person.id_number
