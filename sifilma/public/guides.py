"""The three steps (request, activation, manifest) as each role does them, one page of work after the other."""

from __future__ import annotations

from collections.abc import Iterable

from sifilma.public.central_guides import CENTRAL
from sifilma.public.guide import Guide
from sifilma.public.outside_guides import OUTSIDE

GUIDES = OUTSIDE + CENTRAL


def of_columns(columns: Iterable[str]) -> list[Guide]:
    """The guides for somebody in these columns of the permission table."""
    found = set(columns)
    return [guide for guide in GUIDES if found & set(guide.columns)]
