"""What an activation requires of card, token, machine, agreement and the place that is stated for it, and how long its manifest counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar

from sifilma.activation.models import READY, RequestKind, RequestState
from sifilma.activation.schemas import AT_OUTLET, PlaceIn
from sifilma.activation.suspensions.models import SuspensionState
from sifilma.cards.models import CardState, UnitCondition
from sifilma.cards.outlets.models import Outlet, OutletState
from sifilma.cards.outlets.queries import CLOSED, own_by_text
from sifilma.cards.service import NO_OUTLET
from sifilma.documents.indonesian import WIB
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Invalid, NotFound
from sifilma.kernel.text import say
from sifilma.regions import codes
from sifilma.witness import standing
from sifilma.witness.reserved import NumbersNotTold

NO_TOKEN = say("This card has no open token: it was used, cancelled, or never issued.")
NO_VILLAGE = say("There is no such village code today (13 characters, e.g. 35.20.01.2001).")
Stated = TypeVar("Stated", bound=PlaceIn)
DAY_END = time(23, 59, 59)


def placed(ctx: Context, data: Stated) -> Stated:
    """Return what was stated, with the address, position and village of the outlet if it names one.

    Raise Invalid (`outlet`) for an outlet that is closed, or not of the actor's organisation or limit, and if a place is stated as well.
    """
    return _placed(own_by_text(ctx, [data.outlet]), data) if data.outlet else data


def placed_all(ctx: Context, given: Sequence[Stated]) -> list[Stated | Invalid]:
    """Return what `placed` returns of each, or what it raises. The outlets are read together."""
    found = own_by_text(ctx, {data.outlet for data in given})
    answers = list[Stated | Invalid]()
    for data in given:
        try:
            answers.append(_placed(found, data) if data.outlet else data)
        except Invalid as refused:
            answers.append(refused)
    return answers


def _placed(outlets: Mapping[str, Outlet], data: Stated) -> Stated:
    if any(getattr(data, name) != value for name, value in AT_OUTLET.items()):
        raise Invalid.field("outlet", "Give the outlet, or address, position and village: not both.")
    found = outlets.get(data.outlet)
    if found is None:
        raise Invalid.field("outlet", NO_OUTLET)
    if found.state == OutletState.CLOSED:
        raise Invalid.field("outlet", CLOSED)
    place = {name: getattr(found, name) for name in ("address", "latitude", "longitude", "region_code")}
    return data.model_copy(update=place | {"outlet": ""})


def require_admitted(ctx: Context, row: Any, code: str) -> None:
    """Raise as `activate` does, with a sentence for the user, if what READ found (None: no card) forbids the activation."""
    limits = ctx.actor.outlets
    if row is None or (limits is not None and row.former_outlet_id not in limits):
        raise NotFound("Your organisation holds no such card.")
    if limits is not None and row.unit_id is not None and row.unit_outlet_id not in limits:
        raise Invalid.field("hardware_number", "Your organisation has registered no such machine.")
    if row.region_version is None or codes.level(code) != codes.VILLAGE:
        raise Invalid.field("region_code", NO_VILLAGE)
    _require_ready(ctx, row)
    if not row.index_is_told and standing.of(ctx.session).is_witnessed:
        raise NumbersNotTold()


def _require_ready(ctx: Context, row: Any) -> None:
    """Raise Conflict or Invalid, with a sentence for the user, if anything that was read forbids the activation."""
    if row.token_id is None:
        raise Conflict(NO_TOKEN, type="no-token")
    if row.token_expires_at <= ctx.now:
        raise Conflict("This card's token has expired. Ask for a new one.", type="token-expired")
    if row.request_state != RequestState.APPROVED:
        raise Conflict(say("The activation request is %(state)s.", state=row.request_state), type="request-not-approved")
    kind = RequestKind(row.request_kind)
    if row.state not in READY[kind] and not (kind is RequestKind.RELOCATION and is_misplaced(row)):
        raise Conflict(say("The card is %(state)s.", state=row.state), type="card-not-ready", state=row.state)
    if row.organisation_kind == OrganisationKind.INSTITUTION and row.agreement_end is None:
        raise Conflict("The institution has no agreement (PKS) that is valid today.", type="no-agreement")
    _require_unit(row)


def is_misplaced(row: Any) -> bool:
    """Return whether the card is suspended for its place: a relocation answers that."""
    return bool(row.state == CardState.SUSPENDED and row.place_state == SuspensionState.SUSPENDED)


def _require_unit(row: Any) -> None:
    if row.unit_id is None:
        raise Invalid.field("hardware_number", "Your organisation has registered no such machine.")
    if row.unit_function != row.function:
        refusal = say("This machine is for %(machine)s, the card for %(card)s.", machine=row.unit_function, card=row.function)
        raise Invalid.field("hardware_number", refusal)
    if row.request_kind == RequestKind.REPLACEMENT:
        if row.unit_id != row.replacement_unit_id:
            refusal = say("This card moves to the machine that its request names, and to no other.")
            raise Invalid.field("hardware_number", refusal, type="not-the-replacement")
    elif row.tied_unit_id is not None and row.tied_unit_id != row.unit_id:
        raise Invalid.field("hardware_number", "This card is tied to another machine.", type="card-tied")
    if row.unit_is_taken:
        raise Invalid.field("hardware_number", "Another card is tied to this machine.", type="unit-taken")
    if row.unit_condition != UnitCondition.WORKING:
        refusal = say("This machine is %(state)s: no card is activated in it.", state=row.unit_condition)
        raise Invalid.field("hardware_number", refusal, type="unit-not-working")
    if row.pcid is None:
        raise Conflict("The manufacturer has not given this machine's PCID yet.", type="unit-without-pcid")


def expiry(now: datetime, years: int, agreement_end: date | None) -> int:
    """Return `exp` in seconds since 1970: the same day `years` later (28 February for the 29th), at most the end of the PKS (WIB)."""
    leap_day = (now.month, now.day) == (2, 29)
    end = now.replace(year=now.year + years, day=28 if leap_day else now.day)
    if agreement_end is not None:
        end = min(end, datetime.combine(agreement_end, DAY_END, WIB).astimezone(UTC))
    return int(end.timestamp())
