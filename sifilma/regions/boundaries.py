"""The better source for the place check: a layer of regency polygons that an operator imports (formats: `layers`)."""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
import zlib
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import shapely
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import say
from sifilma.regions import base_map, layers
from sifilma.regions.contract import Located, Measured
from sifilma.regions.geometry import BOX, to_metres

NEAR_DEGREES = 0.06  # about 6.6 km: polygons this near are measured exactly
Note: TypeAlias = Callable[[dict[str, Any]], None]


class BoundaryLayer:
    """Polygons by regency code. Each is scaled to metres around its own latitude, with an error below 1 %."""

    def __init__(self, name: str, sha256: str, shapes: dict[str, BaseGeometry]) -> None:
        self.name, self.sha256 = name, sha256
        self._codes = list(shapes)
        self._shapes = shapes
        self._scales = {code: to_metres(shape.centroid.y) for code, shape in shapes.items()}
        self._metric = {code: _scaled(shape, self._scales[code]) for code, shape in shapes.items()}
        # Prepared once: each activation measures distances to a few of these polygons.
        for shape in self._metric.values():
            shapely.prepare(shape)
        self._tree = shapely.STRtree(list(shapes.values()))

    def measure(self, latitude: float, longitude: float, regency: str) -> Measured:
        """Return the metres to the stated polygon (0 inside) and to the nearest one. Raise Invalid for an unknown regency."""
        if regency not in self._metric:
            raise Invalid.field("region_code", "There is no such regency.")
        claimed_m = self._metres(latitude, longitude, regency)
        nearest, nearest_m = self._nearest(latitude, longitude)
        # On a common border the stated regency wins.
        if claimed_m <= nearest_m:
            nearest, nearest_m = regency, claimed_m
        return Measured(claimed_m, nearest_m, nearest, on_land=nearest_m == 0)

    def locate(self, latitude: float, longitude: float) -> Located:
        """Return the regency at the position, or the nearest one."""
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


def read(data: bytes, expected: set[str], code_property: str | None = None) -> dict[str, BaseGeometry]:
    """Return the polygons of a layer file by code. Raise Invalid if it is no layer or its codes are not exactly the expected ones."""
    shapes = _sound(layers.pairs(data, code_property))
    missing, unknown = expected - set(shapes), set(shapes) - expected
    if missing or unknown:
        lacks, more = sorted(missing)[:5], sorted(unknown)[:5]
        raise Invalid(say("The layer lacks %(missing)s and has unknown codes %(unknown)s.", missing=lacks, unknown=more))
    return shapes


def _sound(pairs: Iterable[tuple[str, BaseGeometry]]) -> dict[str, BaseGeometry]:
    shapes: dict[str, BaseGeometry] = {}
    for code, shape in pairs:
        if shape.geom_type not in ("Polygon", "MultiPolygon"):
            told = say(
                "The shape of %(code)s is a %(kind)s: only Polygon and MultiPolygon bound a regency.", code=code, kind=shape.geom_type
            )
            raise Invalid(told)
        if code in shapes or not shape.is_valid or shape.is_empty:
            raise Invalid(say("The shape of %(code)s is invalid or given twice.", code=code))
        west, south, east, north = shape.bounds
        if not (BOX[0] - 1 <= west and east <= BOX[2] + 1 and BOX[1] - 1 <= south and north <= BOX[3] + 1) or not math.isfinite(west):
            raise Invalid(say("The shape of %(code)s lies outside Indonesia.", code=code))
        shapes[code] = shape
    return shapes


def import_layer(
    home: Path, file: Path, expected: set[str], now: datetime, code_property: str | None = None, note: Note = lambda _layer: None
) -> dict[str, Any]:
    """Check the file, note it, and put it in use for all processes. Return its record (name, sha256, imported_at …).

    `sha256` is that of the packed layer, which activations record. The same shapes have the same value, whatever format they came in.
    """
    data = file.read_bytes()
    shapes = read(data, expected, code_property)
    packed = data if layers.is_packed(data) else layers.pack(shapes)
    folder = home / "regions"
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(packed).hexdigest()
    layer = {
        "name": file.name[:60],
        "sha256": digest,
        "file_sha256": hashlib.sha256(data).hexdigest(),
        "imported_at": now.isoformat(),
        "regencies": len(expected),
    }
    # `note` (an audit entry) comes first, so that no layer is in use without it. The record comes last: the file it names exists then.
    note(layer)
    _replace(folder / f"{digest}.wkb.z", packed)
    _replace(folder / f"{digest}.map.zip", base_map.make(shapes, file.name[:60]))
    _replace(folder / "boundaries.json", json.dumps(layer).encode())
    return layer


def map_file(home: Path) -> Path | None:
    """Return the map of the layer in use; None without a layer, and for one that was imported before maps were made of layers."""
    try:
        record = json.loads((home / "regions" / "boundaries.json").read_text())
    except FileNotFoundError:
        return None
    path = home / "regions" / f"{record['sha256']}.map.zip"
    return path if path.exists() else None


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
    """Return the layer in use, or None if none was imported. It is loaded again when its record on the disk has changed."""
    path = home / "regions" / "boundaries.json"
    try:
        stamp = path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    with _lock:
        # Under the lock, so that only one thread loads a new layer.
        known = _loaded.get(path)
        if known is None or known[0] != stamp:
            record = json.loads(path.read_text())
            data = (path.parent / f"{record['sha256']}.wkb.z").read_bytes()
            shapes = dict(layers.records(zlib.decompress(data)))
            known = _loaded[path] = (stamp, BoundaryLayer(record["name"], record["sha256"], shapes))
        return known[1]
