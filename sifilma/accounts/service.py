"""Organisations, accounts with their invitations, roles and passwords, and API keys."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, String, bindparam, or_, select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.audit.models import Action
from sifilma.audit.service import record, record_in
from sifilma.identity.fields import email_address, id_number, phone_number, spelled, user_name
from sifilma.identity.models import (
    AccountState,
    IdKind,
    Invitation,
    LoginSession,
    Organisation,
    Person,
    User,
    UserRole,
    role_ends,
    role_names,
    role_set,
)
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import Listing
from sifilma.kernel.statements.finders import Arm, Finder, Named, pattern
from sifilma.kernel.text import say
from sifilma.sign_in import throttle
from sifilma.sign_in.authentication import secret_hash
from sifilma.sign_in.authority import carry_sessions, record_change
from sifilma.sign_in.models import Passkey, RecoveryCode
from sifilma.sign_in.passwords import check_strength, hash_password, verify_password
from sifilma.sign_in.service import end_sessions

CENTRAL = frozenset({Role.APPROVER, Role.OPERATOR, Role.AUDITOR, Role.USER_ADMIN, Role.CUSTODIAN})
LOCAL = frozenset({Role.HEAD, Role.STAFF})


@dataclass(frozen=True)
class NewUser:
    """The values of an account to be made."""

    username: str
    name: str
    id_kind: IdKind
    id_number: str
    roles: frozenset[Role]
    email: str = ""
    phone: str = ""


def register_organisation(
    ctx: Context, kind: OrganisationKind, name: str, region_code: str | None = None, address: str = ""
) -> Organisation:
    """Register an organisation. Raise Conflict if one of this kind and name exists."""
    if ctx.session.scalar(select(Organisation.id).where(Organisation.kind == kind, Organisation.name == name)):
        raise Conflict("An organisation of this kind and name exists already.")
    made = Organisation(id=uuid7(), kind=str(kind), name=name, region_code=region_code, address=address, created_at=ctx.now)
    ctx.session.add(made)
    facts = {"kind": str(kind), "region": region_code or ""}
    record(ctx, Action.ORGANISATION_REGISTER, "organisation", made.id, organisation_id=made.id, rows=[made], **facts)
    return made


def invite(ctx: Context, settings: Settings, organisation: Organisation, new: NewUser) -> tuple[User, str]:
    """Make an account in state `invited`. Return it and the secret of its link (stored as a hash).

    Raise as `make_user` does, and Forbidden (`acting-head`) for an acting head who invites a head.
    """
    _refuse_acting_head(ctx, new.roles)
    user = make_user(ctx, organisation, new)
    link = new_invitation(ctx, settings, user)
    record_change(ctx, Action.USER_INVITE, user, roles=role_names(role_set(user.roles)))
    return user, link


def invite_again(ctx: Context, settings: Settings, user: User) -> str:
    """Make a new link for an account that is not activated yet, and return its secret.

    Raise Forbidden for the actor's own account, and Conflict if it is disabled or active. The factor of an active account is removed by two
    persons only (`lost_factors`).
    """
    if user.id == ctx.actor.user_id:
        raise Forbidden("Nobody invites themselves.")
    if user.state == AccountState.DISABLED:
        raise Conflict("Enable this account first.")
    if user.state == AccountState.ACTIVE:
        raise Conflict("This account is in use: its second factor must be reported as lost.")
    return link_again(ctx, settings, user)


def begin_anew(ctx: Context, settings: Settings, user: User, change_id: UUID) -> str:
    """End password, factors and sessions of an account, as the executed proposal `change_id` asks. Return the secret of a new link."""
    user.state, user.password_hash, user.totp_sealed = AccountState.INVITED, "", None
    # The account is flushed here, before the invitation: `factor_given_up` refuses it once the proposal has its invitation.
    end_factors(ctx, user)
    end_sessions(ctx, "invited anew", LoginSession.user_id == user.id)
    return link_again(ctx, settings, user, change_id)


def link_again(ctx: Context, settings: Settings, user: User, change_id: UUID | None = None) -> str:
    """Make a new link for an account that a decided act has readied for it, and return its secret."""
    link = new_invitation(ctx, settings, user, change_id)
    record_change(ctx, Action.USER_INVITE, user, roles=role_names(role_set(user.roles)), again=True)
    return link


def end_factors(ctx: Context, user: User) -> None:
    """End all passkeys and recovery codes of an account: they may have been on the lost device."""
    for kept in (Passkey, RecoveryCode):
        ctx.session.execute(
            update(kept)
            .where(kept.user_id == user.id, kept.ended_at.is_(None))
            .values(ended_at=ctx.now, seal=None)
            .execution_options(synchronize_session=False)
        )


def new_invitation(ctx: Context, settings: Settings, user: User, change_id: UUID | None = None, *, consent_id: UUID | None = None) -> str:
    """Store a new invitation and return the secret of its link. Earlier links of the account lapse."""
    lapse_invitations(ctx, user)
    secret = secrets.token_urlsafe(32)
    expires = ctx.now + timedelta(hours=settings.invitation_hours)
    ctx.session.add(
        Invitation(
            user_id=user.id,
            token_hash=secret_hash(secret),
            expires_at=expires,
            created_by=ctx.actor.user_id,
            created_at=ctx.now,
            change_id=change_id,
            consent_id=consent_id,
        )
    )
    return secret


def lapse_invitations(ctx: Context, user: User) -> None:
    """End all open invitations of an account."""
    ctx.session.execute(
        update(Invitation)
        .where(Invitation.user_id == user.id, Invitation.used_at.is_(None), Invitation.expires_at > ctx.now)
        .values(expires_at=ctx.now - timedelta(seconds=1), seal=None)
        .execution_options(synchronize_session=False)
    )


def make_user(ctx: Context, organisation: Organisation, new: NewUser) -> User:
    """Make an account in state `invited`, without a link, of a stand-in for the person that the inviter names (`Person`).

    Whether that person is known is not looked up here, so that nothing of the answer can tell the inviter. Raise Invalid for a user name,
    id number or role that is not allowed, and Conflict for a user name that is taken or for capabilities that exclude each other.
    """
    new = _checked(organisation, new)
    if ctx.session.scalar(select(User.id).where(User.username == new.username)):
        raise Conflict("This user name is taken.")
    _require_compatible(new.roles)
    user_id = uuid7()
    person = Person(
        id=uuid7(),
        identity=f"claim:{user_id}",
        claims=identity_of(organisation.id, new.id_kind, new.id_number),
        id_kind=str(new.id_kind),
        id_number=new.id_number,
        name=new.name,
    )
    ctx.session.add(person)
    record(ctx, Action.PERSON_REGISTER, "person", person.id, organisation_id=organisation.id, rows=[person])
    ctx.session.flush()
    user = User(
        id=user_id,
        person_id=person.id,
        organisation_id=organisation.id,
        username=new.username,
        state=AccountState.INVITED,
        created_at=ctx.now,
        email=new.email,
        phone=new.phone,
    )
    ctx.session.add(user)
    ctx.session.flush()
    give_roles(ctx, user, new.roles)
    return user


def _checked(organisation: Organisation, new: NewUser) -> NewUser:
    """Return the values as they are kept. A schema has checked them already, but a command has none."""
    allowed = CENTRAL if organisation.kind == OrganisationKind.DIRECTORATE else LOCAL
    if not new.roles or not new.roles <= allowed:
        raise Invalid.field("roles", say("Choose from: %(roles)s.", roles=", ".join(sorted(allowed))))
    return replace(
        new,
        username=_fit("username", lambda: user_name(new.username)),
        name=_fit("name", lambda: spelled(new.name)),
        id_number=_fit("id_number", lambda: id_number(new.id_kind, new.id_number)),
        email=_fit("email", lambda: email_address(new.email)),
        phone=_fit("phone", lambda: phone_number(new.phone)),
    )


def _fit(field: str, spell: Callable[[], str]) -> str:
    try:
        return spell()
    except ValueError as wrong:
        raise Invalid.field(field, wrong.args[0]) from None


def identity_of(organisation_id: UUID, kind: IdKind, number: str) -> str:
    """Return the identity of a person. Accounts of one human being share it, so that four eyes count them as one."""
    # An employee number is unique within its organisation only; NIP and NRP are unique in the country.
    scope = f"{organisation_id}:" if kind is IdKind.EMPLOYEE else ""
    return f"{kind}:{scope}{number}"


def give_roles(ctx: Context, user: User, roles: frozenset[Role]) -> None:
    """End the roles that an account is to hold no more, and give it the new ones. A temporary role that stays keeps its end."""
    kept = set()
    for row in _given(ctx, user):
        if row.role in roles and (row.ends_at is None or row.ends_at > ctx.now):
            kept.add(row.role)
        else:
            row.until = min(ctx.now, row.ends_at or ctx.now)
    ctx.session.flush()  # before the new ones: a trigger refuses roles that exclude each other
    ctx.session.add_all(UserRole(user_id=user.id, role=str(role), since=ctx.now) for role in roles - kept)
    ctx.session.flush()
    ctx.session.expire(user, ["roles"])


def give_role(ctx: Context, user: User, role: Role, ends_at: datetime | None) -> None:
    """Give an account one more role, until a moment or for good, and end its sessions. What it holds besides stays."""
    for row in _given(ctx, user):
        if row.role == role and row.ends_at is not None:
            row.until = min(ctx.now, row.ends_at)
    ctx.session.flush()
    ctx.session.add(UserRole(user_id=user.id, role=str(role), since=ctx.now, ends_at=ends_at))
    ctx.session.flush()
    ctx.session.expire(user, ["roles"])
    end_sessions(ctx, "roles changed", LoginSession.user_id == user.id)
    held = role_names(role_set(user.roles))
    if ends_at is None:
        record_change(ctx, Action.USER_ROLES, user, roles=held)
    else:
        record_change(ctx, Action.USER_DEPUTY, user, roles=held, role=str(role), until=ends_at.isoformat())


def _given(ctx: Context, user: User) -> Sequence[UserRole]:
    return ctx.session.scalars(select(UserRole).where(UserRole.user_id == user.id, UserRole.until.is_(None))).all()


def check_capabilities(ctx: Context, person: Person, roles: frozenset[Role], besides: UUID | None = None) -> None:
    """Raise Conflict (`capabilities`) if a person would hold both `user_admin` and `approver`, or `auditor` beside another role.

    All accounts of the person count that are not disabled, except `besides`. Triggers refuse the same (`sifilma/identity/models.py`).
    """
    # Two concurrent changes of one person's accounts would not see each other.
    ctx.session.execute(select(Person.id).where(Person.id == person.id).with_for_update(key_share=True))
    others = ctx.session.execute(select(User.id, User.roles).where(User.person_id == person.id, User.state != AccountState.DISABLED))
    held = roles.union(*(role_set(names) for user_id, names in others if user_id != besides))
    _require_compatible(held)


def _require_compatible(held: frozenset[Role]) -> None:
    if {Role.USER_ADMIN, Role.APPROVER} <= held or (Role.AUDITOR in held and len(held) > 1):
        raise Conflict("These capabilities never meet in one person.", type="capabilities")


def change_password(ctx: Context, settings: Settings, current: str, new: str) -> None:
    """Change the actor's password and end their other sessions.

    Raise TooMany after too many wrong tries, Invalid if `current` is wrong or `new` is weak, Unavailable if the file of breached passwords
    cannot be searched, and Conflict if it was changed meanwhile.
    """
    user_id = ctx.actor.user_id
    assert user_id is not None  # noqa: S101  # the gate admits only people
    known = ctx.session.get_one(User, user_id)
    check_strength(new, known.username, settings)
    slot = throttle.admit(ctx, {f"password:{user_id}": throttle.PASSWORD})
    # No transaction is open while passwords are hashed.
    if not verify_password(known.password_hash, current):
        # In a transaction of its own: the refusal rolls this one back, and the failure must still be recorded.
        ctx.uow.separately(lambda session: _note_wrong(session, ctx, user_id, slot))
        raise Invalid.field("current", "This is not the current password.")
    hashed = hash_password(new)
    ctx.uow.begin_write()
    user = ctx.session.get_one(User, user_id)
    if user.password_hash != known.password_hash:
        raise Conflict("Somebody else changed this a moment ago. Look again.")
    throttle.forgive(ctx.session, *slot.limits)
    version, user.password_hash = user.authority_version, hashed
    end_sessions(ctx, "password changed", LoginSession.user_id == user.id, LoginSession.id != ctx.actor.session_id)
    record_change(ctx, Action.USER_PASSWORD, user)
    carry_sessions(ctx, user, version)


def _note_wrong(session: Session, ctx: Context, user_id: UUID, slot: throttle.Slot) -> None:
    throttle.note_block(session, ctx, slot, user_id)
    record_in(session, ctx, Action.SESSION_PASSWORD_REFUSED, "user", user_id)


def keep_preferences(ctx: Context, language: str, time_zone: str, notices: Sequence[str]) -> None:
    """Store the actor's language, time zone and channels for reminders."""
    user = ctx.session.get_one(User, ctx.actor.user_id)
    user.language, user.time_zone, user.notices = language, time_zone, " ".join(sorted(set(notices)))
    record(ctx, Action.USER_PREFERENCES, "user", user.id)


