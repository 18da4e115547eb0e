"""Cards are found by their function among those that an organisation holds and those that it bought."""

from __future__ import annotations

import pytest

from tests.support.world import World, done


def seen(world: World, who: str, function: str) -> set[str]:
    """Return the UIDs of the list of cards of a function."""
    return {card["uid"] for card in done(world.client(who).get("/cards", function=function))["items"]}


def test_cards_of_a_function_are_those_that_one_holds_and_those_that_one_bought(world: World) -> None:
    held, bought = world.received("magetan.kepala", "RW", 2), world.personalised("magetan.kepala", "RW", 1)
    readers, others = world.received("magetan.kepala", "R", 1), world.received("bangli.kepala", "RW", 1)
    assert (seen(world, "magetan.kepala", "RW"), seen(world, "magetan.kepala", "R")) == ({*held, *bought}, set(readers))
    assert seen(world, "bangli.kepala", "RW") == set(others)
    assert seen(world, "jatim.kepala", "RW") == {*held, *bought}
    assert seen(world, "auditor1", "RW") == {*held, *bought, *others}


@pytest.mark.parametrize("who", ["mandiri.kepala", "softorb.kepala"])
def test_one_who_has_no_card_of_a_function_sees_none(world: World, who: str) -> None:
    world.received("magetan.kepala", "RW", 1)
    assert seen(world, who, "RW") == set()
