"""Region codes and the check of places."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import shapely
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sifilma.kernel.db import make_engine
from sifilma.kernel.errors import Invalid
from sifilma.regions import codes, service, villages
from sifilma.regions.boundaries import BoundaryLayer
from sifilma.regions.contract import Measured
from sifilma.regions.geometry import foreign_land
from sifilma.regions.loading import import_codes
from sifilma.regions.models import Region
from sifilma.regions.place import Outcome, PlaceCheck, judge
from sifilma.regions.sources import place_check
from tests.support.databases import MADE

KNOWN = {
    "Magetan": (-7.6536, 111.3280, "35.20"),
    "Bangli": (-8.4543, 115.3549, "51.06"),
    "Jakarta Selatan": (-6.2265, 106.8090, "31.74"),
    "Sabang": (5.8926, 95.3238, "11.72"),
    "Surabaya": (-7.2575, 112.7521, "35.78"),
}
ABROAD = {
    "Singapore": (1.3521, 103.8198),
    "Kuching": (1.5533, 110.3592),
    "Johor": (1.4927, 103.7414),
    "Kuala Lumpur": (3.139, 101.6869),
    "Dili": (-8.5586, 125.5736),
    "Maliana": (-8.9917, 125.2197),
    "Vanimo": (-2.6817, 141.3025),
    "Port Moresby": (-9.4438, 147.18),
    "Lubok Antu": (1.043, 111.83),
    "Bandar Seri Begawan": (4.9031, 114.9398),
    "Darwin": (-12.4634, 130.8456),
    "Sydney": (-33.9, 151.2),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> PlaceCheck:
    """Return the place check of the default source, which needs only Python packages."""
    return place_check(tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("name", KNOWN)
def test_places_in_their_region_pass_and_are_located(places: PlaceCheck, name: str) -> None:
    latitude, longitude, regency = KNOWN[name]
    found = places.check(latitude, longitude, 20, f"{regency}.01.1001")
    assert (found.outcome, found.nearest) == (Outcome.PASS, regency)
    assert len(found.source_sha256) == 64
    assert places.locate(latitude, longitude).regency == regency


@pytest.mark.parametrize("name", ABROAD)
def test_places_abroad_are_refused(places: PlaceCheck, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        places.check(*ABROAD[name], 20, "35.20.01.1001")
    assert refused.value.type in ("place-foreign", "place-outside")
    with pytest.raises(Invalid) as unlocated:
        places.locate(*ABROAD[name])
    assert unlocated.value.type == refused.value.type


# Midpoints of two villages of one district, on land that the outlines of countries count to a neighbour.
BORDER = {
    (-9.00875, 124.92485): "53.04.02.2001",
    (-9.02658, 124.93379): "53.04.02.2001",
    (-9.05732, 125.16911): "53.04.01.2005",
    (-9.2827, 124.98274): "53.04.23.2003",
    (-9.41581, 125.05045): "53.21.10.2003",
    (4.3004, 116.40287): "65.03.20.2003",
    (-3.23434, 140.97302): "91.11.01.2001",
    (4.33198, 116.38469): "65.03.20.2003",
    # Farther from any village than the mask errs, but within our outlines of regencies.
    (1.41253, 109.84078): "61.07.07.2001",
    (0.99415, 110.27013): "61.03.21.2001",
}


@pytest.mark.parametrize("position", BORDER)
def test_land_at_the_border_is_reviewed_and_not_refused(places: PlaceCheck, position: tuple[float, float]) -> None:
    found = places.check(*position, 20, BORDER[position])
    assert (found.outcome, found.at_border, found.nearest) == (Outcome.REVIEW, True, BORDER[position][:5])
    assert places.locate(*position).regency == found.nearest
    assert places.check(*position, 20, "35.20.06.1014").outcome is Outcome.FAIL


def test_no_village_point_is_refused(places: PlaceCheck) -> None:
    points = villages.points()
    foreign, _ = foreign_land().query(shapely.points(points.degrees[:, ::-1]), predicate="within")
    assert len(foreign) == 25
    for index in foreign:
        latitude, longitude = points.degrees[index].tolist()
        assert places.check(latitude, longitude, 20, points.codes[index]).outcome is not Outcome.FAIL


def test_the_points_of_the_squares_around_a_place_answer_as_the_tree_of_all_points_does() -> None:
    points, chance = villages.points(), random.Random(20)
    near = chance.sample(points.degrees.tolist(), 1000)
    places = [(chance.gauss(north, 0.02), chance.gauss(east, 0.02)) for north, east in near]
    places += [(chance.uniform(-13, 8), chance.uniform(93, 143)) for _ in range(1000)]
    found = [points._near.nearest(*place) for place in places]
    assert found.count(None) < 1020  # the sea, and land without villages, are left to the tree
    for (north, east), one in zip(places, found, strict=True):
        assert one in (None, int(points._tree.query((north * villages._SCALE[0], east * villages._SCALE[1]))[1]))


def test_land_at_the_border_is_reviewed_with_a_layer_too() -> None:
    position = (-9.00875, 124.92485)
    near = BoundaryLayer("near", "0" * 64, {"53.04": shapely.box(124.6, -9.4, 124.924, -8.9)})
    around = BoundaryLayer("around", "0" * 64, {"53.04": shapely.box(124.6, -9.4, 125.2, -8.9)})
    assert PlaceCheck(near).check(*position, 20, "53.04.02.2001").at_border
    assert PlaceCheck(around).check(*position, 20, "53.04.02.2001").outcome is Outcome.PASS


@pytest.mark.parametrize("position", [(0, 0), (float("nan"), 110), (91, 110), (-7, 181), (float("inf"), 0)])
def test_a_value_that_is_not_a_position_is_refused(places: PlaceCheck, position: tuple[float, float]) -> None:
    with pytest.raises(Invalid):
        places.check(*position, 20, "35.20.01.1001")


def test_a_place_in_another_regency_fails(places: PlaceCheck) -> None:
    assert places.check(*KNOWN["Magetan"][:2], 20, "51.06.01.1001").outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("metres", "accuracy", "on_land", "nearest", "outcome"),
    [
        (0, 0, True, True, "PASS"),
        (250, 0, True, False, "PASS"),
        (251, 0, True, False, "REVIEW"),
        (499, 500, True, False, "PASS"),
        (600, 5000, True, False, "REVIEW"),
        (2000, 0, True, False, "REVIEW"),
        (2001, 0, True, False, "FAIL"),
        (2900, 0, False, True, "PASS"),
        (2900, 0, False, False, "FAIL"),
        (3001, 0, False, True, "FAIL"),
    ],
)
def test_a_place_check_has_three_outcomes(metres: int, accuracy: int, on_land: bool, nearest: bool, outcome: str) -> None:
    assert judge(Measured(metres, 0.0, "35.20", on_land), accuracy, nearest) == outcome


def test_a_check_takes_less_than_a_millisecond_of_cpu(places: PlaceCheck) -> None:
    before = time.process_time()
    for _ in range(200):
        places.check(*KNOWN["Magetan"][:2], 20, "35.20.01.1001")
    assert (time.process_time() - before) / 200 < 0.001


@pytest.mark.parametrize(
    ("given", "kept"),
    [("3520062001", "35.20.06.2001"), ("35.20", "35.20"), ("35 20 06 1014", "35.20.06.1014"), ("11.01.01.3001", "11.01.01.3001")],
)
def test_codes_are_accepted_with_and_without_dots(given: str, kept: str) -> None:
    assert codes.normalise(given) == kept


@pytest.mark.parametrize("given", ["", "3", "352", "35.20.06.9001", "ab.cd", "35.20.06.10145"])
def test_a_value_that_is_not_a_code_is_refused(given: str) -> None:
    with pytest.raises(Invalid):
        codes.normalise(given)


def test_codes_are_loaded_once_and_closed_instead_of_deleted(database_url: str, tmp_path: Path) -> None:
    engine = make_engine(database_url, pool_size=1)
    with Session(engine) as session, session.begin():
        assert session.scalar(select(func.count()).select_from(Region)) == 91_599
        assert import_codes(session, MADE).added == 0  # the same version again changes nothing
        assert service.names_of(session, ["35.20.06.1014"])["35.20"].upper().endswith("MAGETAN")
        assert len(session.scalars(service.children(None)[0]).all()) == 38
    engine.dispose()