def get_user(ctx: Context, user_id: UUID) -> User:
    """Return an account, whatever the scope. Raise NotFound if there is none. The caller has checked that the actor may see it."""
    found = ctx.session.get(User, user_id)
    if found is None:
        raise NotFound()
    return found


def get_organisation(ctx: Context, organisation_id: UUID | None) -> Organisation:
    """Return an organisation by its id. Raise Invalid if the id is missing or unknown."""
    found = ctx.session.get(Organisation, organisation_id) if organisation_id else None
    if found is None:
        raise Invalid.field("organisation", "Name an organisation (GET /organisations).")
    return found


def get_own_organisation(ctx: Context) -> Organisation:
    """Return the actor's organisation."""
    return ctx.session.get_one(Organisation, ctx.actor.organisation_id)


ORGANISATION_FINDER = Finder(Arm(Organisation.id, Named(Organisation.id, Organisation.id, Organisation.name), pattern))
"""What finds a part of an organisation's name."""


def list_organisations(kind: str | None, text: str | None) -> Listing[Organisation]:
    """Return organisations by kind and by a part of the name. None does not filter."""
    query = select(Organisation)
    if kind:
        query = query.where(Organisation.kind == kind)
    if text:
        query = query.where(ORGANISATION_FINDER.fitting(text))
    return query, Organisation.id


