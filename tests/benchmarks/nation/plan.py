"""What happens in the nation, and when: lots of cards from one letter to their manifests, drawn from the seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from uuid import UUID

HORIZON = timedelta(days=1_080)
"""How long before the present the nation begins: a little less than a manifest lasts."""
SIZES = (20, 50, 100, 250, 500, 1_000)
OFFICE_SIZES = (2, 3, 5, 8, 12)
TOKEN_DAYS = 12
"""All cards of a request are activated within so many days: before their tokens lapse."""
ENDS = (("damaged", 0.006), ("locked", 0.003), ("lost", 0.004))
"""How many of the activated cards are reported as what."""


@dataclass(frozen=True)
class Person:
    """Who acts: account and person."""

    user: str
    person: str


@dataclass(frozen=True)
class Place:
    """A place where machines stand, with the outcome of its check. An office's has no outlet."""

    code: str
    version: str
    latitude_e7: int
    longitude_e7: int
    distance_m: int
    nearest: str
    address: str
    outlet: str | None = None


@dataclass
class Party:
    """An organisation with the person who acts for it, and the places of its machines."""

    id: UUID
    name: str
    kind: str
    head: Person
    region: str | None = None
    agreement_end: date | None = None
    places: list[Place] = field(default_factory=list)


@dataclass(frozen=True)
class Lot:
    """Cards that one letter asks for. Of `moments` only those happened that are not after the present."""

    number: int
    buyer: Party
    requester: Party
    model: tuple[str, str]
    function: str
    size: int
    moments: dict[str, datetime]

    @property
    def is_batch(self) -> bool:
        """Whether a maker asks for its buyer, with a batch that names machine and card."""
        return self.buyer is not self.requester

    def happened(self, step: str, now: datetime) -> bool:
        """Whether a step was taken."""
        return step in self.moments and self.moments[step] <= now

    def is_born(self, now: datetime) -> bool:
        """Whether its cards are there: a batch names them at the approval, an office's come with the results."""
        return self.happened("approved" if self.is_batch else "made", now)


@dataclass(frozen=True)
class Fate:
    """What becomes of one card after its request: when it was activated, fetched, and reported as what."""

    activated: datetime
    fetched: tuple[datetime, ...]
    ended: tuple[datetime, str] | None
    place: int


def fates(lot: Lot, seed: int, now: datetime) -> list[Fate | None]:
    """Return the fate of each card, in the order of activation; None for one that is not activated yet. The same at every call."""
    if not lot.happened("entitled", now):
        return [None] * lot.size
    draw = Random(f"{seed}/{lot.number}/fate")
    begun, found = lot.moments["entitled"], []
    for moment in sorted(int(draw.random() * TOKEN_DAYS * 86_400) + 600 for _ in range(lot.size)):
        at = begun + timedelta(seconds=moment)
        place, days, chance = draw.randrange(len(lot.buyer.places)), draw.random() * 600, draw.random()
        found.append(_fate(at, place, days, chance, now) if at <= now else None)
    return found


def _fate(at: datetime, place: int, days: float, chance: float, now: datetime) -> Fate:
    ended = None
    for state, part in ENDS:
        if 0 <= chance < part:
            ended = (at + timedelta(days=30 + int(days)), state)
        chance -= part
    fetched = tuple(moment for moment in (at + timedelta(minutes=5), at + timedelta(days=1)) if moment <= now)
    return Fate(at, fetched, ended if ended and ended[0] <= now else None, place)


def entries(lot: Lot, seed: int, now: datetime) -> int:
    """Return how many entries the acts of a lot leave (`life.Life` writes exactly these)."""
    count = sum(lot.happened(step, now) for step in lot.moments)
    count += lot.is_born(now)
    if lot.function == "RW":
        count += lot.happened("approved", now) + lot.happened("entitled", now)
    for fate in fates(lot, seed, now):
        count += 0 if fate is None else 1 + len(fate.fetched) + (fate.ended is not None)
    return count


def lots(buyers: Sequence[tuple[Party, int]], makers: Sequence[tuple[Party, tuple[str, str]]], encoder: tuple[str, str], seed: int,
         now: datetime) -> Iterator[Lot]:  # fmt: skip
    """Yield lots until each buyer has as many cards as are wanted, in the order in which they begin."""
    draw, found = Random(f"{seed}/lots"), []
    for buyer, wanted in buyers:
        is_office, left = buyer.kind != "institution", wanted
        while left > 0:
            size = min(left, draw.choice(OFFICE_SIZES if is_office else SIZES))
            moments = _moments(draw, now, is_office=is_office)
            maker, model = (buyer, encoder) if is_office else draw.choice(makers)
            lot = Lot(0, buyer, maker, model, "RW" if is_office else "R", size, moments)
            found.append(lot)
            left -= size if lot.is_born(now) else 0
    for number, lot in enumerate(sorted(found, key=lambda one: one.moments["registered"])):
        yield Lot(number, lot.buyer, lot.requester, lot.model, lot.function, lot.size, lot.moments)


def _moments(draw: Random, now: datetime, *, is_office: bool) -> dict[str, datetime]:
    """Draw when each step of a lot is taken, each in working hours."""
    gaps = [("registered", 0.0, 1.0), ("drafted", 1, 10), ("submitted", 0.2, 2), ("approved", 1, 6), ("made", 3, 15), ("issued", 1, 6),
            ("received", 2, 14)]  # fmt: skip
    if not is_office:
        gaps += [("passed_on", 1, 20), ("taken", 2, 20)]
    waits = (3, 30) if draw.random() < 0.6 else (60, 700)  # some lie in store before anybody asks
    gaps += [("asked", *waits), ("sent", 0.2, 2), ("entitled", 1, 6)]
    at = now - HORIZON + timedelta(days=draw.random() * (HORIZON.days - 1))
    moments = {}
    for step, least, most in gaps:
        at += timedelta(days=least + draw.random() * (most - least))
        at = at.replace(microsecond=0)
        moments[step] = at
    return moments
