"""What finds rows by a part of a text: only those with the whole part, never by a pattern that was typed, by trigrams of the end."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from sifilma.cards.models import Unit
from sifilma.cards.part_queries import CARDS, UNITS
from sifilma.kernel.actor import Actor, OrganisationKind, Role
from sifilma.kernel.db import db
from sifilma.kernel.statements.finders import find, pattern, trigrams_of
from tests.support.counting import counted
from tests.support.world import World, done

OPERATOR = Actor(organisation_kind=OrganisationKind.DIRECTORATE, roles=frozenset({Role.OPERATOR}))
NUMBERS = ("PANJANG-SEKALI-0000123456", "LAIN-SEKALI-0000123456", "A/BC-DEFGHIJKLMN")
PCID = "04A1B2C3D4E5F60718293A4B5C6D7E8F"


@pytest.fixture
def found(postgresql_world: World) -> World:
    """Three units of an office, one of them with a PCID."""
    rows = [{"hardware_number": number, "model": "LEN-CRD-1", "function": "R"} for number in NUMBERS]
    done(postgresql_world.client("magetan.kepala").post("/units", [rows[0] | {"pcid": PCID}, *rows[1:]]), 201)
    return postgresql_world


def units(world: World, text: str, most: int = 1000) -> set[str] | None:
    with world.context(OPERATOR) as ctx:
        found, _ = find(ctx.session, text, UNITS, CARDS, most=most)
        names = {unit.id: unit.hardware_number for unit in ctx.session.scalars(select(Unit))}
        return None if found is None else {names[one] for one in found}


@pytest.mark.parametrize(
    ("part", "asked"),
    [
        ("ABC", "%ABC%"),
        ("ABCDE", "%ABCDE%"),  # one trigram alone leaves more rows than three that overlap
        ("ABCDEF", "%ABC%DEF%"),
        ("ABCDEFGH", "%CDE%FGH%"),
        ("PANJANG-SEKALI-0000123456", "%000%123%456%"),
        ("ABC-DEFGH-12", "%ABC%FGH%"),
        ("ABCDEFGHIJKL-1-2-3-4-5", "%DEF%GHI%JKL%"),
        ("A/B%CDEF_GHIJKL", "%DEF%GHI%JKL%"),  # no escape is left by itself
        ("A-B-1-2", "%A-B-1-2%"),
    ],
)
def test_an_index_is_asked_for_trigrams_of_the_end_that_share_no_sign(part: str, asked: str) -> None:
    made = pattern(part)
    assert made is not None
    assert trigrams_of(made) == asked


def test_of_those_with_its_trigrams_only_rows_with_the_whole_part_are_found(found: World) -> None:
    for text, expected in (
        (NUMBERS[0], {NUMBERS[0]}),
        ("sekali-0000123456", set(NUMBERS[:2])),
        ("NG-SEKALI-0000123456", {NUMBERS[0]}),
        (NUMBERS[2], {NUMBERS[2]}),
        ("A_BC-DEFGHIJKLMN", set()),
        ("A%-DEFGHIJKLMN", set()),
        (PCID, {NUMBERS[0]}),
        (PCID[1:], {NUMBERS[0]}),
        (PCID[:4] + PCID[8:], set()),
        (PCID[4:7] + PCID[10:13], set()),  # its trigrams stand there in this order, with something between them
        (PCID + "00", set()),
    ):
        assert units(found, text) == expected, text


def test_many_and_what_no_index_has_are_told_apart_from_none(found: World) -> None:
    assert units(found, "SEKALI", most=1) is None
    assert units(found, "A-1") is None
    assert units(found, "TIADA") == set()
    with found.app.app_context(), counted(db.engine) as sent:
        units(found, "%%")
    assert not [one for one in sent.statements if "LIKE" in str(one)]
