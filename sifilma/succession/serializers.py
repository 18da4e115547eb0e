"""Convert successions, and organisations without a living head, to the schemas of the API."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, Field

from sifilma.accounts.serializers import OrganisationOut, organisation_out
from sifilma.approvals.models import ProposalState
from sifilma.identity.models import User
from sifilma.kernel.context import Context
from sifilma.succession.models import HeadSuccession
from sifilma.succession.queries import Vacancy
from sifilma.succession.service import work_of
from sifilma.web.links import API, links


class HeadOut(BaseModel):
    """An account that is, was or becomes head."""

    id: UUID
    username: str
    name: str
    state: str


class WorkOut(BaseModel):
    """One open object that passes on: what it is, its number (empty if it has none yet) and its state.

    Whoever may not see objects of the kind learns neither id nor number.
    """

    kind: str
    id: UUID | None
    title: str
    state: str


class SuccessionOut(BaseModel):
    """A head who follows another by decree."""

    id: UUID
    state: str
    organisation: OrganisationOut
    outgoing: HeadOut | None
    successor: HeadOut
    former: str = Field(description="What becomes of the outgoing head's account: `disabled`, `staff`, or `head` beside an acting head.")
    until: datetime | None = Field(description="The end of an acting head's role; null for a head for good.")
    decree_number: str
    decree_date: date
    reason: str
    proposed_at: datetime
    decided_at: datetime | None
    passes: list[WorkOut] = Field(description="The open work that will pass on; of an executed succession, what has passed on.")
    links: dict[str, str]


class VacancyOut(BaseModel):
    """An organisation without a living head."""

    organisation: OrganisationOut
    reason: str = Field(description="`never`, `ended`, `invited` (not taken up yet) or `unused` (nobody signs in).")
    since: datetime
    last_head: str
    is_proposed: bool = Field(description="Whether a succession waits for a second person.")


def succession_out(ctx: Context, found: HeadSuccession) -> SuccessionOut:
    """Return a succession with what passes on."""
    change = found.change
    return SuccessionOut(
        id=found.id,
        state=change.state,
        organisation=organisation_out(found.organisation),
        outgoing=_head(found.outgoing) if found.outgoing is not None else None,
        successor=_head(found.successor),
        former=found.former,
        until=change.ends_at,
        decree_number=found.decree_number,
        decree_date=found.decree_date,
        reason=change.reason,
        proposed_at=change.proposed_at,
        decided_at=change.decided_at,
        passes=[
            WorkOut(kind=one.kind, id=one.key if seen else None, title=one.title if seen else "", state=one.state)
            for one, seen in work_of(ctx, found)
        ],
        links=links("head-successions", found.id, decree="decree")
        | ({"decision": f"{API}/user-changes/{found.id}/decision"} if change.state == ProposalState.PROPOSED else {}),
    )


def _head(user: User) -> HeadOut:
    return HeadOut(id=user.id, username=user.username, name=user.person.name, state=user.state)


def vacancy_out(found: Vacancy) -> VacancyOut:
    """Return an organisation without a living head."""
    return VacancyOut(
        organisation=organisation_out(found.organisation),
        reason=found.reason,
        since=found.since,
        last_head=found.last_head,
        is_proposed=found.is_proposed,
    )
