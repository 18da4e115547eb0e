"""Several cards activated at one place: each a row of a job, as if they had come in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from config.settings import Settings
from hsm import HSM
from sifilma.activation.bulk import job as bulk
from sifilma.activation.bulk.job_sheets import ACTIVATIONS, SECRET
from sifilma.activation.issuing.rules import NO_TOKEN, NO_VILLAGE, placed
from sifilma.activation.issuing.service import check_place
from sifilma.activation.requests import form_choices
from sifilma.activation.schemas import OpenCardIn, TogetherIn
from sifilma.activation.tokens import service as tokens
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import may_reach
from sifilma.jobs import service, worker
from sifilma.jobs.models import Job, JobKind
from sifilma.jobs.service import NewJob
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say
from sifilma.regions import codes
from sifilma.regions import service as regions
from sifilma.regions.place import PlaceCheck

NEEDED = say("A program sends the token of each card.")


def begin(ctx: Context, settings: Settings, hsm: HSM, places: PlaceCheck, data: TogetherIn) -> Job:
    """Queue a job that activates each card in its machine, all at one place.

    A token that is not sent is taken from the service in the same act, which is recorded as its being shown. Raise Invalid, with the field
    of each card (`cards.0.sam_uid`), for a card without an open token, named twice, or in a machine that is named twice; for a token that
    is missing where the actor may not see tokens; and for a wrong or doubtful place. What depends on single cards and machines besides is
    found by the worker, card by card.
    """
    organisation = ctx.actor.organisation_id
    assert organisation is not None  # noqa: S101  # the gate admits only members of an organisation
    data = placed(ctx, data)
    _require_cards(ctx, data.cards)
    _require_place(ctx, places, data)
    ctx.uow.end_read()
    job_id, key = uuid7(), bulk.key_of(ctx, hsm, organisation)
    given = _tokens(ctx, hsm, organisation, data.cards)
    lines = [
        bulk.line_of(settings, job_id, key, number, _cells(data, card) | {SECRET: given[card.sam_uid]})
        for number, card in enumerate(data.cards, start=1)
    ]
    name = f"Aktivasi {len(lines)} kartu di satu lokasi"
    job = service.begin(ctx, NewJob(job_id, JobKind.ACTIVATION, name, list(ACTIVATIONS.names), len(lines)))
    worker.take_in(ctx, job, lines)
    return job


def _require_cards(ctx: Context, cards: Sequence[OpenCardIn]) -> None:
    ready = {card.uid for card in form_choices.open_cards(ctx)}
    uids, machines = Counter(card.sam_uid for card in cards), Counter(card.hardware_number for card in cards)
    faults = []
    for place, card in enumerate(cards):
        if card.sam_uid not in ready:  # nobody learns here whether another organisation has such a card
            faults.append(_fault(place, "sam_uid", NO_TOKEN))
        elif uids[card.sam_uid] > 1:
            faults.append(_fault(place, "sam_uid", say("This card is named twice.")))
        if machines[card.hardware_number] > 1:
            faults.append(_fault(place, "hardware_number", say("This machine is chosen for two cards.")))
    if faults:
        raise Invalid(faults[0]["message"], errors=faults)


def _fault(place: int, name: str, message: str) -> dict[str, Any]:
    return {"field": f"cards.{place}.{name}", "message": message}


def _require_place(ctx: Context, places: PlaceCheck, data: TogetherIn) -> None:
    """Refuse at once what would be refused for each card."""
    code = codes.normalise(data.region_code)
    levels = regions.cascade(ctx.session, code)
    if codes.level(code) != codes.VILLAGE or levels.part(13) != code:
        raise Invalid.field("region_code", NO_VILLAGE)
    check_place(places, data, code, dict(levels.regencies).get(levels.part(5), ""))


def _tokens(ctx: Context, hsm: HSM, organisation: UUID, cards: Sequence[OpenCardIn]) -> Mapping[str, str]:
    """Return the tokens by UID: those that were sent, and the open ones of the other cards. Begins the writing transaction."""
    given = {card.sam_uid: card.token for card in cards if card.token}
    missing = [card.sam_uid for card in cards if not card.token]
    may_reveal = may_reach(ctx.actor, Operation.TOKEN_REVEAL, organisation)
    if missing and may_reveal:
        ctx.uow.begin_read()
        given |= tokens.reveal_for_cards(ctx, hsm, missing)
    else:
        ctx.uow.begin_write()
    told = NO_TOKEN if may_reveal else NEEDED
    faults = [_fault(place, SECRET, told) for place, card in enumerate(cards) if card.sam_uid not in given]
    if faults:
        raise Invalid(told, errors=faults)
    return given


def _cells(data: TogetherIn, card: OpenCardIn) -> dict[str, str]:
    """Return a card at the place as cells of a file's row."""
    return {
        "sam_uid": card.sam_uid,
        "hardware_number": card.hardware_number,
        "latitude": f"{data.latitude:.7f}",
        "longitude": f"{data.longitude:.7f}",
        "accuracy_m": f"{data.accuracy_m:.0f}",
        "source": data.source,
        "address": data.address,
        "region_code": data.region_code,
        "reason": data.reason,
    }
