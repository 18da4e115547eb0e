"""Where a unit stands. Who activates cards knows it, layers above; whoever shows a unit asks here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sifilma.kernel.context import Context


@dataclass(frozen=True)
class Standing:
    """The latest place a unit was made to work at. Degrees are WGS 84; `region` names the village, district, regency and province."""

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
    """Say who knows; called once at start-up (DOMAIN.md, rule 13), and harmless twice."""
    if answer not in _asked:
        _asked.append(answer)


def find_standing(ctx: Context, unit_id: UUID) -> Standing | None:
    """Where the unit stands, as far as the actor may see its activations; None if it never worked."""
    return next((found for answer in _asked if (found := answer(ctx, unit_id)) is not None), None)
