"""People who are known, and get a further account: as an inviter claims it, and by their consent."""

from __future__ import annotations

from uuid import UUID

import pyotp
from sqlalchemy import select

from sifilma.accounts import consents, enrolments
from sifilma.accounts.models import AccountConsent
from sifilma.accounts.service import give_roles, new_invitation
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import AccountState, Person, User, role_names, role_set
from sifilma.kernel.actor import Role
from sifilma.kernel.ids import uuid7
from sifilma.sign_in.authority import record_change
from tests.support.world import PASSWORD, World, done


def claimed_account(world: World, of: str, username: str, colleague: str, *roles: Role) -> str:
    """Invite the person of an account into the organisation of a colleague, as an inviter does. Return the secret of the link.

    The stand-in claims the very identity of that person: people of a World have employee numbers, which no other organisation can name.
    """
    user_id = uuid7()
    with world.context() as ctx:
        [person] = ctx.session.scalars(select(Person).join(User, User.person_id == Person.id).where(User.username == of))
        claim = Person(
            id=uuid7(),
            identity=f"claim:{user_id}",
            claims=person.identity,
            id_kind=person.id_kind,
            id_number=person.id_number,
            name="Nama Tulisan",
        )
        ctx.session.add(claim)
        record(ctx, Action.PERSON_REGISTER, "person", claim.id, rows=[claim])
        ctx.session.flush()
        home = ctx.session.scalars(select(User.organisation_id).where(User.username == colleague)).one()
        user = User(id=user_id, person_id=claim.id, organisation_id=home, username=username, state=AccountState.INVITED, created_at=ctx.now)
        ctx.session.add(user)
        ctx.session.flush()
        give_roles(ctx, user, frozenset(roles))
        record_change(ctx, Action.USER_INVITE, user, roles=role_names(role_set(user.roles)))
        world.users[username] = user_id
        return new_invitation(ctx, world.settings, user)


def invited_by(world: World, head: str, username: str, number: str) -> str:
    """Have a head invite somebody with a NIP. Return the secret of the link."""
    new = {"username": username, "name": f"{username} Contoh", "id_kind": "nip", "id_number": number, "roles": ["staff"]}
    made = done(world.client(head).post("/users", new), 201)
    world.users[username] = UUID(made["user"]["id"])
    return str(made["invitation"]).rpartition("/")[2]


def asked(world: World, username: str) -> UUID:
    """Let the worker ask. Return the id of the question about an account."""
    with world.context() as ctx:
        consents.ask_known_people(ctx, world.settings)
        query = select(AccountConsent.id).where(AccountConsent.user_id == world.users[username])
        return ctx.session.scalars(query.order_by(AccountConsent.id.desc()).limit(1)).one()


def take_up(world: World, username: str, secret: str) -> None:
    """Take an account up with its link."""
    with world.context() as ctx:
        view = enrolments.look(ctx, world.settings, secret)
        enrolments.enrol(ctx, world.settings, secret, view.browser, PASSWORD, pyotp.TOTP(view.seed).at(ctx.now))
    world.seeds[username] = view.seed


def accepted(world: World, of: str, username: str) -> None:
    """Have the person of an account accept a further one, and take it up."""
    question = asked(world, username)
    with world.acting(of) as ctx:
        _, secret = consents.answer(ctx, world.settings, question, accept=True)
    take_up(world, username, secret or "")


def further_account(world: World, of: str, username: str, colleague: str, *roles: Role) -> UUID:
    """Give the person of an account another one, in the organisation of a colleague, by their consent. Return its id."""
    claimed_account(world, of, username, colleague, *roles)
    accepted(world, of, username)
    return world.users[username]
