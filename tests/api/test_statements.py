"""A page of a list needs as many statements for twelve rows as for three, at most MOST."""

from __future__ import annotations

import pytest

from sifilma.kernel.db import db
from tests.support.counting import counted
from tests.support.world import Client, World, done

OFFICE = "magetan.kepala"
MOST = 12
LISTS = (
    "/activation-requests", "/activations", "/api-keys", "/audit", "/cards", "/destructions", "/handovers", "/manifests", "/models",
    "/organisations", "/personalisation-requests", "/regions", "/sessions", "/units", "/users",
)  # fmt: skip


def statements(world: World, client: Client, path: str) -> int:
    """Return the number of statements of one GET."""
    with world.app.app_context():
        engine = db.engine
    with counted(engine) as found:
        done(client.get(path))
    return len(found.statements)


def grow(world: World, count: int) -> None:
    """Add `count` rows to every list of an office."""
    for _ in range(count):
        world.active(OFFICE, "R")
        uid = world.received(OFFICE, "R")[0]
        done(world.client(OFFICE).post(f"/cards/{uid}/reports", {"condition": "damaged", "note": "patah"}))
        done(world.client(OFFICE).post("/destructions", {"cards": [uid], "cause": "damaged"}), 201)
        done(world.client(OFFICE).post("/api-keys", {"name": "mesin"}), 201)


def test_the_statements_of_a_page_do_not_grow_with_its_rows(sqlite_world: World) -> None:
    client = sqlite_world.client(OFFICE)
    grow(sqlite_world, 3)
    few = {path: statements(sqlite_world, client, path) for path in LISTS}
    grow(sqlite_world, 9)
    many = {path: statements(sqlite_world, client, path) for path in LISTS}
    assert many == few
    assert {path: count for path, count in many.items() if count > MOST} == {}


@pytest.mark.parametrize("kind", ["handovers", "activation-requests", "personalisation-requests"])
def test_the_statements_of_one_object_do_not_grow_with_its_cards(sqlite_world: World, kind: str) -> None:
    def shown(count: int) -> int:
        uids = sqlite_world.received(OFFICE, "R", count)
        sqlite_world.requested(OFFICE, uids)
        client = sqlite_world.client(OFFICE)
        newest = done(client.get(f"/{kind}", limit=1))["items"][0]["id"]
        return statements(sqlite_world, client, f"/{kind}/{newest}")

    assert shown(3) == shown(12) <= MOST
