"""Build the links in the API's answers: to the object itself, and to the acts that its state allows."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sifilma.kernel.lifecycle import LifeCycle

API = "/api/v1"


def links(collection: str, key: UUID | str, **more: str) -> dict[str, str]:
    """Return `self` and links to paths below it: `links("cards", uid, history="history")`."""
    base = f"{API}/{collection}/{key}"
    return {"self": base} | {name: f"{base}/{path}" for name, path in more.items()}


def steps(collection: str, key: UUID | str, cycle: LifeCycle, state: str, verbs: Mapping[str, str]) -> dict[str, str]:
    """Return `self` and a link for every verb whose target state the table allows. Permissions of the actor are not considered."""
    return links(collection, key, **{verb: verb for verb, target in verbs.items() if cycle.allows(state, target)})
