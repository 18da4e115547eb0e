"""Requests for cards that end with a remainder: the model of one, and the acts that lead there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis.stateful import invariant

from tests.life.machine import APPROVER, OFFICE, OPERATOR, Machine
from tests.support.world import new_uid

ORDER_ACTS: list[tuple[str, dict[str, Any]]] = [
    ("order_two_and_make_one", {}),
    *[("propose_to_close", {})] * 3,
    *[("decide_on_closing", {"decision": decision}) for decision in ("execute", "execute", "reject")],
    *[("make_the_rest", {})] * 3,
]

TOLD = """
SELECT r.state, p.state, p.remainder FROM personalisation_request r
LEFT JOIN personalisation_closing p ON p.personalisation_request_id = r.id WHERE r.id = :id ORDER BY p.id DESC LIMIT 1
"""


@dataclass
class Order:
    """A request for two cards of which one is made; `closing` is the state of the newest proposal to close it."""

    id: str
    state: str = "personalising"
    closing: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether a card is still to be made."""
        return self.state == "personalising"


class Orders(Machine):
    """The acts about the newest of a run's requests."""

    order: Order | None = None

    def order_two_and_make_one(self, _card: Any) -> None:
        if self.order and self.order.is_open:
            return
        asked = self.world.submitted(OFFICE, "R", 2)["id"]
        self.world.approve("personalisation-requests", asked, APPROVER)
        self.order = Order(asked)
        self._make(allowed=True)

    def make_the_rest(self, _card: Any) -> None:
        if self.order and self._make(allowed=self.order.is_open):
            self.order.state = "completed"

    def _make(self, *, allowed: bool) -> Any:
        assert self.order is not None
        results = {"results": [{"sam_uid": new_uid(), "outcome": "personalised"}]}
        return self._call(OPERATOR, f"/personalisation-requests/{self.order.id}/results", results, allowed=allowed)

    def propose_to_close(self, _card: Any) -> None:
        found = self.order
        if found is None:
            return
        allowed = found.is_open and found.closing != "proposed"
        if self._call(OFFICE, f"/personalisation-requests/{found.id}/close", {"reason": "cukup satu kartu"}, allowed=allowed):
            found.closing = "proposed"

    def decide_on_closing(self, _card: Any, decision: str) -> None:
        found = self.order
        if found is None:
            return
        allowed = found.closing == "proposed" and (found.is_open or decision == "reject")
        body = {"reason": "sesuai surat kantor", "decision": decision}
        if self._call(APPROVER, f"/personalisation-requests/{found.id}/close", body, allowed=allowed):
            found.closing = "executed" if decision == "execute" else "rejected"
            found.state = "closed" if decision == "execute" else found.state

    @invariant()
    def the_order_is_what_the_model_says(self) -> None:
        if self.order:
            remainder = 1 if self.order.closing == "executed" else None
            assert [tuple(row) for row in self.world.sql(TOLD, id=self.order.id)] == [(self.order.state, self.order.closing, remainder)]
