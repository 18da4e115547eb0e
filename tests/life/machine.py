"""What the state machine offers to the acts that stand in modules of their own."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from tests.support.world import World

OFFICE, OPERATOR, APPROVER = "magetan.kepala", "operator1", "penyetuju1"


class Machine:
    """The installation, the count of calls, and how a call is made; `state_machine.Life` gives them."""

    world: ClassVar[World]
    taken: ClassVar[Counter[str]]
    known: list[Any]

    def _call(self, who: str, path: str, body: Any, *, allowed: bool) -> Any:
        """Post a step and return its JSON, None if it was refused. AssertionError unless it succeeds exactly when the model allows it."""
        raise NotImplementedError
