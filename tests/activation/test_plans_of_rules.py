"""What the database refuses about each card of a file is found by keys, whatever statistics say of a young installation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sifilma.kernel import triggers
from tests.support.world import World

OF_EACH_CARD = (
    "activation_redeems", "token_of_request", "token_of_reissue", "card_active_manifest", "card_leaves_active",
    "card_in_working_unit_insert", "card_in_working_unit_update",
)  # fmt: skip
RULES = {rule.name: rule for rule in triggers.rules()}


@pytest.fixture
def young(postgresql_world: World) -> World:
    """Return an installation whose statistics know of no redeemed token and no manifest."""
    postgresql_world.ready("magetan.kepala", "R", 60)
    postgresql_world.sql("ANALYZE")
    return postgresql_world


def read_by_state(world: World, table: str, when: str) -> set[str]:
    """Return the tables of which a condition, planned as a trigger of a set plans it, reads all rows in a state."""
    before = f', {table} "old"' if "OLD." in when else ""
    with world.context() as ctx:
        connection = ctx.session.connection()
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        [plan] = connection.exec_driver_sql(f'EXPLAIN (FORMAT JSON) SELECT 1 FROM {table} "new"{before} WHERE {when}').scalar_one()
    return {
        str(node["Relation Name"])
        for node in nodes(plan["Plan"])
        if "state" in node.get("Index Cond", "") and node["Alias"] not in ("new", "old")
    }


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every node of a plan."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def test_rules_about_each_card_find_rows_by_key_although_none_was_in_the_state_when_they_were_counted(young: World) -> None:
    read = {name: read_by_state(young, RULES[name].table, RULES[name].when) for name in OF_EACH_CARD}
    assert {name: tables for name, tables in read.items() if tables} == {}


def test_a_rule_that_would_read_all_rows_in_a_state_is_seen(young: World) -> None:
    rule = RULES["activation_redeems"]
    planted = rule.when.replace(triggers.of_it("t.state = 'redeemed'"), "t.state = 'redeemed'")
    assert read_by_state(young, rule.table, planted) == {"token"}
