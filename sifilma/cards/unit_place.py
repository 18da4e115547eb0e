"""Where a unit stands. The answer comes from `activation`, a layer above, which registers a function here at start-up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sifilma.kernel.context import Context


@dataclass(frozen=True)
class Standing:
    """The latest place for which a unit received a manifest. Degrees are WGS 84; `region` names village, district, regency and province."""

    activation_id: UUID
    at: datetime
    card: str
    address: str
    region: str
    region_code: str
    latitude: float
    longitude: float
    outcome: str


Answer = Callable[[Context, UUID], Standing | None]
_asked: list[Answer] = []


def answer_with(answer: Answer) -> None:
    """Register a function that knows where units stand (docs/domain.md, rule 13). Registering it twice has no effect."""
    if answer not in _asked:
        _asked.append(answer)


def find_standing(ctx: Context, unit_id: UUID) -> Standing | None:
    """Return where the unit stands, within the activations the actor may see, or None."""
    return next((found for answer in _asked if (found := answer(ctx, unit_id)) is not None), None)
