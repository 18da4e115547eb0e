"""Organisations, people, their accounts, and what signing in needs of them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, cast
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    exists,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, column_property, mapped_column, relationship

from sifilma.audit import recorded
from sifilma.audit.recorded import Recorded
from sifilma.kernel import seals, triggers
from sifilma.kernel.actor import KeyScope, OrganisationKind, Role
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.seals import Part, Sealed


class IdKind(StrEnum):
    """How a person is known. A NIK is never taken (docs/domain.md, rule 12)."""

    NIP = "nip"
    NRP = "nrp"
    EMPLOYEE = "employee"


class AccountState(StrEnum):
    """The state of an account: invited, then active. A disabled account can be enabled again."""

    INVITED = "invited"
    ACTIVE = "active"
    DISABLED = "disabled"


class Organisation(Recorded, Base):
    """The directorate, an office, an institution or a manufacturer."""

    __tablename__ = "organisation"
    __recorded__ = ("kind", "name", "region_code", "address", "created_at")
    __table_args__ = (
        CheckConstraint("kind IN ({})".format(", ".join(f"'{k.value}'" for k in OrganisationKind)), name="kind"),
        UniqueConstraint("kind", "name"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(200))
    region_code: Mapped[str | None] = mapped_column(String(13), index=True)
    address: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Person(Recorded, Base):
    """One human being. `identity` is `nip:…`, `nrp:…` or `employee:<organisation>:…`.

    It is unique, because four eyes compare persons: somebody with two accounts is still one person.

    An inviter only claims who the invited is. Until the account is taken up its person is a stand-in with the name and number that the
    inviter wrote: `claims` is the identity it would have, and its own identity is `claim:<account>`. Taking up either makes the stand-in
    the person of that identity, or, with the consent of the person there is, gives the account to them.
    """

    __tablename__ = "person"
    __recorded__ = ("identity", "id_kind", "id_number", "name", "claims")

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    identity: Mapped[str] = mapped_column(String(120), unique=True)
    id_kind: Mapped[str] = mapped_column(String(10))
    id_number: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(200))
    claims: Mapped[str | None] = mapped_column(String(120), index=True)


_HELD = text("until IS NULL")


class UserRole(Part, Base):
    """One role of an account, held from `since` until `until`. No row is deleted: they say who held what, and when.

    The seal of the account covers the roles that it holds.
    """

    __tablename__ = "user_role"
    __table_args__ = (
        CheckConstraint("role IN ({})".format(", ".join(f"'{role.value}'" for role in Role)), name="role"),
        Index(
            "uq_user_role_held", "user_id", "role", unique=True, sqlite_where=text("until IS NULL"), postgresql_where=text("until IS NULL")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"))
    role: Mapped[str] = mapped_column(String(20))
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def whole(self, session: Session) -> Sealed:
        """Return the account that holds this role."""
        return session.get_one(User, self.user_id)


class User(Sealed, Base):
    """An account of one person in one organisation. `roles` are the Role values that it holds now, separated by spaces, read only.

    An empty `time_zone` means that of the organisation's province. `notices` are the channels for reminders, separated by spaces. `email`
    and `phone` belong to this account only: addresses that another organisation entered for the same person are not used here.
    `authority_version` grows with each change of what the seal covers. The entry of the act states it, and sessions are bound to it.
    """

    __tablename__ = "user_account"
    __sealed__ = (
        "id", "person_id", "organisation_id", "username", "state", "password_hash", "totp_sealed", "email", "phone", "roles",
        "authority_version",
    )  # fmt: skip
    __sealed_as__: ClassVar = {"roles": lambda names: " ".join(sorted(names.split()))}
    __version__ = "authority_version"
    __table_args__ = (
        CheckConstraint("state IN ('invited', 'active', 'disabled')", name="state"),
        CheckConstraint("state <> 'active' OR (password_hash <> '' AND totp_sealed IS NOT NULL)", name="enrolled"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"), index=True)
    username: Mapped[str] = mapped_column(String(60), unique=True)
    state: Mapped[str] = mapped_column(String(20))
    password_hash: Mapped[str] = mapped_column(String(200), default="")
    totp_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    totp_last_step: Mapped[int] = mapped_column(BigInteger, default=0)
    language: Mapped[str] = mapped_column(String(2), default="id", server_default="id")
    time_zone: Mapped[str] = mapped_column(String(40), default="", server_default="")
    notices: Mapped[str] = mapped_column(String(100), default="email", server_default="email")
    email: Mapped[str] = mapped_column(String(200), default="", server_default="")
    phone: Mapped[str] = mapped_column(String(30), default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    authority_version: Mapped[int] = mapped_column(Integer, default=0, server_default="0")

    person: Mapped[Person] = relationship(lazy="joined")
    organisation: Mapped[Organisation] = relationship(lazy="joined")
    # In the statement that reads the account: a relationship would be one more.
    roles: Mapped[str] = column_property(
        select(func.coalesce(func.aggregate_strings(UserRole.role, cast(str, literal_column("' '"))), literal_column("''")))
        .where(UserRole.user_id == id, UserRole.until.is_(None))
        .correlate_except(UserRole)
        .scalar_subquery()
    )

    @property
    def role_set(self) -> frozenset[Role]:
        """Return the roles as a set."""
        return role_set(self.roles)

    def sealed_beside(self, session: Session) -> dict[str, Any]:
        """Return the roles that the account holds once the session is flushed."""
        held = select(UserRole.id, UserRole.role).where(UserRole.user_id == self.id, UserRole.until.is_(None))
        roles: dict[Any, str] = {row.id: row.role for row in session.execute(held)}
        for number, row in enumerate((*session.dirty, *session.new)):
            if isinstance(row, UserRole) and row.user_id == self.id:
                roles.pop(row.id, None)
                roles |= {} if row.until is not None else {number if row in session.new else row.id: row.role}
        return {"roles": " ".join(roles.values())}


def role_set(names: str) -> frozenset[Role]:
    """Return roles that are separated by spaces as a set."""
    return frozenset(Role(name) for name in names.split())


def scope_set(names: str) -> frozenset[KeyScope]:
    """Return scopes of an API key that are separated by spaces as a set."""
    return frozenset(KeyScope(name) for name in names.split())


def role_names(roles: frozenset[Role]) -> str:
    """Return roles as text: sorted, separated by spaces. Audit entries and proposals have them in this form."""
    return " ".join(sorted(roles))


def holds(user: Any, role: Role) -> ColumnElement[bool]:
    """Return an SQL condition: the account of a query (User or an alias of it) holds a role."""
    return exists().where(UserRole.user_id == user.id, UserRole.role == role, UserRole.until.is_(None))


def holds_sql(user: str, role: Role) -> str:
    """Return the same condition for a trigger. `user` is the alias of the account there."""
    held = f"r.user_id = {user}.id AND r.role = '{role.value}' AND r.until IS NULL"
    return f"EXISTS (SELECT 1 FROM user_role r WHERE {held})"  # noqa: S608  # an alias and a constant


class Invitation(Sealed, Base):
    """A one-time link by which a person chooses a password and enrols an authenticator.

    `change_id` names the executed proposal that made this link: a lost factor, or an account given to a known person by two user
    administrators. A proposal makes one link. `consent_id` names the consent of a known person, which made it.

    Each view of the link's page makes the seed anew, for the browser that holds the cookie whose SHA-256 (hex) is `browser_hash`.
    """

    __tablename__ = "invitation"
    __sealed__ = (
        "id",
        "user_id",
        "token_hash",
        "totp_sealed",
        "expires_at",
        "change_id",
        "created_by",
        "created_at",
        "browser_hash",
        "consent_id",
    )
    __ends__ = "used_at"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    totp_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    browser_hash: Mapped[str | None] = mapped_column(String(64))
    views: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    change_id: Mapped[UUID | None] = mapped_column(unique=True, index=True)
    consent_id: Mapped[UUID | None] = mapped_column(index=True)
    created_by: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @classmethod
    def standing(cls, now: datetime) -> list[ColumnElement[bool]]:
        """Return the conditions of links that can be used: one that has lapsed keeps no seal."""
        return [*super().standing(now), cls.expires_at > now]


class LoginSession(Sealed, Base):
    """A session. `token_hash` is the SHA-256 (hex) of its cookie. `otp_at` is empty until a second factor was accepted.

    `authority_version` is that of the account when the session began: a session does not outlive a change of its account, unless the act
    carries it along.
    """

    __tablename__ = "login_session"
    __sealed__ = ("id", "token_hash", "user_id", "csrf", "otp_at", "created_at", "authority_version")
    __ends__ = "ended_at"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    otp_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    otp_tries: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_reason: Mapped[str] = mapped_column(String(40), default="")
    ip: Mapped[str] = mapped_column(String(45), default="")
    agent: Mapped[str] = mapped_column(String(200), default="")
    authority_version: Mapped[int] = mapped_column(Integer, server_default="0")


class ApiKey(Sealed, Base):
    """An API key of an organisation. Only the SHA-256 of the key (256 random bits) is stored.

    `scopes` are KeyScope values, `addresses` networks (CIDR), both sorted and separated by spaces; without addresses the key is taken from
    any. `last_used_at` and `last_used_ip` are written at most once a minute, past the seal.
    """

    __tablename__ = "api_key"
    __sealed__ = (
        "id", "organisation_id", "name", "prefix", "key_hash", "created_by", "created_at", "scopes", "addresses", "expires_at",
    )  # fmt: skip
    __ends__ = "revoked_at"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    prefix: Mapped[str] = mapped_column(String(12))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    scopes: Mapped[str] = mapped_column(String(200))
    addresses: Mapped[str] = mapped_column(Text, default="")
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_ip: Mapped[str] = mapped_column(String(45), default="")
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def scope_set(self) -> frozenset[KeyScope]:
        """Return the scopes as a set."""
        return scope_set(self.scopes)


class Throttle(Base):
    """Failed attempts by subject, for example `password:<user name>:<network>`, `ip:<network>` or `otp:<user id>`. All nodes share them."""

    __tablename__ = "throttle"

    subject: Mapped[str] = mapped_column(String(120), primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    blocked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


# `mine` and `other` are accounts of one person that are not disabled, or the same account; `held` is a role that the other holds.
_MEET = (
    "FROM user_account mine JOIN user_account other ON other.person_id = mine.person_id"
    " AND (other.id = mine.id OR (other.state <> 'disabled' AND mine.state <> 'disabled'))"
    " JOIN user_role held ON held.user_id = other.id AND held.until IS NULL"
)

_THEIRS = (
    "FROM user_role r JOIN user_account other ON other.person_id = NEW.person_id AND other.id <> NEW.id AND other.state <> 'disabled'"
    " JOIN user_role held ON held.user_id = other.id AND held.until IS NULL WHERE r.user_id = NEW.id AND r.until IS NULL"
)


def _exclude(one: str, other: str) -> str:
    """Return the SQL condition that two roles exclude each other: user_admin and approver, auditor and any other."""
    return (
        f"({one} = 'user_admin' AND {other} = 'approver' OR {one} = 'approver' AND {other} = 'user_admin'"
        f" OR {one} = 'auditor' AND {other} <> 'auditor' OR {one} <> 'auditor' AND {other} = 'auditor')"
    )


triggers.guard(
    "capabilities_of_role",
    "user_role",
    "INSERT",
    f"EXISTS (SELECT 1 {_MEET} WHERE mine.id = NEW.user_id AND {_exclude('NEW.role', 'held.role')})",
    "user_role: these capabilities never meet in one person",
)
triggers.guard(
    "capabilities_of_account",
    "user_account",
    "UPDATE",
    f"OLD.state = 'disabled' AND NEW.state <> 'disabled' AND EXISTS (SELECT 1 {_THEIRS} AND {_exclude('r.role', 'held.role')})",
    "user_account: these capabilities never meet in one person",
)
triggers.immutable("user_role", "id", "user_id", "role", "since")
triggers.guard("user_role_ended", "user_role", "UPDATE", "OLD.until IS NOT NULL", "user_role: what has ended is given anew")
triggers.guard("user_account_keep", "user_account", "DELETE", "", "user_account: nothing is deleted")
triggers.guard(
    "user_account_person_alone",
    "user_account",
    "INSERT",
    "EXISTS (SELECT 1 FROM user_account u WHERE u.person_id = NEW.person_id)",
    "user_account: a new account is of nobody who has one",
)
for _event in ("INSERT", "UPDATE"):
    triggers.guard(
        f"user_account_claimed_{_event.lower()}",
        "user_account",
        _event,
        "NEW.state = 'active' AND EXISTS (SELECT 1 FROM person p WHERE p.id = NEW.person_id AND p.claims IS NOT NULL)",
        "user_account: in use only by a person who took it up",
    )
triggers.guard(
    "totp_step_grows", "user_account", "UPDATE", "NEW.totp_last_step < OLD.totp_last_step", "user_account: a one-time code counts once"
)
triggers.immutable("invitation", "user_id", "change_id", "consent_id")
triggers.immutable("api_key", "id", "organisation_id", "key_hash", "created_by", "created_at", "expires_at")
triggers.guard(
    "api_key_revoked",
    "api_key",
    "UPDATE",
    "OLD.revoked_at IS NOT NULL AND (NEW.revoked_at IS DISTINCT FROM OLD.revoked_at OR NEW.scopes <> OLD.scopes)",
    "api_key: what is revoked stays revoked",
)
for _model in (User, Invitation, LoginSession, ApiKey):
    seals.protect(_model)
triggers.immutable("person", "id_kind", "id_number")
triggers.guard(
    "person_identity",
    "person",
    "UPDATE",
    "(OLD.identity <> NEW.identity OR OLD.claims IS DISTINCT FROM NEW.claims)"
    " AND NOT (OLD.claims IS NOT NULL AND NEW.claims IS NULL AND NEW.identity = OLD.claims)",
    "person: a person keeps their identity; a stand-in becomes the person it claims to be",
)
triggers.guard("organisation_keep", "organisation", "DELETE", "", "organisation: nothing is deleted")
for _kind in (Organisation, Person):
    recorded.protect(_kind)
