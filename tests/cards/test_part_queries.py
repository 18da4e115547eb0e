"""A part of a number is looked for in the numbers that can have it: digits in UID and PCID, anything in a hardware number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sifilma.cards import queries
from sifilma.cards.queries import CardFilter, UnitFilter, list_cards, list_units
from sifilma.kernel.actor import Actor, OrganisationKind, Role
from sifilma.kernel.ids import uuid7
from sifilma.reports.card_page import NAMING
from tests.support.world import World, done

DASHED, PLAIN, DIGITS = "ZX-77/1", "QQ001", "04A1B2"
OPERATOR = Actor(organisation_kind=OrganisationKind.DIRECTORATE, roles=frozenset({Role.OPERATOR}))
PCID = "04A1B2C3D4E5F60718293A4B5C6D7E8F"


@pytest.fixture
def made(world: World) -> World:
    """Three units of an office, without cards."""
    rows = [
        {"hardware_number": number, "model": "LEN-CRD-1", "function": "R"} | ({"pcid": PCID} if number == PLAIN else {})
        for number in (DASHED, PLAIN, DIGITS)
    ]
    done(world.client("magetan.kepala").post("/units", rows), 201)
    return world


def units(world: World, text: str) -> set[str]:
    with world.context(OPERATOR) as ctx:
        return {unit.hardware_number for unit in ctx.session.scalars(list_units(ctx, UnitFilter(text=text))[0])}


def cards(world: World, text: str) -> set[str]:
    with world.context(OPERATOR) as ctx:
        return {card.uid for card in ctx.session.scalars(list_cards(ctx, CardFilter(text=text))[0])}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("-", {DASHED}),
        ("zx-77", {DASHED}),
        ("zx-77/1", {DASHED}),
        ("qq 001", {PLAIN}),
        ("04:a1:b2", {PLAIN, DIGITS}),
        ("04-a1-b2-c3", {PLAIN}),
        ("A1B", {PLAIN, DIGITS}),
        ("QQ04", set[str]()),
    ],
)
def test_units_are_found_by_a_part_of_their_hardware_number_or_pcid(made: World, text: str, found: set[str]) -> None:
    assert units(made, text) == found


def test_units_and_cards_are_found_by_a_part_of_the_uid(made: World) -> None:
    ready, _ = made.active("magetan.kepala", "R")
    uid, number = ready.uids[0], ready.hardware[ready.uids[0]]
    for part in (uid, uid[3:11].lower(), " ".join((uid[:2], uid[2:4], uid[4:6], uid[6:8]))):
        assert (units(made, part), cards(made, part)) == ({number}, {uid})
    assert cards(made, number[3:]) == {uid}
    assert cards(made, "-") == {uid}  # the hardware number of its unit has one
    assert cards(made, "zx-77") == set()


def test_cards_in_a_state_are_those_held_and_those_bought_of_whoever_has_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, others = world.received("magetan.kepala", "R", 3), world.received("bangli.kepala", "R")
    made, made_for_others = world.personalised("magetan.kepala", "R", 2), world.personalised("bangli.kepala", "R")

    def seen(who: str, state: str, **more: str) -> set[str]:
        return {card["uid"] for card in done(world.client(who).get("/cards", state=state, limit=200, **more))["items"]}

    def look() -> None:
        assert (seen("magetan.kepala", "received"), seen("magetan.kepala", "personalised")) == (set(mine), set(made))
        assert (seen("bangli.kepala", "received"), seen("bangli.kepala", "personalised")) == (set(others), set(made_for_others))
        assert seen("magetan.kepala", "active") == set()
        # Whose reach is wider see others', too.
        assert (seen("jatim.kepala", "received"), seen("operator1", "personalised")) == (set(mine), {*made, *made_for_others})

    look()
    assert (seen("magetan.kepala", "received", function="R"), seen("magetan.kepala", "received", function="RW")) == (set(mine), set())
    # Of both kinds few are many: read in the order of the list, or of the holder's index alone.
    monkeypatch.setattr(queries._IN_STATE, "_most", 0)
    look()
    for held, bought in ((None, []), ([], None), (None, None)):
        monkeypatch.setattr(queries._IN_STATE, "find", lambda *_, found=(held, bought): list(found))
        if bought is not None:
            assert seen("magetan.kepala", "received") == set(mine)
        else:
            look()


def test_somebody_limited_to_outlets_finds_what_stands_there_alone(world: World) -> None:
    ready, _ = world.active("magetan.kepala", "R")
    uid, office = ready.uids[0], world.organisation_of("magetan.kepala")
    limited = Actor(
        organisation_kind=OrganisationKind.REGENCY_OFFICE,
        organisation_id=office,
        roles=frozenset({Role.STAFF}),
        outlets=frozenset({uuid7()}),
    )
    whole = replace(limited, outlets=None)
    for actor, found in ((whole, {uid}), (limited, set[str]())):
        with world.context(actor) as ctx:
            assert {card.uid for card in ctx.session.scalars(list_cards(ctx, CardFilter(text=uid[3:11]), *NAMING)[0])} == found
