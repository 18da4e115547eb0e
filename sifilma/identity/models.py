"""Organisations, people, their accounts, and what signing in needs of them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sifilma.kernel import triggers
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7


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


class Organisation(Base):
    """The directorate, an office, an institution or a manufacturer."""

    __tablename__ = "organisation"
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


class Person(Base):
    """One human being. `identity` is `nip:…`, `nrp:…` or `employee:<organisation>:…`.

    It is unique, because four eyes compare persons: somebody with two accounts is still one person.
    """

    __tablename__ = "person"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    identity: Mapped[str] = mapped_column(String(120), unique=True)
    id_kind: Mapped[str] = mapped_column(String(10))
    id_number: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(200))


class User(Base):
    """An account of one person in one organisation. `roles` are Role values, sorted, separated by spaces.

    An empty `time_zone` means that of the organisation's province. `notices` are the channels for reminders, separated by spaces. `email`
    and `phone` belong to this account only: addresses that another organisation entered for the same person are not used here.
    """

    __tablename__ = "user_account"
    __table_args__ = (
        CheckConstraint("roles NOT LIKE '%auditor%' OR roles = 'auditor'", name="auditor_alone"),
        CheckConstraint("NOT (roles LIKE '%user_admin%' AND roles LIKE '%approver%')", name="admin_never_approver"),
        CheckConstraint("state IN ('invited', 'active', 'disabled')", name="state"),
        CheckConstraint("state <> 'active' OR (password_hash <> '' AND totp_sealed IS NOT NULL)", name="enrolled"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"), index=True)
    username: Mapped[str] = mapped_column(String(60), unique=True)
    roles: Mapped[str] = mapped_column(String(100))
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

    person: Mapped[Person] = relationship(lazy="joined")
    organisation: Mapped[Organisation] = relationship(lazy="joined")

    @property
    def role_set(self) -> frozenset[Role]:
        """Return the roles as a set."""
        return frozenset(Role(name) for name in self.roles.split())


class Invitation(Base):
    """A one-time link by which a person chooses a password and enrols an authenticator.

    `change_id` names the executed proposal (a lost factor) that ended the account's use and made this link. A proposal makes one link.
    """

    __tablename__ = "invitation"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    totp_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    change_id: Mapped[UUID | None] = mapped_column(unique=True, index=True)
    created_by: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LoginSession(Base):
    """A session. `token_hash` is the SHA-256 (hex) of its cookie. `otp_at` is empty until a second factor was accepted."""

    __tablename__ = "login_session"

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


class ApiKey(Base):
    """An API key of an organisation. Only the SHA-256 of the key (256 random bits) is stored."""

    __tablename__ = "api_key"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    prefix: Mapped[str] = mapped_column(String(12))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Throttle(Base):
    """Failed attempts by subject, for example `password:<user name>:<network>`, `ip:<network>` or `otp:<user id>`. All nodes share them."""

    __tablename__ = "throttle"

    subject: Mapped[str] = mapped_column(String(120), primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    blocked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


# The CHECKs of the table see one account. A person may have several, so these triggers compare all that are not disabled.
triggers.guard(
    "user_admin_never_approver",
    "user_account",
    "UPDATE",
    "EXISTS (SELECT 1 FROM user_account o WHERE o.person_id = NEW.person_id AND o.id <> NEW.id AND o.state <> 'disabled'"
    " AND NEW.state <> 'disabled' AND ((NEW.roles LIKE '%user_admin%' AND o.roles LIKE '%approver%')"
    " OR (NEW.roles LIKE '%approver%' AND o.roles LIKE '%user_admin%')"
    " OR (NEW.roles LIKE '%auditor%' OR o.roles LIKE '%auditor%')))",
    "user_account: these capabilities never meet in one person",
)
triggers.guard(
    "user_admin_never_approver_new",
    "user_account",
    "INSERT",
    "EXISTS (SELECT 1 FROM user_account o WHERE o.person_id = NEW.person_id AND o.id <> NEW.id AND o.state <> 'disabled'"
    " AND ((NEW.roles LIKE '%user_admin%' AND o.roles LIKE '%approver%')"
    " OR (NEW.roles LIKE '%approver%' AND o.roles LIKE '%user_admin%')"
    " OR (NEW.roles LIKE '%auditor%' OR o.roles LIKE '%auditor%')))",
    "user_account: these capabilities never meet in one person",
)
triggers.guard("user_account_keep", "user_account", "DELETE", "", "user_account: nothing is deleted")
triggers.guard(
    "user_account_person", "user_account", "UPDATE", "OLD.person_id <> NEW.person_id", "user_account: an account keeps its person"
)
triggers.guard(
    "totp_step_grows", "user_account", "UPDATE", "NEW.totp_last_step < OLD.totp_last_step", "user_account: a one-time code counts once"
)
triggers.immutable("invitation", "user_id", "change_id")
triggers.immutable("person", "identity", "id_kind", "id_number")
