"""Places that do not fit, in the life of cards: the model of the suspensions that follow, and the acts that lead there and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis.stateful import invariant

from tests.life import model
from tests.life.machine import APPROVER, OPERATOR, Machine
from tests.life.model import Manifest, Request
from tests.support.world import MAGETAN_PLACE

FAR = MAGETAN_PLACE | {"latitude": -7.1, "longitude": 112.4, "reason": "dibawa petugas ke desa"}
STRAYS = ((True, True, False), (True, False), (False, True))
"""Which activations of a card are at a place that does not fit, over and over: of the first, second and third card that a run knows."""
DEADLINE = timedelta(days=14)
OPEN = ("proposed", "suspended")
STATES = ("proposed", "suspended", "dropped", "answered", "lifted", "closed")

PLACE_ACTS: list[tuple[str, dict[str, Any]]] = [
    *[("review_the_place", {"decision": decision}) for decision in ("rejected", "rejected", "rejected", "accepted")],
    *[("decide_on_the_suspension", {"decision": decision}) for decision in ("suspend", "drop", "drop", "drop")],
    *[("lift_the_suspension", {})] * 3,
]

TOLD = """
SELECT a.review_state, s.state FROM activation a JOIN card c ON c.id = a.card_id
LEFT JOIN place_suspension s ON s.activation_id = a.id WHERE c.uid = :uid ORDER BY a.id
"""


@dataclass
class Proposal:
    """The proposal to suspend a card for one of its places, and the suspension."""

    id: str
    due: datetime
    state: str = "proposed"


@dataclass
class Place:
    """The place of one activation: `none` needs no review. `proposal` is what its rejection opened."""

    activation: str
    review: str
    proposal: Proposal | None = None


@dataclass
class Card(model.Card):
    """A card whose places count (rule 6): a rejected one suspends it, a relocation answers that."""

    places: list[Place] = field(default_factory=list)

    @property
    def standing(self) -> Manifest | None:
        """The manifest in force: a suspended one is too."""
        return next((manifest for manifest in self.manifests if manifest.in_force), None)

    @property
    def proposal(self) -> Proposal | None:
        """The newest proposal."""
        return next((place.proposal for place in reversed(self.places) if place.proposal), None)

    @property
    def open(self) -> Proposal | None:
        """The proposal that is not decided, or the suspension that has not ended."""
        return self.proposal if self.proposal and self.proposal.state in OPEN else None

    @property
    def is_unreviewed(self) -> bool:
        """Whether the card was relocated since its open proposal, to a place that waits for its review."""
        later = [place.proposal is not None and place.proposal is self.open for place in self.places]
        return any(place.review == "waiting" for place in self.places[later.index(True) + 1 :])

    def may_be_asked_for(self, kind: str) -> bool:
        """A card that is suspended for its place can be relocated."""
        free = self.holder == "office" and not any(request.open for request in self.requests)
        return super().may_be_asked_for(kind) or (free and kind == "relocation" and self.state == "suspended")

    def is_ready(self, request: Request) -> bool:
        """A card that is suspended for its place can be relocated."""
        return super().is_ready(request) or (request.kind == "relocation" and self.state == "suspended")

    def may_become(self, condition: str) -> bool:
        """A suspended card can be reported as every other."""
        return super().may_become(condition) or (self.state == "suspended" and condition != "found")

    def stand_at(self, place: Place) -> None:
        """Take in the place of an activation that has just succeeded: one that fits answers what is open."""
        self.places.append(place)
        if self.open and place.review == "none":
            self.open.state = "answered"
        elif self.open and self.open.state == "suspended":
            self.suspend()

    def review(self, place: Place, decision: str, proposal: Proposal | None) -> None:
        """Decide on a place. It counts if it is the newest one: accepted it answers what is open, rejected it opens a proposal."""
        place.review, found = decision, self.open
        place.proposal = proposal
        if decision == "accepted" and place is self.places[-1] and found:
            self.end(found, "answered")

    def would_open(self, place: Place) -> bool:
        """Whether the rejection of a place opens a proposal."""
        return place is self.places[-1] and self.state in ("active", "suspended") and self.open is None

    def suspend(self) -> None:
        """Suspend card and manifest."""
        self.state = "suspended"
        if self.standing:
            self.standing.state = "suspended"

    def end(self, found: Proposal, state: str) -> None:
        """End what is open: a suspended card and its manifest are as they were."""
        if found.state == "suspended" and self.standing:
            self.state, self.standing.state = "active", "active"
        found.state = state

    def fall(self) -> None:
        """A card that can no longer be used has no place that counts."""
        super().fall()
        if self.open:
            self.open.state = "closed"

    def withdraw(self, state: str) -> None:
        """The end of a manifest ends what its place had opened."""
        super().withdraw(state)
        if self.open:
            self.open.state = "closed"
        if self.state == "suspended":
            self.state = "received"

    def lapse(self, now: datetime) -> None:
        """A proposal on which nobody decided suspends the card at its deadline, unless its holder has answered."""
        super().lapse(now)
        found = self.open
        if found and found.state == "proposed" and found.due <= now and self.state == "active" and not self.is_unreviewed:
            found.state = "suspended"
            self.suspend()


class Places(Machine):
    """The acts about places."""

    def place_for(self, card: Card) -> dict[str, Any]:
        """Return the place of the card's next activation."""
        strays = STRAYS[self.known.index(card)]
        return FAR if strays[len(card.places) % len(strays)] else MAGETAN_PLACE

    def place_taken(self, card: Card, activation: str, where: dict[str, Any]) -> None:
        """Take in where an activation that has just succeeded stands."""
        card.stand_at(Place(activation, "waiting" if where is FAR else "none"))

    def next_of_place(self, card: Card) -> bool:
        """Take the usual next step about every second place of a card: suspend the card, and lift every second suspension.

        Return False if there is none: the other suspended cards are relocated.
        """
        if len(card.places) % 2 == 0:
            return False
        if card.places[-1].review == "waiting":
            self.review_the_place(card, "rejected")
        elif card.open and card.open.state == "proposed":
            self.decide_on_the_suspension(card, "suspend")
        elif card.open and self.taken["lift True"] < self.taken["decision True"] // 2:
            self.lift_the_suspension(card)
        else:
            return False
        return True

    def review_the_place(self, card: Card, decision: str) -> None:
        place = next((place for place in reversed(card.places) if place.review != "none"), None)
        if place is None:
            return
        body = {"decision": decision, "note": "tidak ada surat tugas"}
        if self._call(OPERATOR, f"/activations/{place.activation}/review", body, allowed=place.review == "waiting"):
            found = self.world.sql("SELECT id, due_at FROM place_suspension WHERE activation_id = :id", id=place.activation)
            assert bool(found) == (decision == "rejected" and card.would_open(place)), card
            proposal = Proposal(str(found[0][0]), self.world.clock.now() + DEADLINE) if found else None
            card.review(place, decision, proposal)

    def decide_on_the_suspension(self, card: Card, decision: str) -> None:
        found = card.proposal
        if found is None:
            return
        body = {"decision": decision, "note": "mesin belum kembali"}
        if self._call(APPROVER, f"/place-suspensions/{found.id}/decision", body, allowed=found.state == "proposed"):
            found.state = "suspended" if decision == "suspend" else "dropped"
            if decision == "suspend":
                card.suspend()

    def lift_the_suspension(self, card: Card) -> None:
        found = card.proposal
        if found is None:
            return
        if self._call(APPROVER, f"/place-suspensions/{found.id}/lift", {"note": "mesin sudah kembali"}, allowed=found.state == "suspended"):
            card.end(found, "lifted")

    @invariant()
    def the_places_are_what_the_model_says(self) -> None:
        for card in self.known:
            expected = [(place.review, place.proposal.state if place.proposal else None) for place in card.places]
            self.taken.update(f"place {state}" for _, state in expected if state)
            if expected:
                assert [tuple(row) for row in self.world.sql(TOLD, uid=card.uid)] == expected, card