def named_organisations_query() -> Select[Organisation]:
    """Return a query of the organisations whose name or region code is `name`."""
    name = bindparam("name", type_=String)
    return select(Organisation).where(or_(Organisation.name == name, Organisation.region_code == name))


def machine_facts(ctx: Context) -> dict[str, Any]:
    """Return what an API key is told about itself, in the shape of `MeOut`."""
    own = get_own_organisation(ctx)
    known = {"id": str(own.id), "name": own.name, "kind": own.kind, "region_code": own.region_code}
    return {"username": ctx.actor.username, "name": ctx.actor.username, "roles": ["key"], "organisation": known}


def change(ctx: Context, user: User, what: str, roles: frozenset[Role]) -> None:
    """Carry out a change: `roles`, `disable` or `enable`. Raise as `set_roles` and `set_disabled` do."""
    if user.id != ctx.actor.user_id:
        _refuse_acting_head(ctx, user.roles_at(ctx.now) | roles)
    if what == "roles":
        set_roles(ctx, user, roles)
    else:
        set_disabled(ctx, user, what == "disable")


def _refuse_acting_head(ctx: Context, roles: frozenset[Role]) -> None:
    """Raise Forbidden (`acting-head`) if the actor is head until a day only, and the account is or becomes a head's."""
    actor = ctx.session.get(User, ctx.actor.user_id) if Role.HEAD in roles and ctx.actor.user_id else None
    if actor is not None and Role.HEAD in role_ends(actor.roles, ctx.now):
        raise Forbidden("An acting head neither makes nor changes a head: that is done by decree.", type="acting-head")


