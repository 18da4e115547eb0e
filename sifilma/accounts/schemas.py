"""Input schemas of organisations, people, their accounts and API keys."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from sifilma.accounts.api_keys import KeyTerms
from sifilma.accounts.service import NewUser
from sifilma.identity.fields import Email, Identified, Password, PersonName, Phone, Username
from sifilma.kernel.actor import KeyScope, OrganisationKind, Role
from sifilma.kernel.addresses import network_of
from sifilma.kernel.schemas import Prose, Strict
from sifilma.kernel.text import say


class OrganisationIn(Strict):
    """An organisation to be registered."""

    kind: OrganisationKind
    name: str = Field(min_length=3, max_length=200)
    region_code: str | None = Field(None, pattern=r"^\d{2}(\.\d{2})?$")
    address: str = Field("", max_length=500)


class UserIn(Identified, Strict):
    """Who is to be invited. `organisation` is a user administrator's to name."""

    username: Username
    name: PersonName
    roles: list[Role] = Field(min_length=1, max_length=5)
    organisation: UUID | None = None
    email: Email = ""
    phone: Phone = ""

    def new_user(self) -> NewUser:
        """Return the values for the service."""
        return NewUser(self.username, self.name, self.id_kind, self.id_number, frozenset(self.roles), self.email, self.phone)


class UserChangeIn(Strict):
    """What is to become of an account."""

    change: Literal["disable", "enable", "roles"]
    roles: list[Role] = Field(default_factory=list, max_length=5)
    reason: Prose = Field("", max_length=2000)

    def role_set(self) -> frozenset[Role]:
        """Return the roles without duplicates."""
        return frozenset(self.roles)


class DeputyIn(Strict):
    """A role until the end of a day (Western Indonesian Time), and why: whom the account stands in for, and what allows it."""

    role: Literal[Role.APPROVER, Role.OPERATOR]
    until: date
    basis: Prose = Field(min_length=3, max_length=2000)


class LostFactorIn(Strict):
    """Why a second factor is reported as lost, and how it is known that the person themselves says so."""

    reason: Prose = Field(min_length=3, max_length=2000)


class DecisionIn(Strict):
    """What becomes of a proposal."""

    decision: Literal["execute", "reject"]


class ConsentIn(Strict):
    """Whether a further account is the actor's own."""

    decision: Literal["accept", "refuse"]


class InvitationIn(Strict):
    """The secret of an invitation's link."""

    invitation: str = Field(min_length=20, max_length=100)


class EnrolIn(InvitationIn):
    """The secret of the invitation's link, the chosen password, a code of the authenticator.

    `browser` is what the view of the invitation gave (`POST /invitations/view`); after a view of the page, its cookie counts.
    """

    browser: str = Field("", max_length=100)
    password: Password
    code: str = Field(min_length=6, max_length=10)


def _networks(typed: list[str]) -> list[str]:
    """Return networks in their one spelling. Raise ValueError for what is none."""
    try:
        return [network_of(text) for text in typed]
    except ValueError:
        raise ValueError(say("This is no address and no network: write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")) from None


Networks = Annotated[list[Annotated[str, StringConstraints(max_length=50)]], AfterValidator(_networks)]


class ApiKeyTermsIn(Strict):
    """What a key may be used for, and the networks it is taken from; without networks from anywhere."""

    scopes: list[KeyScope] = Field(min_length=1, max_length=10)
    addresses: Networks = Field(default_factory=list, max_length=20)

    def terms(self) -> KeyTerms:
        """Return the values for the service."""
        return KeyTerms(frozenset(self.scopes), frozenset(self.addresses))


class ApiKeyIn(ApiKeyTermsIn):
    """What the machine is called, and the terms of its key. Without `scopes` it may do all that keys of the organisation may.

    `days` is how long it lasts.
    """

    name: str = Field(min_length=3, max_length=100)
    scopes: list[KeyScope] = Field(default_factory=list, min_length=1, max_length=10)  # an empty list that is sent is a slip
    days: int | None = Field(None, ge=1, le=3660)


class PreferencesIn(Strict):
    """Preferences of a user. An empty time zone means that of the organisation's province; `notices` are the channels for reminders."""

    language: Literal["id", "en"]
    time_zone: Literal["", "Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura"] = ""
    notices: list[Literal["email", "sms"]] = Field(default_factory=list, max_length=2)


class ContactIn(Strict):
    """The addresses of a user. An empty one means that nothing is sent there."""

    email: Email = ""
    phone: Phone = ""
