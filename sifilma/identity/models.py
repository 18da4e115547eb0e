"""Organisations, people, their accounts, and what signing in needs of them."""

from __future__ import annotations

from datetime import UTC, datetime
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
    and_,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy import cast as cast_as
from sqlalchemy.orm import Mapped, Session, column_property, mapped_column, relationship

from sifilma.audit.recorded import Recorded
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
        Index(None, "name", "id"),
        Index("ix_organisation_name_part", "name", postgresql_using="gin", postgresql_ops={"name": "gin_trgm_ops"}),
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

    Of a person who has left for long the identity is `former:<keyed hash>`, and name and number are a pseudonym; `pseudonym_act_id` is the
    entry of that act.
    """

    __tablename__ = "person"
    __recorded__ = ("identity", "id_kind", "id_number", "name", "claims")
    __table_args__ = (Index("ix_person_name_part", "name", postgresql_using="gin", postgresql_ops={"name": "gin_trgm_ops"}),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    identity: Mapped[str] = mapped_column(String(120), unique=True)
    id_kind: Mapped[str] = mapped_column(String(10))
    id_number: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(200))
    claims: Mapped[str | None] = mapped_column(String(120), index=True)
    pseudonym_act_id: Mapped[UUID | None]


TEMPORARY = (Role.APPROVER, Role.OPERATOR)
"""Roles that deputies can be given until a day, while somebody is away."""
TIMED = (*TEMPORARY, Role.HEAD)
"""All roles that can be given until a day: that of an acting head too, by decree (`sifilma/succession/`)."""


class UserRole(Part, Base):
    """One role of an account, held from `since` until `until`. No row is deleted: they say who held what, and when.

    `ends_at` is the end with which a temporary role was given. It counts from that moment on as ended, also before the worker has written
    `until`. The seal of the account covers the roles that it holds, with their ends.
    """

    __tablename__ = "user_role"
    __table_args__ = (
        CheckConstraint(
            "ends_at IS NULL OR (ends_at > since AND role IN ({}))".format(", ".join(f"'{r.value}'" for r in TIMED)), name="temporary"
        ),
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
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def whole(self, session: Session) -> Sealed:
        """Return the account that holds this role."""
        return session.get_one(User, self.user_id)


# One text for a role, so that roles come with the statement that reads the account: `approver/2026-12-31T17:00:00+00` has an end.
_WITH_END = case(
    (UserRole.ends_at.is_(None), UserRole.role),
    else_=UserRole.role
    + literal_column("'/'")
    + func.replace(cast_as(UserRole.ends_at, Text), literal_column("' '"), literal_column("'T'")),
)


def _with_end(row: Any) -> str:
    return row.role if row.ends_at is None else f"{row.role}/{row.ends_at.isoformat()}"


def sealed_roles(names: str) -> str:
    """Return the roles of `User.roles` as the seal covers them: sorted, their ends in one spelling, whatever the database's."""
    if "/" not in names:
        return " ".join(sorted(names.split()))
    found = (name.partition("/") for name in names.split())
    return " ".join(sorted(f"{name}/{_moment(end).astimezone(UTC).isoformat()}" if end else name for name, _, end in found))


def _moment(stored: str) -> datetime:
    at = datetime.fromisoformat(stored)
    return at if at.tzinfo else at.replace(tzinfo=UTC)  # SQLite stores no zone


