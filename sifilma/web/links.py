"""Links of what the API shows: the thing itself, and what may be done with it in its state."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sifilma.kernel.lifecycle import LifeCycle

API = "/api/v1"


def links(collection: str, key: UUID | str, **more: str) -> dict[str, str]:
    """`self`, and paths below it: `links("cards", uid, history="history")`."""
    base = f"{API}/{collection}/{key}"
    return {"self": base} | {name: f"{base}/{path}" for name, path in more.items()}


def steps(collection: str, key: UUID | str, cycle: LifeCycle, state: str, verbs: Mapping[str, str]) -> dict[str, str]:
    """`self`, and every verb whose target state the table allows from here. Whether the actor may is another question."""
    return links(collection, key, **{verb: verb for verb, target in verbs.items() if cycle.allows(state, target)})
