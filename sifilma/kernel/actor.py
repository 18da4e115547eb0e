"""The actor: the one value that services and permissions look at to decide who may act."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class OrganisationKind(StrEnum):
    """The five kinds of organisation (docs/domain.md, Words)."""

    DIRECTORATE = "directorate"
    PROVINCE_OFFICE = "province_office"
    REGENCY_OFFICE = "regency_office"
    INSTITUTION = "institution"
    MANUFACTURER = "manufacturer"

    @property
    def is_office(self) -> bool:
        """Return whether this is a civil registry office. Only offices may have RW cards."""
        return self in (OrganisationKind.PROVINCE_OFFICE, OrganisationKind.REGENCY_OFFICE)


class Role(StrEnum):
    """The roles of central people, and the two roles (HEAD, STAFF) of people in every other organisation."""

    APPROVER = "approver"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    USER_ADMIN = "user_admin"
    CUSTODIAN = "custodian"
    HEAD = "head"
    STAFF = "staff"


class KeyScope(StrEnum):
    """What an API key may be used for. Which operations a scope opens is said in `sifilma/identity/permissions.py`."""

    READ = "read"
    UNITS = "units"
    BATCHES = "batches"
    REQUESTS = "requests"
    ACTIVATIONS = "activations"
    MANIFESTS = "manifests"
    REPORTS = "reports"


@dataclass(frozen=True)
class Actor:
    """The person, or the organisation's machine, on whose behalf a request runs.

    `user_id` and `person_id` are None for an API key (then `api_key_id` is set) and for the system itself. `person_id` stays the same
    when a person has several accounts: four eyes compare persons. `otp_at` is when this session last gave a valid one-time code.
    `scopes` are those of an API key; people have none. `outlets` are the ids of the outlets to which an account is limited (or None).
    """

    organisation_id: UUID | None = None
    organisation_kind: OrganisationKind | None = None
    region_code: str | None = None
    user_id: UUID | None = None
    person_id: UUID | None = None
    api_key_id: UUID | None = None
    session_id: UUID | None = None
    username: str = ""
    roles: frozenset[Role] = field(default_factory=frozenset)
    scopes: frozenset[KeyScope] = field(default_factory=frozenset)
    otp_at: datetime | None = None
    ip: str = ""
    outlets: frozenset[UUID] | None = None

    @property
    def is_system(self) -> bool:
        """Return whether neither a person nor an API key is behind the act: a job or a command of the system."""
        return self.user_id is None and self.api_key_id is None

    @property
    def is_central(self) -> bool:
        """Return whether the actor belongs to the directorate."""
        return self.organisation_kind is OrganisationKind.DIRECTORATE


SYSTEM = Actor(username="system")
