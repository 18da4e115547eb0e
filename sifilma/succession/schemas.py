"""What comes in for a succession by the API, and as the fields of its form."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field

from sifilma.accounts.service import NewUser
from sifilma.identity.fields import Email, Identified, PersonName, Phone, Username
from sifilma.kernel.actor import Role
from sifilma.kernel.days import Day
from sifilma.kernel.schemas import Prose, Strict
from sifilma.succession.models import Former


class NewHeadIn(Identified, Strict):
    """A person who has no account in the organisation yet, and is invited when the proposal is executed."""

    username: Username
    name: PersonName
    email: Email = ""
    phone: Phone = ""

    def new_user(self) -> NewUser:
        """Return the account as it is made with the proposal: it is no head before a second person has agreed."""
        roles = frozenset({Role.STAFF})
        return NewUser(self.username, self.name, self.id_kind, self.id_number, roles, self.email, self.phone)


class SuccessionIn(Strict):
    """Who follows whom as head, by which decree. `until` is the last day of an acting head (Western Indonesian Time).

    `organisation` is a user administrator's to name. `outgoing` may be left out where there is nobody to follow. `former` says what becomes
    of the outgoing head's account; `head` only beside an acting head.
    """

    organisation: UUID | None = None
    outgoing: UUID | None = None
    successor: UUID | None = None
    invited: NewHeadIn | None = None
    decree_number: Annotated[str, Field(min_length=3, max_length=100)]
    decree_date: Day
    until: date | None = None
    former: Former = Former.DISABLED
    reason: Prose = Field("", max_length=2000)
