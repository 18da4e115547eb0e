"""The better source: a layer of regency polygons an operator imports.

File: zlib of records `<5sI` (code such as `35.20`, length of what follows) + WKB, sorted by code.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import threading
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

import shapely
from shapely import affinity
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from sifilma.kernel.errors import Invalid
from sifilma.regions.geometry import BOX, to_metres
from sifilma.regions.place import Located, Measured

MAX_BYTES = 64 * 1024 * 1024
MAX_UNPACKED = 512 * 1024 * 1024
RECORD = struct.Struct("<5sI")
NEAR_DEGREES = 0.06


class BoundaryLayer:
    """Polygons by regency code, each scaled to metres around its own latitude (error below 1 %)."""

    def __init__(self, name: str, sha256: str, shapes: dict[str, BaseGeometry]) -> None:
        self.name, self.sha256 = name, sha256
        self._codes = list(shapes)
        self._scales = {code: to_metres(shape.centroid.y) for code, shape in shapes.items()}
        self._metric = {code: _scaled(shape, self._scales[code]) for code, shape in shapes.items()}
        for shape in self._metric.values():
            shapely.prepare(shape)
        self._tree = shapely.STRtree(list(shapes.values()))

    def measure(self, latitude: float, longitude: float, regency: str) -> Measured:
        """Metres to the claimed polygon (0 inside) and to the nearest one."""
        if regency not in self._metric:
            raise Invalid.field("region_code", "There is no such regency.")
        claimed_m = self._metres(latitude, longitude, regency)
        nearest, nearest_m = self._nearest(latitude, longitude)
        if claimed_m <= nearest_m:
            nearest, nearest_m = regency, claimed_m
        return Measured(claimed_m, nearest_m, nearest, on_land=nearest_m == 0)

    def locate(self, latitude: float, longitude: float) -> Located:
        """The regency there, or the nearest one."""
        nearest, metres = self._nearest(latitude, longitude)
        return Located(nearest, None, round(metres))

    def _nearest(self, latitude: float, longitude: float) -> tuple[str, float]:
        point = shapely.Point(longitude, latitude)
        near = self._tree.query(point.buffer(NEAR_DEGREES))
        if not len(near):
            near = self._tree.query_nearest(point)
        return min(((self._codes[i], self._metres(latitude, longitude, self._codes[i])) for i in near), key=lambda item: item[1])

    def _metres(self, latitude: float, longitude: float, code: str) -> float:
        east, north = self._scales[code]
        return float(shapely.distance(self._metric[code], shapely.Point(longitude * east, latitude * north)))


def _scaled(shape: BaseGeometry, scale: tuple[float, float]) -> BaseGeometry:
    return affinity.scale(shape, scale[0], scale[1], origin=(0, 0))


def read(data: bytes, expected: set[str]) -> dict[str, BaseGeometry]:
    """The polygons of a layer file. Invalid, in words, when it is not one, or its codes are not the expected ones."""
    if len(data) > MAX_BYTES:
        raise Invalid("The layer is larger than 64 MiB.")
    inflater = zlib.decompressobj()
    try:
        unpacked = inflater.decompress(data, MAX_UNPACKED)
        if not inflater.eof or inflater.unused_data:
            raise Invalid("The layer is cut, too large, or followed by something.")
        shapes = _records(unpacked)
    except (zlib.error, struct.error, UnicodeDecodeError, ShapelyError) as broken:
        raise Invalid(f"This is not a boundary layer: {type(broken).__name__}.") from broken
    missing, unknown = expected - set(shapes), set(shapes) - expected
    if missing or unknown:
        raise Invalid(f"The layer lacks {sorted(missing)[:5]} and has unknown codes {sorted(unknown)[:5]}.")
    return shapes


def _records(data: bytes) -> dict[str, BaseGeometry]:
    shapes: dict[str, BaseGeometry] = {}
    offset = 0
    while offset < len(data):
        raw, length = RECORD.unpack_from(data, offset)
        offset += RECORD.size
        code, shape = raw.decode("ascii"), shapely.from_wkb(data[offset : offset + length])
        offset += length
        if code in shapes or shape.geom_type not in ("Polygon", "MultiPolygon") or not shape.is_valid or shape.is_empty:
            raise Invalid(f"The shape of {code} is invalid or given twice.")
        west, south, east, north = shape.bounds
        if not (BOX[0] - 1 <= west and east <= BOX[2] + 1 and BOX[1] - 1 <= south and north <= BOX[3] + 1) or not math.isfinite(west):
            raise Invalid(f"The shape of {code} lies outside Indonesia.")
        shapes[code] = shape
    return shapes


def import_layer(home: Path, file: Path, expected: set[str], now: datetime) -> dict[str, Any]:
    """Check the file and put it in force for all processes, atomically; its record (name, sha256, imported_at)."""
    data = file.read_bytes()
    read(data, expected)
    folder = home / "regions"
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(data).hexdigest()
    record = {"name": file.name[:60], "sha256": digest, "imported_at": now.isoformat(), "regencies": len(expected)}
    _replace(folder / f"{digest}.wkb.z", data)
    _replace(folder / "boundaries.json", json.dumps(record).encode())
    return record


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


_lock = threading.Lock()
_loaded: dict[Path, tuple[int, BoundaryLayer]] = {}


def imported(home: Path) -> BoundaryLayer | None:
    """The layer in force, loaded when its record changes; None where none was imported."""
    path = home / "regions" / "boundaries.json"
    try:
        stamp = path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    with _lock:
        known = _loaded.get(path)
        if known is None or known[0] != stamp:
            record = json.loads(path.read_text())
            data = (path.parent / f"{record['sha256']}.wkb.z").read_bytes()
            shapes = _records(zlib.decompress(data))
            known = _loaded[path] = (stamp, BoundaryLayer(record["name"], record["sha256"], shapes))
        return known[1]
