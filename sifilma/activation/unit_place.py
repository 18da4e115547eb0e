"""Where a unit stands, for its page: the place of its latest activation, within the actor's scope."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from sifilma.activation.models import Activation
from sifilma.activation.queries import activations_query, uids
from sifilma.cards.unit_place import Standing, answer_with
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.regions.models import Region


def register_hooks() -> None:
    """Register the answer with `sifilma/cards/unit_place.py`."""
    answer_with(find_standing)


def find_standing(ctx: Context, unit_id: UUID) -> Standing | None:
    """Return the place of the latest activation in this unit that the actor may see, or None."""
    query = activations_query(ctx, Operation.UNIT_READ).where(Activation.unit_id == unit_id).order_by(Activation.id.desc()).limit(1)
    found = ctx.session.scalars(query).first()
    return _standing(ctx, found) if found is not None else None


def _standing(ctx: Context, found: Activation) -> Standing:
    return Standing(
        activation_id=found.id,
        at=found.at,
        card=uids(ctx, [found.card_id])[found.card_id],
        address=found.address,
        region=_region(ctx, found.region_code),
        region_code=found.region_code,
        latitude=found.latitude_e7 / 1e7,
        longitude=found.longitude_e7 / 1e7,
        outcome=found.place_outcome,
    )


def _region(ctx: Context, code: str) -> str:
    """Return the names from the village up to the province. Codes that are closed by now keep their names."""
    chain = [code, code[:8], code[:5], code[:2]]
    names: dict[str, str] = dict(ctx.session.execute(select(Region.code, Region.name).where(Region.code.in_(chain))).all())
    return ", ".join(names[part] for part in chain if part in names)
