"""The formats of boundary layers, recognised by their content: GeoJSON, GeoParquet, and the project's own packed WKB.

GeoJSON (RFC 7946) is a FeatureCollection, GeoParquet 1.x holds geometries as WKB. Both are in WGS 84, longitude first, with the code in
a property or column. Packed WKB is the zlib compression of records sorted by code: `<5sI` (code such as `35.20`, length of the WKB) and
the WKB itself.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape as from_mapping
from shapely.geometry.base import BaseGeometry

from sifilma.kernel.errors import Invalid
from sifilma.regions import codes

MAX_PACKED = 64 * 1024 * 1024
MAX_UNPACKED = 512 * 1024 * 1024
MAX_GEOJSON = 256 * 1024 * 1024
RECORD = struct.Struct("<5sI")
CODE_PROPERTIES = ("kode_wilayah", "kode_kabkota", "kode_kab", "kdpkab", "kode", "code")
WGS_84 = frozenset({"OGC:CRS84", "EPSG:4326", "URN:OGC:DEF:CRS:OGC:1.3:CRS84", "URN:OGC:DEF:CRS:EPSG::4326"})
Pairs = Iterator[tuple[str, BaseGeometry]]
# What the parsers raise for input that is not in their format.
_BROKEN = (zlib.error, struct.error, UnicodeDecodeError, ShapelyError, ValueError, TypeError, KeyError, IndexError, AttributeError)


def is_packed(data: bytes) -> bool:
    """Return whether `data` is packed WKB, the format in which layers are stored."""
    return not data.startswith(b"PAR1") and not _text(data).startswith(b"{")


def pairs(data: bytes, code_property: str | None = None) -> list[tuple[str, BaseGeometry]]:
    """Return codes and shapes in the file's order. Raise Invalid for what is in none of the three formats."""
    try:
        if data.startswith(b"PAR1"):
            return list(_geoparquet(data, code_property))
        if _text(data).startswith(b"{"):
            return list(_geojson(data, code_property))
        return list(_packed(data))
    except _BROKEN as broken:
        raise Invalid(f"This is not a boundary layer (GeoJSON, GeoParquet or packed WKB): {type(broken).__name__}.") from broken


def pack(shapes: dict[str, BaseGeometry]) -> bytes:
    """Return the shapes as packed WKB. The same shapes give the same bytes. Raise Invalid if they are too large."""
    parts = []
    for code, shape in sorted(shapes.items()):
        wkb = shapely.to_wkb(shape, byte_order=1)
        parts += [RECORD.pack(code.encode(), len(wkb)), wkb]
    if sum(map(len, parts)) > MAX_UNPACKED:
        raise Invalid("The layer is too large: simplify it first.")
    return zlib.compress(b"".join(parts), 9)


def _text(data: bytes) -> bytes:
    return data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()


def _packed(data: bytes) -> Pairs:
    _require_size(data, MAX_PACKED)
    inflater = zlib.decompressobj()
    unpacked = inflater.decompress(data, MAX_UNPACKED)
    if not inflater.eof or inflater.unused_data:
        raise Invalid("The layer is cut, too large, or followed by something.")
    yield from records(unpacked)


def records(unpacked: bytes) -> Pairs:
    """Yield the records of packed WKB after its inflation."""
    offset = 0
    while offset < len(unpacked):
        raw, length = RECORD.unpack_from(unpacked, offset)
        offset += RECORD.size
        yield raw.decode("ascii"), shapely.from_wkb(unpacked[offset : offset + length])
        offset += length


def _geojson(data: bytes, code_property: str | None) -> Pairs:
    _require_size(data, MAX_GEOJSON)
    document = json.loads(data.decode("utf-8-sig"))
    if document.get("type") != "FeatureCollection":
        raise Invalid(f"A GeoJSON layer is a FeatureCollection, this is a {str(document.get('type'))[:30]}.")
    if "crs" in document:  # from the GeoJSON of 2008; RFC 7946 allows WGS 84 only
        _require_wgs_84(str(document["crs"]["properties"]["name"]))
    features = document["features"]
    name = _code_property(features[0]["properties"] if features else (), code_property)
    for number, feature in enumerate(features, start=1):
        code = _code(feature["properties"].get(name), number)
        # Heights are of no use here, and would change the packed bytes.
        yield code, shapely.force_2d(from_mapping(_present(feature["geometry"], number)))


