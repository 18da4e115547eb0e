"""The queues of requests: filters by state, organisation, function, age and waiting person, at constant cost."""

from __future__ import annotations

import pytest

from sifilma.kernel.db import db
from tests.support.counting import counted
from tests.support.visitor import Visitor
from tests.support.world import World


def queue(world: World, path: str) -> list[str]:
    """Make three requests: RW of Magetan (the oldest), R of Bangli, and R of Magetan, which is approved. Returns their numbers."""
    made = []
    for who, function in (("magetan.kepala", "RW"), ("bangli.kepala", "R"), ("magetan.kepala", "R")):
        asked = world.submitted(who, function) if path == "/personalisasi" else world.requested(who, world.received(who, function))
        made.append(asked)
        world.clock.advance(days=2)
    kind = "personalisation-requests" if path == "/personalisasi" else "activation-requests"
    world.approve(kind, made[2]["id"], "penyetuju1")
    world.approve(kind, made[0]["id"], "penyetuju1")
    return [asked["letter_number"] for asked in made]


@pytest.mark.parametrize("path", ["/personalisasi", "/aktivasi"])
def test_each_filter_leaves_only_the_requests_it_names(world: World, path: str) -> None:
    first, second, third = queue(world, path)
    visitor = Visitor(world, "penyetuju1")
    for query, wanted in (
        ({}, {first, second, third}),
        ({"state": "approved"}, {third}),
        ({"q": "bangli"}, {second}),
        ({"q": first[:12]}, {first}),
        ({"function": "RW"}, {first}),
        ({"umur": "3", "state": "submitted"}, {first, second}),
        ({"umur": "3", "function": "R", "state": "submitted"}, {second}),
        ({"umur": "14"}, set()),
        ({"umur": "ngawur"}, {first, second, third}),
        ({"menunggu": "1"}, {second}),
    ):
        visitor.get(path, **({"state": "submitted"} | query if query.get("umur") == "14" else query))
        found = {number for number in (first, second, third) if number in visitor.seen}
        assert found == wanted, query


@pytest.mark.parametrize("path", ["/personalisasi", "/aktivasi"])
def test_all_filters_together_need_no_more_statements(sqlite_world: World, path: str) -> None:
    queue(sqlite_world, path)
    visitor = Visitor(sqlite_world, "penyetuju1")
    with sqlite_world.app.app_context():
        engine = db.engine
    visitor.get(path)
    with counted(engine) as plain:
        visitor.get(path)
    with counted(engine) as narrowed:
        visitor.get(path, q="47", state="submitted", function="R", umur="1", menunggu="1")
    assert len(narrowed.statements) <= len(plain.statements)