class User(Sealed, Base):
    """An account of one person in one organisation. `roles` are the Role values that it was given, with their ends, separated by spaces.

    They are read only; `roles_at` says which count at a moment.

    An empty `time_zone` means that of the organisation's province. `notices` are the channels for reminders, separated by spaces. `email`
    and `phone` belong to this account only: addresses that another organisation entered for the same person are not used here.
    `active_since` is when it was last taken up or enabled, `disabled_at` when it was disabled, if it is.
    `outlets` are the ids of outlets, separated by spaces, to which the account is limited; None: it is not. A head is never limited.
    `authority_version` grows with each change of what the seal covers. The entry of the act states it, and sessions are bound to it.
    """

    __tablename__ = "user_account"
    __sealed__ = (
        "id", "person_id", "organisation_id", "username", "state", "password_hash", "totp_sealed", "email", "phone", "roles",
        "authority_version", "outlets",
    )  # fmt: skip
    __sealed_as__: ClassVar = {"roles": sealed_roles}
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
    active_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    authority_version: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    outlets: Mapped[str | None] = mapped_column(Text)

    person: Mapped[Person] = relationship(lazy="joined")
    organisation: Mapped[Organisation] = relationship(lazy="joined")
    # In the statement that reads the account: a relationship would be one more.
    roles: Mapped[str] = column_property(
        select(func.coalesce(func.aggregate_strings(_WITH_END, cast(str, literal_column("' '"))), literal_column("''")))
        .where(UserRole.user_id == id, UserRole.until.is_(None))
        .correlate_except(UserRole)
        .scalar_subquery()
    )

    def roles_at(self, now: datetime) -> frozenset[Role]:
        """Return the roles that count at a moment."""
        return role_set(self.roles, now)

    def sealed_beside(self, session: Session) -> dict[str, Any]:
        """Return the roles that the account holds once the session is flushed."""
        held = select(UserRole.id, UserRole.role, UserRole.ends_at).where(UserRole.user_id == self.id, UserRole.until.is_(None))
        roles: dict[Any, str] = {row.id: _with_end(row) for row in session.execute(held)}
        new = session.new  # made anew at each look
        for number, row in enumerate((*session.dirty, *new)):
            if isinstance(row, UserRole) and row.user_id == self.id:
                roles.pop(row.id, None)
                roles |= {} if row.until is not None else {number if row in new else row.id: _with_end(row)}
        return {"roles": " ".join(roles.values())}


def role_set(names: str, now: datetime | None = None) -> frozenset[Role]:
    """Return roles that are separated by spaces as a set; those of `User.roles` without the ones that have ended until `now`, if given."""
    found = (name.partition("/") for name in names.split())
    return frozenset(Role(name) for name, _, end in found if not (now and end) or _moment(end) > now)


def role_ends(names: str, now: datetime) -> dict[Role, datetime]:
    """Return the ends of the temporary roles of `User.roles` that still count."""
    found = (name.partition("/") for name in names.split())
    return {Role(name): end for name, _, text_ in found if text_ and (end := _moment(text_)) > now}


def outlet_set(ids: str | None, roles: frozenset[Role]) -> frozenset[UUID] | None:
    """Return the outlets of `User.outlets` to which an account with these roles is limited, or None: it is not, or it is a head's."""
    return None if ids is None or Role.HEAD in roles else frozenset(map(UUID, ids.split()))


def scope_set(names: str) -> frozenset[KeyScope]:
    """Return scopes of an API key that are separated by spaces as a set."""
    return frozenset(KeyScope(name) for name in names.split())


def role_names(roles: frozenset[Role]) -> str:
    """Return roles as text: sorted, separated by spaces. Audit entries and proposals have them in this form."""
    return " ".join(sorted(roles))


def holds(user: Any, role: Role, now: datetime) -> ColumnElement[bool]:
    """Return an SQL condition: the account of a query (User or an alias of it) holds a role at this moment."""
    return exists().where(UserRole.user_id == user.id, UserRole.role == role, counts(now))


def counts(now: datetime) -> ColumnElement[bool]:
    """Return an SQL condition on UserRole: the role has neither been ended nor come to its end."""
    return and_(UserRole.until.is_(None), or_(UserRole.ends_at.is_(None), UserRole.ends_at > now))


def holds_sql(user: str, role: Role, at: str) -> str:
    """Return the same condition for a trigger. `user` is the alias of the account there, `at` the column with the moment of the act."""
    held = f"r.user_id = {user}.id AND r.role = '{role.value}' AND r.until IS NULL AND (r.ends_at IS NULL OR r.ends_at > {at})"
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
    csrf: Mapped[str] = mapped_column(String(64), index=True)
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
