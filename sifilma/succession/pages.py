"""What the pages of successions and of organisations without a living head show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask_babel import lazy_gettext as _
from flask_babel import ngettext

from sifilma.accounts.proposals import PROPOSALS
from sifilma.approvals.models import ProposalState
from sifilma.documents.lists import Export
from sifilma.identity.models import Organisation, Person, User, role_ends
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.succession import queries, service
from sifilma.succession.models import Former, HeadSuccession
from sifilma.succession.queries import Vacancy, Work
from sifilma.web.pages import moment
from sifilma.web.states import kind, state

WORK = {
    "personalisation_request": (_("Personalisation request"), "personalisation_pages.show", "request_id"),
    "activation_request": (_("Activation request"), "activation_pages.show", "request_id"),
    "handover": (_("Handover (BAST)"), "handover_pages.show", "handover_id"),
    "destruction": (_("Destruction"), "destruction_pages.show", "destruction_id"),
}
"""Kinds of open work: their words, and their page with the name of the id in its URL."""
FORMER = {
    Former.DISABLED: _("Their account is disabled"),
    Former.STAFF: _("They stay as staff"),
    Former.HEAD: _("They stay head, and the acting head stands in"),
}
REASONS = {
    "never": _("Nobody was ever head"),
    "ended": _("The head is gone: disabled, or the role has ended"),
    "invited": _("The head has not taken up the invitation"),
    "unused": _("The head has not signed in for long"),
}
EXPORT = Export(
    "pergantian-kepala",
    {
        _("Organisation"): lambda one: one.organisation.name,
        _("Outgoing head"): lambda one: one.outgoing.person.name if one.outgoing else "",
        _("New head"): lambda one: one.successor.person.name,
        _("Acting until"): lambda one: moment(one.change.ends_at) if one.change.ends_at else "",
        _("Decree number"): lambda one: one.decree_number,
        _("Decree date"): lambda one: one.decree_date.isoformat(),
        _("State"): lambda one: state(one.change.state).name,
        _("Proposed"): lambda one: one.change.proposed_at,
        _("Decided"): lambda one: one.change.decided_at or "",
    },
    orders={"sk": (_("Decree date"), HeadSuccession.decree_date)},
    counted=lambda number, words: ngettext("%(count)s succession", "%(count)s successions", number, count=words),
    filters={"organisasi": "", "state": ""},
)
VACANCIES = Export(
    "tanpa-kepala",
    {
        _("Organisation"): lambda one: one.organisation.name,
        _("Kind"): lambda one: kind(one.organisation.kind),
        _("Region code"): lambda one: one.organisation.region_code or "",
        _("Why"): lambda one: REASONS[one.reason],
        _("Since"): lambda one: one.since,
        _("Last head"): lambda one: one.last_head,
        _("A succession waits"): lambda one: _("Yes") if one.is_proposed else _("No"),
    },
    orders={"nama": (_("Name"), Organisation.name)},
    counted=lambda number, words: ngettext("%(count)s organisation", "%(count)s organisations", number, count=words),
    filters={"nama": "", "jenis": "", "sebab": ""},
)


@dataclass(frozen=True)
class WorkLine:
    """One open object on a page: its words and state; its number and page only if the actor may see it."""

    words: str
    title: str
    state: str
    endpoint: str
    values: dict[str, UUID]


def succession_page(ctx: Context, found: HeadSuccession) -> dict[str, Any]:
    """Return the values for the page of one succession, and whether the actor can agree to it, reject it or take it back."""
    waits, mine = found.change.state == ProposalState.PROPOSED, PROPOSALS.is_own(ctx, found.change)
    concerned = ctx.actor.is_central or ctx.actor.user_id == found.outgoing_id
    decides = waits and concerned and bool(grants(ctx.actor, Operation.USERS_SUCCESSION))
    return {
        "succession": found,
        "former": FORMER[Former(found.former)],
        "proposer": ctx.session.get_one(Person, found.change.proposed_by_person).name,
        "decider": ctx.session.get_one(Person, found.change.decided_by_person).name if found.change.decided_by_person else "",
        "work": [_line(one, seen) for one, seen in service.work_of(ctx, found)],
        "jobs": queries.unfinished_jobs(ctx, found.outgoing_id) if waits and found.outgoing_id else 0,
        "waits": waits,
        "mine": mine,
        "agrees": decides and not mine and found.successor.person_id != ctx.actor.person_id,
        "rejects": decides and (mine or ctx.actor.is_central),
    }


def _line(work: Work, is_seen: bool) -> WorkLine:
    words, endpoint, argument = WORK[work.kind]
    if not is_seen:
        return WorkLine(str(words), "", work.state, "", {})
    return WorkLine(str(words), work.title, work.state, endpoint, {argument: work.key})


def choices(ctx: Context, organisation: Organisation) -> dict[str, list[tuple[str, str]]]:
    """Return what the form offers: who can be followed, who can follow, and what becomes of the former head."""
    heads = list(ctx.session.scalars(queries.heads_query(organisation.id)))
    mine = [user for user in heads if ctx.actor.is_central or user.id == ctx.actor.user_id]
    return {
        "outgoing": [(str(user.id), _head(ctx, user)) for user in mine],
        "successors": [(str(user.id), f"{user.person.name} · {user.username}") for user in queries.candidates(ctx, organisation.id)],
        "formers": [(one.value, str(words)) for one, words in FORMER.items()],
    }


def _head(ctx: Context, user: User) -> str:
    ends = role_ends(user.roles, ctx.now).get(Role.HEAD)
    now = Role.HEAD in user.roles_at(ctx.now)
    words = str(_("acting until %(moment)s", moment=moment(ends))) if ends else str(_("head now") if now else _("former head"))
    return f"{user.person.name} · {user.username} · {words} · {state(user.state).name}"


def vacancy_lines(ctx: Context, organisations: Iterable[Organisation]) -> list[Vacancy]:
    """Return the lines of the list of organisations without a living head."""
    return queries.vacancies(ctx, list(organisations))


def kinds() -> list[tuple[str, str]]:
    """Return the kinds of organisation that have heads, as the choices of a filter."""
    return [(one.value, kind(one)) for one in OrganisationKind if one is not OrganisationKind.DIRECTORATE]
