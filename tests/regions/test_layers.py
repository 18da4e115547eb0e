"""A boundary layer gives the same answers in three formats; bad files are refused with a reason."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from sifilma.kernel.errors import Invalid
from sifilma.regions import boundaries, layers
from sifilma.regions.loading import DEFAULT_FOLDER
from sifilma.regions.place import PlaceCheck
from tests.support.world import World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ISLAND = shapely.box(111.60, -8.20, 111.62, -8.18)
SHAPES: dict[str, BaseGeometry] = {
    "35.20": shapely.MultiPolygon([shapely.box(111.10, -7.85, 111.50, -7.50), ISLAND]),
    "35.21": shapely.box(111.50, -7.85, 111.70, -7.50),
    "51.06": shapely.box(115.20, -8.55, 115.50, -8.10).difference(shapely.box(115.30, -8.40, 115.32, -8.38)),
}
PLACES = [(-7.65, 111.33), (-7.65, 111.49999), (-7.65, 111.5005), (-8.19, 111.61), (-8.39, 115.31), (-8.0, 113.0), (-8.45, 115.35)]


def feature(code: object, shape: BaseGeometry, name: str = "kode_wilayah") -> dict[str, Any]:
    return {"type": "Feature", "properties": {name: code, "nama": "x"}, "geometry": shapely.geometry.mapping(shape)}


def geojson(shapes: dict[str, BaseGeometry], name: str = "kode_wilayah", **more: Any) -> bytes:
    features = [feature(code, shape, name) for code, shape in shapes.items()]
    return json.dumps({"type": "FeatureCollection", "features": features} | more).encode()


def _wkb(shape: BaseGeometry | bytes | None) -> bytes | None:
    return shapely.to_wkb(shape) if isinstance(shape, BaseGeometry) else shape


def geoparquet(
    shapes: Mapping[str, BaseGeometry | bytes | None], name: str = "KDPKAB", geo: dict[str, Any] | None = None, **column: Any
) -> bytes:
    table = pyarrow.table({name: list(shapes), "geometry": [_wkb(shape) for shape in shapes.values()]})
    described = {"encoding": "WKB", "geometry_types": ["Polygon", "MultiPolygon"]} | column
    metadata = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": described}} if geo is None else geo
    out = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata({"geo": json.dumps(metadata)} if metadata else {}), out)
    return out.getvalue()


def geojson_with_numeric_codes(shapes: dict[str, BaseGeometry]) -> bytes:
    """Return GeoJSON whose codes are numbers and whose positions have a third dimension."""
    return geojson({code.replace(".", ""): shapely.force_3d(shape, 5.0) for code, shape in shapes.items()}, "KODE_KAB")


CRS84 = {"id": {"authority": "OGC", "code": "CRS84"}}
FORMATS: dict[str, Callable[[dict[str, BaseGeometry]], bytes]] = {
    "packed": layers.pack,
    "geojson": geojson,
    "geojson, codes without dots, heights": geojson_with_numeric_codes,
    "geojson with a byte order mark and the crs of 2008": lambda shapes: (
        b"\xef\xbb\xbf" + geojson(shapes, crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}})
    ),
    "geoparquet": geoparquet,
    "geoparquet with its crs": lambda shapes: geoparquet(shapes, "Kode_Wilayah", crs=CRS84),
}


def put(folder: Path, data: bytes) -> Path:
    path = folder / "layer"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_layer_in_any_format_gives_the_same_answers(tmp_path: Path, name: str) -> None:
    expected = boundaries.BoundaryLayer("layer", "", SHAPES)
    record = boundaries.import_layer(tmp_path, put(tmp_path, FORMATS[name](SHAPES)), set(SHAPES), NOW)
    found = boundaries.imported(tmp_path)
    assert found is not None
    assert record["sha256"] == found.sha256
    for latitude, longitude in PLACES:
        assert found.locate(latitude, longitude) == expected.locate(latitude, longitude)
        for code in SHAPES:
            assert found.measure(latitude, longitude, code) == expected.measure(latitude, longitude, code)
    assert PlaceCheck(found).check(-7.65, 111.33, 10, "35.20.06.1014").outcome == "PASS"


def test_equal_shapes_are_stored_as_equal_bytes(tmp_path: Path) -> None:
    kept = {boundaries.import_layer(tmp_path, put(tmp_path, made(SHAPES)), set(SHAPES), NOW)["sha256"] for made in FORMATS.values()}
    assert len(kept) == 1


def test_the_property_of_the_code_may_have_any_name(tmp_path: Path) -> None:
    for made in (geojson, geoparquet):
        file = put(tmp_path, made(SHAPES, "id_daerah"))
        with pytest.raises(Invalid, match=r"--code-property, of (id_daerah|nama)"):
            boundaries.import_layer(tmp_path, file, set(SHAPES), NOW)
        assert boundaries.import_layer(tmp_path, file, set(SHAPES), NOW, "id_daerah")["regencies"] == 3


BOWTIE = shapely.Polygon([(111, -7), (112, -8), (112, -7), (111, -8)])
ONE = {"35.20": SHAPES["35.20"]}
PLANAR = {"name": "WGS 84 / Pseudo-Mercator", "id": {"authority": "EPSG", "code": 3857}}
BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "cut, too large"),
    "a text": (b"halo", "is not a boundary layer"),
    "cut packed": (layers.pack(SHAPES)[:-5], "cut, too large"),
    "broken JSON": (geojson(SHAPES)[:-5], "is not a boundary layer"),
    "a JSON of something else": (b'{"a": 1}', "is a FeatureCollection, this is a None"),
    "one feature alone": (json.dumps(feature("35.20", SHAPES["35.20"])).encode(), "is a FeatureCollection, this is a Feature"),
    "no feature": (geojson({}), "0 properties of a usual name"),
    "a feature without properties": (b'{"type": "FeatureCollection", "features": [{"properties": null}]}', "is not a boundary layer"),
    "a feature without geometry": (
        b'{"type": "FeatureCollection", "features": [{"properties": {"kode": "35.20"}, "geometry": null}]}',
        "Feature 1 has no geometry",
    ),
    "a point": (geojson({"35.20": shapely.Point(111, -7)}), "The shape of 35.20 is a Point"),
    "a village": (geojson({"35.20.06.1014": SHAPES["35.20"]}), "a layer holds regencies"),
    "a name for a code": (geojson({"Magetan": SHAPES["35.20"]}), "Feature 1 has 'Magetan'"),
    "two codes": (
        json.dumps(
            {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"kode": "35.20", "code": "1"}, "geometry": None}]}
        ).encode(),
        "2 properties of a usual name",
    ),
    "a code twice": (geojson({"35.20": SHAPES["35.20"], "3520": SHAPES["35.21"]}), "invalid or given twice"),
    "a bow tie": (geojson({"35.20": BOWTIE}), "invalid or given twice"),
    "Africa": (geojson({"35.20": shapely.box(10, 0, 11, 1)}), "lies outside Indonesia"),
    "too few": (geojson(ONE), "lacks ['35.21', '51.06']"),
    "one too many": (geojson(SHAPES | {"99.99": ISLAND}), "unknown codes ['99.99']"),
    "GeoJSON in metres": (
        geojson(SHAPES, crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}),
        "EPSG::3857: only WGS 84",
    ),
    "GeoParquet in metres": (geoparquet(SHAPES, crs=PLANAR), "The layer is in EPSG:3857: only WGS 84"),
    "GeoParquet of no CRS": (geoparquet(SHAPES, crs=None), "The layer is in unknown: only WGS 84"),
    "GeoParquet in another encoding": (geoparquet(SHAPES, encoding="multipolygon"), "encoding multipolygon cannot be read"),
    "Parquet without geo": (geoparquet(SHAPES, geo={}), "it is not GeoParquet"),
    "GeoParquet whose geo says nothing": (geoparquet(SHAPES, geo={"version": "1.1.0"}), "is not a boundary layer"),
    "cut GeoParquet": (geoparquet(SHAPES)[:-30], "cannot be read"),
    "GeoParquet with broken shapes": (geoparquet({"35.20": b"\x01\x63"}), "is not a boundary layer"),
    "GeoParquet without a shape": (geoparquet({"35.20": SHAPES["35.20"], "35.21": None}), "Feature 2 has no geometry"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_a_reason_and_nothing_is_imported(tmp_path: Path, name: str) -> None:
    data, words = BAD[name]
    with pytest.raises(Invalid) as refused:
        boundaries.import_layer(tmp_path, put(tmp_path, data), set(SHAPES), NOW)
    assert words in str(refused.value)
    assert not (tmp_path / "regions").exists()


def test_a_bad_file_leaves_the_layer_in_force(tmp_path: Path) -> None:
    first = boundaries.import_layer(tmp_path, put(tmp_path, geojson(SHAPES)), set(SHAPES), NOW)
    with pytest.raises(Invalid):
        boundaries.import_layer(tmp_path, put(tmp_path, geojson(ONE)), set(SHAPES), NOW)
    found = boundaries.imported(tmp_path)
    assert found is not None
    assert found.sha256 == first["sha256"]


@pytest.mark.parametrize("made", [geojson, geoparquet, layers.pack])
def test_the_command_puts_a_whole_layer_in_force(
    sqlite_world: World, tmp_path: Path, made: Callable[[dict[str, BaseGeometry]], bytes]
) -> None:
    rows = sqlite_world.sql("SELECT code FROM region WHERE level = 2 ORDER BY code")
    shapes: dict[str, BaseGeometry] = {
        row[0]: shapely.box(95 + n % 40, -10 + n // 40, 95.5 + n % 40, -9.5 + n // 40) for n, row in enumerate(rows)
    }
    runner = sqlite_world.app.test_cli_runner()
    refused = runner.invoke(args=["regions", "import-boundaries", str(put(tmp_path, made(SHAPES)))])
    assert refused.exit_code == 1
    assert isinstance(refused.exception, Invalid)
    told = runner.invoke(args=["regions", "import-boundaries", str(put(tmp_path, made(shapes)))])
    assert (told.exit_code, told.output.startswith(f"layer: {len(rows)} regencies, sha256 ")) == (0, True)
    assert runner.invoke(args=["fsck", "--only", "boundary-file"]).exit_code == 0
    [_, entry] = sqlite_world.sql("SELECT object_kind, object_id FROM audit_entry WHERE action = 'regions.import' ORDER BY id")
    assert (entry[0], told.output.partition("sha256 ")[2].startswith(entry[1])) == ("boundary_layer", True)


def test_an_import_of_codes_is_recorded_once_with_version_and_digest(world: World, tmp_path: Path) -> None:
    later = tmp_path / "idn-area-data"
    shutil.copytree(DEFAULT_FOLDER, later)
    (later / "package.json").write_text(json.dumps({"version": "99.0.0"}))
    with (later / "data" / "provinces.csv").open("a") as file:
        file.write("\n99,CONTOH\n")
    runner = world.app.test_cli_runner()
    for _ in range(2):
        assert runner.invoke(args=["regions", "import", str(later)]).exit_code == 0
    imports = "SELECT object_id, data FROM audit_entry WHERE action = 'regions.import' AND object_kind = 'region_source' ORDER BY id"
    [_, entry] = world.sql(imports)  # the first brought the codes that every test starts with
    facts = json.loads(entry[1]) if isinstance(entry[1], str) else entry[1]
    [source] = world.sql("SELECT sha256 FROM region_source WHERE version = '99.0.0'")
    assert (entry[0], facts["sha256"], facts["added"]) == ("99.0.0", source[0], 1)


def test_a_server_never_loads_the_parquet_library() -> None:
    program = "import sys; from sifilma.commands import main; print({'pyarrow', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "set()\n"