def list_own_users(ctx: Context) -> Listing[User]:
    """Return the accounts of the actor's organisation, as a query to be paged."""
    return select(User).where(User.organisation_id == ctx.actor.organisation_id), User.id


def get_own_user(ctx: Context, user_id: UUID) -> User:
    """Return an account of the actor's organisation. Raise NotFound for any other."""
    user = ctx.session.get(User, user_id)
    if user is None or user.organisation_id != ctx.actor.organisation_id:
        raise NotFound()
    return user


def set_disabled(ctx: Context, user: User, disabled: bool, reason: str = "") -> None:
    """Disable or enable an account. Disabling ends its sessions and links in the same transaction. `reason` is that of a review or of time.

    An enabled account that was never activated is `invited` and needs a new link. Raise Forbidden for the actor's own account, and Conflict
    if it is not disabled or capabilities would exclude each other.
    """
    if user.id == ctx.actor.user_id:
        raise Forbidden("Nobody disables their own account.")
    if disabled:
        end_account(ctx, user, reason)
        return
    if user.state == AccountState.DISABLED:
        if user.person.pseudonym_act_id is not None:
            raise Conflict("This person has left for good: nothing tells any more who it was. Invite them anew.")
        check_capabilities(ctx, user.person, role_set(user.roles), user.id)
        user.state = AccountState.ACTIVE if user.password_hash else AccountState.INVITED
        user.active_since, user.disabled_at = ctx.now, None
    else:
        raise Conflict("This account is not disabled.")
    record_change(ctx, Action.USER_ENABLE, user, **({"reason": reason} if reason else {}))


