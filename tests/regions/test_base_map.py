"""The base of the maps: its sheets, what they draw, and how they are served."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from sifilma.regions import base_map, boundaries, geometry, outlines, prepared, villages
from sifilma.regions.sources import map_in_use
from tests.regions.test_layers import NOW, SHAPES, geojson, put
from tests.support.visitor import Visitor
from tests.support.world import World

WEST, MIDDLE, EAST = shapely.box(111, -8, 112, -7), shapely.box(112, -8, 113, -7), shapely.box(113, -8, 114, -7)


def sheet(name: str, home: Path = Path("/nowhere")) -> Any:
    """Return a sheet of the map in use."""
    made = map_in_use(home)
    assert made is not None
    data = made.sheet(name)
    return data and json.loads(gzip.decompress(data))


def ends(line: list[int], scale: int) -> list[tuple[float, float]]:
    """Return the points of a line of a sheet, in degrees."""
    return [tuple(point) for point in (np.cumsum(np.asarray(line).reshape(-1, 2), axis=0) / scale).tolist()]


def test_the_sheet_of_the_country_names_and_borders_everything_and_is_small() -> None:
    country = sheet("negara")
    assert (len(country["provinces"]), len(country["regencies"])) == (38, 514)
    assert {"Jawa Timur", "Papua Barat Daya"} <= {name for *_, name in country["provinces"]}
    assert {"Magetan", "Kota Madiun", "Kepulauan Seribu"} <= {name for *_, name in country["regencies"]}
    assert all(country[kind] for kind in ("home", "abroad", "province", "regency"))
    made = map_in_use(Path("/nowhere"))
    assert made is not None
    assert len(made.sheet("negara") or b"") < 100_000


def test_near_sheets_name_districts_and_villages_where_they_are() -> None:
    longitude, latitude = 111.328, -7.6536
    districts = {name for *_, name in sheet(f"p{int(longitude // 2)}_{int(latitude // 2)}")["districts"]}
    villages_ = {name: (x, y) for x, y, _, name in sheet(f"d{int(longitude // 0.5)}_{int(latitude // 0.5)}")["villages"]}
    assert {"Magetan", "Plaosan", "Maospati"} <= districts
    x, y = (degrees / base_map.FINE for degrees in villages_["Kebonagung"])
    assert geometry.metres_between(latitude, longitude, y, x) < 2000
    assert sheet("35.20")["properties"] == {"code": "35.20", "name": "Kabupaten Magetan"}


def test_a_square_without_land_is_empty_and_what_is_no_name_is_no_sheet() -> None:
    assert sheet("p0_0") == {}
    assert [sheet(name) for name in ("99.99", "about", "../about", "p1", "p1_2_3")] == [None] * 5


def test_each_border_is_drawn_once_by_what_it_parts() -> None:
    drawn = outlines.draw({"35.01": WEST, "35.02": MIDDLE, "51.01": EAST}, 0.05)
    assert [line.bounds for line in drawn.regency] == [(112, -8, 112, -7)]
    assert [line.bounds for line in drawn.province] == [(113, -8, 113, -7)]
    ours = [shape for shape in drawn.home if shape.intersects(MIDDLE)]
    assert [shape.bounds for shape in ours] == [(111, -8, 114, -7)]


def test_overlaps_of_neighbours_are_taken_away_and_small_islands_left_out() -> None:
    island = shapely.box(111.5, -8.2, 111.51, -8.19)
    shapes = outlines.clean(
        {"35.01": shapely.union(WEST, island), "35.02": shapely.box(111.9999, -8, 113, -7), "51.01": shapely.box(113, -8, 113.01, -7.99)}
    )
    far = outlines.simpler(shapes, 0.03, 1e-3)
    assert sum(line.length for line in outlines.draw(shapes, 0.05).regency) == pytest.approx(1, abs=0.01)
    assert (len(shapely.get_parts(far["35.01"])), far["51.01"].is_empty) == (1, False)


def test_a_line_is_written_as_steps() -> None:
    line = shapely.LineString([(111.0, -7.0), (111.0001, -7.0), (111.00011, -7.0), (111.5, -7.25)])
    made = outlines.Outlines([], [], [], [line])
    [written] = base_map.drawn(made, 10_000)["regency"]
    assert written == [1110000, -70000, 1, 0, 4999, -2500]
    assert ends(written, 10_000)[-1] == (111.5, -7.25)


def test_an_imported_layer_is_what_the_maps_draw(tmp_path: Path) -> None:
    packaged = map_in_use(tmp_path)
    boundaries.import_layer(tmp_path, put(tmp_path, geojson(SHAPES)), set(SHAPES), NOW)
    made = map_in_use(tmp_path)
    assert made is not None
    assert packaged is not None
    assert (made.credit, made.digest == packaged.digest) == ("layer", False)
    assert len(sheet("negara", tmp_path)["regencies"]) == len(SHAPES)


def test_the_sheets_are_served_packed_to_those_who_are_signed_in_and_kept_by_browsers(sqlite_world: World) -> None:
    office = Visitor(sqlite_world, "magetan.kepala")
    packed = office.client.get("/peta/dasar/negara.json", headers={"Accept-Encoding": "gzip"})
    plain = office.get("/peta/dasar/negara.json")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.get_data())) == json.loads(plain.get_data())
    assert "immutable" in plain.headers["Cache-Control"]
    again = office.client.get("/peta/dasar/negara.json", headers={"If-None-Match": plain.headers["ETag"]})
    assert (again.status_code, again.get_data()) == (304, b"")
    assert office.get("/peta/dasar/99.99.json").status_code == 404
    assert Visitor(sqlite_world).get("/peta/dasar/negara.json").status_code == 303
    assert "/peta/dasar/NAMA.json?v=" in office.get("/aktivasi/kartu").get_data(as_text=True)


def test_what_is_made_beforehand_is_the_same_and_makes_a_first_answer_fast() -> None:
    assert prepared.find(villages.FILE)
    before = time.process_time()
    points = villages.VillagePoints()
    tree = shapely.STRtree(shapely.get_parts(shapely.from_wkb((prepared.folder() / geometry.FOREIGN_FILE).read_bytes())))
    sheet("negara")
    assert time.process_time() - before < 0.5
    codes, degrees, digest = villages.read()
    assert (points.codes, points.sha256, points.degrees.tolist()) == (codes, digest, degrees.tolist())
    assert sum(shape.area for shape in tree.geometries) == pytest.approx(sum(shape.area for shape in geometry.foreign_parts()))
