"""Have one head follow another by decree: proposed and decided by two user administrators, or by the outgoing head and one of them.

What needs no passing on is the organisation's: its drafts, cards and tasks stand before whoever is its head. What is somebody's own, since
they submitted, issued or wrote it, passes on in the same transaction: word about it goes to the successor from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID

from flask_babel import gettext
from sqlalchemy import select

from config.settings import Settings
from sifilma.accounts import proposals, service
from sifilma.accounts.models import SUCCESSION, USER_CHANGE, UserChange
from sifilma.accounts.proposals import PROPOSALS
from sifilma.approvals.file_access import HandedOut, hand_out
from sifilma.approvals.letters import LONGEST_KEY, letter_key
from sifilma.approvals.models import ProposalState
from sifilma.audit.models import Action
from sifilma.documents.indonesian import zone_of
from sifilma.documents.models import DocumentKind
from sifilma.documents.service import Upload, keep_pdf
from sifilma.identity.models import AccountState, LoginSession, Organisation, User, role_ends, role_names, role_set
from sifilma.identity.permissions import grants
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.kernel.days import wrong_paper_day
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Faults, Forbidden, Invalid, NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say
from sifilma.notifications import bell
from sifilma.notifications.bell import Ring
from sifilma.sign_in import contacts
from sifilma.sign_in.authority import record_change
from sifilma.sign_in.service import end_sessions
from sifilma.succession import queries
from sifilma.succession.models import Former, HeadSuccession, PassedWork
from sifilma.succession.queries import Work
from sifilma.succession.schemas import SuccessionIn

LONGEST_ACTING = timedelta(days=366)
PAGE = "/pergantian"
DISABLED = say("This account is disabled. Name another, or invite the person anew.")
SAME = say("Head and successor are one person.")


@dataclass(frozen=True)
class Parties:
    """Who follows whom in which organisation."""

    organisation: Organisation
    outgoing: User | None
    successor: User


# --- proposing -------------------------------------------------------------------------------------------------------


def propose(ctx: Context, settings: Settings, store: FileStore, data: SuccessionIn, decree: Upload | None) -> HeadSuccession:
    """Propose that somebody follows as head, and tell the head who is followed. Return the proposal.

    A new person's account is made, without a link and without the role. Raise Invalid for what does not fit together or a decree that is no
    safe PDF, Forbidden for a head who proposes for another, NotFound for another organisation's, and Conflict (`proposed-already`, or what
    an account's state does not allow).
    """
    organisation = _organisation(ctx, data)
    # Of two proposals at once the second sees the first.
    ctx.session.execute(select(Organisation.id).where(Organisation.id == organisation.id).with_for_update(key_share=True))
    if queries.find_waiting(ctx, organisation.id) is not None:
        raise Conflict("A succession of this organisation's head waits already.", type="proposed-already")
    outgoing = _outgoing(ctx, organisation, data)
    _refuse_paper(ctx, data, decree)
    ends_at = _last_moment(ctx, data.until) if data.until is not None else None
    _refuse_former(ctx, outgoing, data)
    successor = _successor(ctx, organisation, data)
    parties = Parties(organisation, outgoing, successor)
    _require_possible(ctx, parties)
    if successor.person_id == ctx.actor.person_id:
        raise Forbidden("Nobody proposes themselves as head.", type="four-eyes")
    document = keep_pdf(ctx, store, decree, DocumentKind.DECREE, "decree") if decree is not None else None
    assert document is not None  # noqa: S101  # `_refuse_paper`
    made = HeadSuccession(
        id=uuid7(),
        organisation_id=organisation.id,
        outgoing_id=outgoing.id if outgoing is not None else None,
        successor_id=successor.id,
        former=str(data.former),
        is_invited=data.invited is not None,
        decree_number=data.decree_number,
        decree_date=data.decree_date,
        decree_document_id=document.id,
    )
    roles = frozenset({Role.HEAD})
    proposals.make_proposal(ctx, successor, SUCCESSION, roles, data.reason, [made], id=made.id, ends_at=ends_at)
    ctx.session.add(made)
    ctx.session.flush()
    if outgoing is not None and outgoing.id != ctx.actor.user_id:
        _tell_proposed(ctx, settings, organisation, outgoing, made)
    return made


def _organisation(ctx: Context, data: SuccessionIn) -> Organisation:
    if not ctx.actor.is_central:
        if data.organisation not in (None, ctx.actor.organisation_id):
            raise NotFound()
        return service.get_own_organisation(ctx)
    found = service.get_organisation(ctx, data.organisation)
    if found.kind == OrganisationKind.DIRECTORATE:
        raise Invalid.field("organisation", "The directorate has no head here: its accounts are changed one by one.")
    return found


def _outgoing(ctx: Context, organisation: Organisation, data: SuccessionIn) -> User | None:
    if not ctx.actor.is_central:
        if data.outgoing not in (None, ctx.actor.user_id):
            raise Forbidden("A head proposes who follows them; for another head a user administrator does.", type="not-head")
        return ctx.session.get_one(User, ctx.actor.user_id)
    if data.outgoing is None:
        if queries.has_living_head(ctx, organisation.id):
            raise Invalid.field("outgoing", "This organisation has a head: name whom the new one follows.")
        return None
    found = ctx.session.scalars(queries.heads_query(organisation.id).where(User.id == data.outgoing)).first()
    if found is None:
        raise Invalid.field("outgoing", "This account neither is nor was head of the organisation.")
    return found


def _refuse_paper(ctx: Context, data: SuccessionIn, decree: Upload | None) -> None:
    faults = Faults()
    key = letter_key(data.decree_number)
    if not any(map(str.isalnum, key)):
        faults.add("decree_number", say("A decree number has letters or digits."))
    elif len(key) > LONGEST_KEY:
        faults.add("decree_number", say("This number is too long. Write it in plain letters and digits."))
    if (wrong := wrong_paper_day(ctx.now, data.decree_date)) is not None:
        faults.add("decree_date", wrong)
    if decree is None:
        faults.add("decree", say("This file is missing."))
    faults.refuse()


def _last_moment(ctx: Context, last_day: date) -> datetime:
    zone = zone_of(None)
    today = ctx.now.astimezone(zone).date()
    if not today <= last_day <= today + LONGEST_ACTING:
        raise Invalid.field("until", say("Name a day from today on, at most %(days)s days ahead.", days=LONGEST_ACTING.days))
    return datetime.combine(last_day + timedelta(days=1), time(), zone)


def _refuse_former(ctx: Context, outgoing: User | None, data: SuccessionIn) -> None:
    if data.former is not Former.HEAD:
        return
    stays = outgoing is not None and Role.HEAD in outgoing.roles_at(ctx.now) and Role.HEAD not in role_ends(outgoing.roles, ctx.now)
    if data.until is None or not stays:
        raise Invalid.field("former", "A head stays one only beside an acting head, whose last day is named.")


def _successor(ctx: Context, organisation: Organisation, data: SuccessionIn) -> User:
    if (data.successor is None) == (data.invited is None):
        raise Invalid.field("successor", "Name an account of the organisation, or invite a new person: one of the two.")
    if data.invited is not None:
        user = service.make_user(ctx, organisation, data.invited.new_user())
        record_change(ctx, Action.USER_REGISTER, user, roles=role_names(role_set(user.roles)))
        return user
    found = ctx.session.get(User, data.successor)
    if found is None or found.organisation_id != organisation.id:
        raise Invalid.field("successor", "This account is not one of the organisation.")
    return found


def _require_possible(ctx: Context, parties: Parties) -> None:
    """Refuse what could not be executed. Execution asks again, since accounts may have changed meanwhile."""
    successor, outgoing = parties.successor, parties.outgoing
    if successor.state == AccountState.DISABLED:
        raise Conflict(DISABLED)
    if outgoing is not None and outgoing.person_id == successor.person_id:
        raise Conflict(SAME)
    if Role.HEAD in successor.roles_at(ctx.now) and Role.HEAD not in role_ends(successor.roles, ctx.now):
        raise Conflict("This account is head already.")
    service.check_capabilities(ctx, successor.person, role_set(successor.roles) | {Role.HEAD}, successor.id)


# --- deciding --------------------------------------------------------------------------------------------------------


def decide(ctx: Context, settings: Settings, change_id: UUID, execute: bool) -> tuple[UserChange, str | None]:
    """Execute or reject a proposed change of an account. Return it and the secret of a link, if one was made.

    A succession is decided here, everything else as `proposals.decide_change` does. Its proposer may reject it, that is, withdraw it. Raise
    NotFound for what is neither a user administrator's to decide nor the outgoing head's, Forbidden (`four-eyes`) if the actor is not the
    second person, and Conflict if it was decided already or cannot be executed any more.
    """
    found = ctx.session.get(HeadSuccession, change_id)
    if found is None and ctx.actor.is_central:
        return proposals.decide_change(ctx, settings, change_id, execute)
    if found is None or not (ctx.actor.is_central or ctx.actor.user_id == found.outgoing_id):
        raise NotFound()
    proposal = found.change
    PROPOSALS.take(ctx, proposal)
    if not execute:
        _require_rejecter(ctx, proposal)
        proposals.settle(ctx, proposal, False, found.organisation_id)
        if found.is_invited and found.successor.state == AccountState.INVITED:
            service.set_disabled(ctx, found.successor, True, "succession rejected")
        return proposal, None
    _require_second(ctx, found, proposal)
    return proposal, _execute(ctx, settings, found, proposal)


def _require_rejecter(ctx: Context, proposal: UserChange) -> None:
    if not ctx.actor.is_central and not PROPOSALS.is_own(ctx, proposal):
        raise Forbidden("A head agrees to being followed, or leaves it to the user administrators.", type="four-eyes")


def _require_second(ctx: Context, found: HeadSuccession, proposal: UserChange) -> None:
    """Raise unless the actor and the proposer are two user administrators, or the outgoing head and one. The trigger asks the same."""
    if PROPOSALS.is_own(ctx, proposal) or found.successor.person_id == ctx.actor.person_id:
        raise Forbidden("Another person must decide this.", type="four-eyes")
    outgoing = found.outgoing
    by_head = outgoing is not None and outgoing.person_id == proposal.proposed_by_person
    if not queries.administers(ctx, proposal.proposed_by_person) and not (by_head and ctx.actor.is_central):
        raise Conflict("Who proposed this is no user administrator any more: reject it, and propose it anew.", type="proposer-gone")


def _execute(ctx: Context, settings: Settings, found: HeadSuccession, proposal: UserChange) -> str | None:
    parties = Parties(found.organisation, found.outgoing, found.successor)
    for user in sorted(filter(None, (parties.outgoing, parties.successor)), key=lambda one: one.id):
        hold(ctx.session, user)
    _require_possible(ctx, parties)
    if proposal.ends_at is not None and proposal.ends_at <= ctx.trusted_now:
        raise Conflict("The last day of this role is over: reject the proposal.")
    passes = passing(ctx, found)
    _tell_decided(ctx, settings, parties, found)
    proposals.settle(ctx, proposal, True, found.organisation_id, count=len(passes))
    service.give_role(ctx, parties.successor, Role.HEAD, proposal.ends_at)
    if parties.outgoing is not None and found.former != Former.HEAD:
        _take_head(ctx, parties.outgoing, disable=found.former == Former.DISABLED)
    ctx.session.add_all(PassedWork(succession_id=found.id, object_kind=one.kind, object_id=one.key, user_id=one.user_id) for one in passes)
    ctx.session.flush()
    if parties.successor.state != AccountState.INVITED:
        return None
    return service.link_again(ctx, settings, parties.successor)


def _take_head(ctx: Context, user: User, *, disable: bool) -> None:
    """Make a former head an ordinary account, and end it if so decided. Both end its sessions."""
    held = role_set(user.roles)
    if Role.HEAD in held:
        service.give_roles(ctx, user, (held - {Role.HEAD}) or frozenset({Role.STAFF}))
        end_sessions(ctx, "roles changed", LoginSession.user_id == user.id)
        record_change(ctx, Action.USER_ROLES, user, roles=role_names(role_set(user.roles)))
    if disable and user.state != AccountState.DISABLED:
        service.end_account(ctx, user, "head succeeded")


def passing(ctx: Context, found: HeadSuccession) -> list[Work]:
    """Return the open work that passes on when a proposal is executed: nothing where the head stays, or there is none."""
    if found.outgoing_id is None or found.former == Former.HEAD:
        return []
    return queries.open_work(ctx, found.outgoing_id)


def work_of(ctx: Context, found: HeadSuccession) -> list[tuple[Work, bool]]:
    """Return what passes on, and of each object whether the actor may see more of it than that it is one.

    Of a waiting proposal it is what would pass, of an executed one what has, in its present state.
    """
    waits = found.change.state == ProposalState.PROPOSED
    work = passing(ctx, found) if waits else queries.passed_work(ctx, found.id)
    return [(one, bool(grants(ctx.actor, queries.OPEN[one.kind].operation))) for one in work]


def decree_of(ctx: Context, store: FileStore, succession_id: UUID) -> HandedOut:
    """Return the decree, and record the download. Raise NotFound if the actor may not see the succession."""
    found = queries.get_succession(ctx, succession_id)
    return hand_out(ctx, store, found.decree_document_id, USER_CHANGE.kind, found.id, found.organisation_id)


# --- telling ---------------------------------------------------------------------------------------------------------


def _tell_proposed(ctx: Context, settings: Settings, organisation: Organisation, outgoing: User, found: HeadSuccession) -> None:
    def write() -> tuple[str, str, str]:
        return (
            gettext("SI-FILMA: somebody is proposed to follow you as head"),
            gettext(
                "%(organisation)s: by decree %(number)s another head is proposed. A second person decides. If you know nothing of it, tell"
                " the user administrators at once.",
                organisation=organisation.name,
                number=found.decree_number,
            ),
            f"{PAGE}/{found.id}",
        )

    contacts.tell_everywhere(ctx, settings, outgoing.person_id, write)
    bell.ring(ctx.session, ctx.now, [Ring(outgoing.id, "agree_succession", found.id, "")])


def _tell_decided(ctx: Context, settings: Settings, parties: Parties, found: HeadSuccession) -> None:
    """Tell both persons, while the account of the head who leaves still is in use: nothing is written to one that is disabled."""
    facts = {"organisation": parties.organisation.name, "number": found.decree_number}

    def to_successor() -> tuple[str, str, str]:
        return (
            gettext("SI-FILMA: you are head of %(organisation)s", organisation=facts["organisation"]),
            gettext(
                "By decree %(number)s you are head of %(organisation)s from now on. Open work of the former head has passed on to you. If"
                " you know nothing of it, tell the user administrators at once.",
                **facts,
            ),
            "/",
        )

    def to_former() -> tuple[str, str, str]:
        return (
            gettext("SI-FILMA: another head of %(organisation)s", organisation=facts["organisation"]),
            {
                Former.DISABLED: gettext(
                    "By decree %(number)s another person is head of %(organisation)s. Your account there is disabled, and your open work"
                    " has passed on.",
                    **facts,
                ),
                Former.STAFF: gettext(
                    "By decree %(number)s another person is head of %(organisation)s. Your account there is that of staff from now on, and"
                    " your open work has passed on.",
                    **facts,
                ),
                Former.HEAD: gettext(
                    "By decree %(number)s an acting head stands in for you at %(organisation)s. You stay its head, and your open work stays"
                    " yours.",
                    **facts,
                ),
            }[Former(found.former)],
            "/masuk",
        )

    contacts.tell_everywhere(ctx, settings, parties.successor.person_id, to_successor)
    bell.ring(ctx.session, ctx.now, [Ring(parties.successor.id, "made_head", found.id, "")])
    if parties.outgoing is not None:
        contacts.tell_everywhere(ctx, settings, parties.outgoing.person_id, to_former)
