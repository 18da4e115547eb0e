"""The regions that a form receives: the proposal for a position, and the choices of the selects."""

from __future__ import annotations

import shapely
from sqlalchemy.orm import Session

from sifilma.kernel.db import make_engine
from sifilma.regions import service, villages
from sifilma.regions.boundaries import BoundaryLayer
from sifilma.regions.place import PlaceCheck

MAGETAN = (-7.6536, 111.3280)
SQUARE = shapely.box(111.2, -7.8, 111.5, -7.5)


def layer() -> PlaceCheck:
    """Return a place check with a layer of one regency, a square."""
    return PlaceCheck(BoundaryLayer("square", "0" * 64, {"35.20": SQUARE}))


def test_a_village_is_proposed_although_the_layer_knows_only_regencies() -> None:
    found = layer().propose(*MAGETAN)
    assert layer().locate(*MAGETAN).village is None
    assert found.regency == "35.20"
    assert found.village == villages.points().locate(*MAGETAN).village


def test_the_selects_offer_the_regions_below_the_chosen_one(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    with Session(engine) as session:
        nothing, regency = service.cascade(session, ""), service.cascade(session, "35.20")
        gone = service.cascade(session, "35.20.99.1001")
        whole = service.cascade(session, "35.20.06.1014")
    engine.dispose()
    assert (len(nothing.provinces), nothing.regencies, nothing.code) == (38, [], "")
    assert all(code.startswith("35.20.") for code, _ in regency.districts)
    assert (regency.villages, regency.part(5), regency.part(8)) == ([], "35.20", "")
    assert (gone.code, gone.villages) == ("35.20", [])  # an unknown part is not chosen, the known parts above it are
    assert (whole.code, whole.part(8)) == ("35.20.06.1014", "35.20.06")


def test_a_choice_below_another_parent_is_dropped() -> None:
    assert service.deepest("51", "35.20", "35.20.06", "35.20.06.1014") == "51"
    assert service.deepest("35", "35.20", "", "35.20.06.1014") == "35.20"
    assert service.deepest("35", "35.20", "35.20.06", "35.20.06.1014") == "35.20.06.1014"
