"""The guides to the three steps (request, activation, manifest), one per role."""

from __future__ import annotations

from collections.abc import Iterable

from sifilma.public.central_guides import CENTRAL
from sifilma.public.guide import Guide
from sifilma.public.outside_guides import OUTSIDE

GUIDES = OUTSIDE + CENTRAL


def of_columns(columns: Iterable[str]) -> list[Guide]:
    """Return the guides for people in these columns of the permission table."""
    found = set(columns)
    return [guide for guide in GUIDES if found & set(guide.columns)]
