"""Public keys of units for tests: set as people set them."""

from __future__ import annotations

from typing import Any

from tests.support.world import World, done


def register_key(world: World, number: str, jwk: dict[str, Any], proposer: str = "softorb.kepala", holder: str = "mandiri.kepala") -> None:
    """Have one person propose a unit's public key, and another of its holder register it."""
    unit = done(world.client(holder).get("/units", hardware_number=number))["items"][0]["id"]
    made = done(world.client(proposer).post("/unit-key-changes", {"keys": [{"unit": unit, "public_jwk": jwk}]}), 201)
    done(world.client(holder).post(f"/unit-key-changes/{made['id']}/approve", {"digest": made["digest"]}))