def _geoparquet(data: bytes, code_property: str | None) -> Pairs:
    """Read GeoParquet with pyarrow. It is imported here, in a command only, because a server never needs it."""
    from pyarrow import ArrowException  # noqa: PLC0415
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    _require_size(data, MAX_PACKED)
    try:
        file = ParquetFile(BytesIO(data))
        geometry = _geometry_column(file)
        name = _code_property([column for column in file.schema_arrow.names if column != geometry], code_property)
        number = 0
        for batch in file.iter_batches(batch_size=100, columns=[name, geometry]):
            for code, wkb in zip(batch.column(name).to_pylist(), batch.column(geometry).to_pylist(), strict=True):
                number += 1
                yield _code(code, number), shapely.force_2d(shapely.from_wkb(_present(wkb, number)))
    except (ArrowException, OSError) as broken:
        raise Invalid(f"This Parquet file cannot be read: {type(broken).__name__}.") from broken


def _geometry_column(file: Any) -> str:
    """Return the primary geometry column. Raise Invalid unless its metadata says WKB in WGS 84.

    GeoParquet 1.x: a column without `crs` is in OGC:CRS84.
    """
    facts = file.metadata
    if sum(facts.row_group(index).total_byte_size for index in range(facts.num_row_groups)) > MAX_UNPACKED:
        raise Invalid("The layer is too large: simplify it first.")
    metadata = (facts.metadata or {}).get(b"geo")
    if metadata is None:
        raise Invalid("This Parquet file has no `geo` metadata: it is not GeoParquet.")
    geo = json.loads(metadata)
    name = str(geo["primary_column"])
    column = geo["columns"][name]
    if column["encoding"] != "WKB":
        raise Invalid(f"Geometries in the encoding {str(column['encoding'])[:30]} cannot be read: write them as WKB.")
    if "crs" in column:
        crs = column["crs"] or {}
        known = crs.get("id") or {}
        _require_wgs_84(f"{known['authority']}:{known['code']}" if known else str(crs.get("name", "unknown")))
    return name


def _require_wgs_84(name: str) -> None:
    if name.upper() not in WGS_84:
        raise Invalid(f"The layer is in {name[:60]}: only WGS 84 (OGC:CRS84, EPSG:4326) is taken. Reproject it first.")


def _require_size(data: bytes, most: int) -> None:
    if len(data) > most:
        raise Invalid(f"The layer is larger than {most // 1024 // 1024} MiB.")


def _code_property(present: Iterable[str], wanted: str | None) -> str:
    """Return the property that holds the codes: `wanted` if given, else the only one with a usual name (in any case)."""
    there = list(present)
    found = [name for name in there if (name == wanted if wanted else name.lower() in CODE_PROPERTIES)]
    if len(found) != 1:
        which = f"no property {wanted}" if wanted else f"{len(found)} properties of a usual name ({', '.join(CODE_PROPERTIES)})"
        raise Invalid(f"The layer has {which}: name the one that holds the kode wilayah by --code-property, of {', '.join(there)[:200]}.")
    return found[0]


def _present(geometry: Any, number: int) -> Any:
    if geometry is None:
        raise Invalid(f"Feature {number} has no geometry.")
    return geometry


def _code(value: object, number: int) -> str:
    """Return a regency's code in the stored form. Raise Invalid with the feature's number."""
    try:
        code = codes.normalise(str(value))
    except Invalid as wrong:
        raise Invalid(f"Feature {number} has {str(value)[:30]!r} where a regency's code belongs (such as 35.20).") from wrong
    if len(code) != 5:
        raise Invalid(f"Feature {number} is {code}: a layer holds regencies (such as 35.20).")
    return code