def end_account(ctx: Context, user: User, reason: str = "") -> None:
    """Disable an account, whoever acts, and end its sessions and links."""
    user.state, user.disabled_at = AccountState.DISABLED, user.disabled_at or ctx.now
    end_sessions(ctx, "account disabled", LoginSession.user_id == user.id)
    lapse_invitations(ctx, user)
    record_change(ctx, Action.USER_DISABLE, user, **({"reason": reason} if reason else {}))


def set_roles(ctx: Context, user: User, roles: frozenset[Role]) -> None:
    """Change the roles of an account and end its sessions.

    Raise Invalid for roles its organisation does not have, Forbidden for the actor's own account, and Conflict if capabilities exclude
    each other.
    """
    allowed = CENTRAL if user.organisation.kind == OrganisationKind.DIRECTORATE else LOCAL
    if not roles or not roles <= allowed:
        raise Invalid.field("roles", say("Choose from: %(roles)s.", roles=", ".join(sorted(allowed))))
    if user.id == ctx.actor.user_id:
        raise Forbidden("Nobody changes their own roles.")
    check_capabilities(ctx, user.person, roles, user.id)
    give_roles(ctx, user, roles)
    end_sessions(ctx, "roles changed", LoginSession.user_id == user.id)
    record_change(ctx, Action.USER_ROLES, user, roles=role_names(role_set(user.roles)))
