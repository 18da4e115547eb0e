"""What the form for several cards at one place shows: the cards that can be activated, each with its machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from config.settings import Settings
from sifilma.activation.bulk.job_sheets import uid_of
from sifilma.activation.issuing import place_form
from sifilma.activation.requests import form_choices
from sifilma.activation.schemas import MOST_TOGETHER
from sifilma.cards.outlets.queries import numbers_at
from sifilma.jobs.failed_rows import cells_of, errors_of, rows_given_back
from sifilma.jobs.models import Job, JobRow
from sifilma.kernel.context import Context

MOST_OPTIONS = 1000
"""Options of all selects together. Beyond it a card's machine is typed, with one list of proposals for all."""
STATED = ("latitude", "longitude", "accuracy_m", "source", "address", "reason")


@dataclass(frozen=True)
class OpenCard:
    """A card that can be activated, with the machine it is tied to, or else a free one that is proposed."""

    uid: str
    function: str
    machine: str
    tied: bool
    expires_at: datetime
    tries_left: int


@dataclass(frozen=True)
class Together:
    """The cards of the form, and the free machines by function. `more` is how many further cards have an open token.

    With `selects` every card has a select of its machines.
    """

    cards: list[OpenCard]
    machines: Mapping[str, list[str]]
    more: int
    selects: bool


@dataclass(frozen=True)
class GivenBack:
    """The rows of a job that were not activated: their machines and errors by UID, and the place of the first."""

    machines: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    place: dict[str, str] = field(default_factory=dict)


def together(ctx: Context, request_id: UUID | None = None, outlet_id: UUID | None = None) -> Together:
    """Return the organisation's cards with an open token, those of one request if it is given, at most MOST_TOGETHER.

    With an outlet, those whose machine stands there, and those that are in none yet, with the free machines there.
    """
    there = numbers_at(ctx, outlet_id) if outlet_id is not None else None
    if there is None:
        shown, number = form_choices.open_cards(ctx, MOST_TOGETHER, request_id), form_choices.count_open(ctx, request_id)
    else:
        ready = [card for card in form_choices.open_cards(ctx, request_id=request_id) if card.unit is None or card.unit in there]
        shown, number = ready[:MOST_TOGETHER], len(ready)
    machines = form_choices.next_machines(ctx, {card.function for card in shown if not card.unit})
    if there is not None:
        machines = {function: [number for number in numbers if number in there] for function, numbers in machines.items()}
    free = {function: iter(numbers) for function, numbers in machines.items()}
    cards = [
        OpenCard(
            card.uid, card.function, card.unit or next(free[card.function], ""), card.unit is not None, card.expires_at, card.tries_left
        )
        for card in shown
    ]
    options = sum(len(machines[card.function]) for card in cards if not card.tied)
    return Together(cards, machines, number - len(shown), options <= MOST_OPTIONS)


def given_back(ctx: Context, settings: Settings, job: Job, say: Callable[[str], str]) -> GivenBack:
    """Return the rows of a job that failed, or that it did not come to, for the form."""
    found = GivenBack()
    for row in rows_given_back(ctx, job):
        if not row.cells:  # deleted after its time
            continue
        cells = cells_of(settings, row)
        uid = uid_of(cells.get("sam_uid", ""))
        found.machines[uid] = cells.get("hardware_number", "")
        found.errors[uid] = " ".join(words for _, words in errors_of(row, say)) if isinstance(row, JobRow) else ""
        if not found.place:
            found.place.update({name: cells.get(name, "") for name in STATED} | place_form.parts_of(cells.get("region_code", "")))
    return found
