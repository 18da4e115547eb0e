"""The base of the maps: one sheet of the whole country, and sheets of squares that a near map asks for. Made once, kept in one file.

A sheet is JSON. `scale` is the number of its units in a degree. Land (`home`, `abroad`) is a list of rings; `province` and `regency`
are lists of lines; each is a flat list x, y, dx, dy, dx, dy …, longitude first. Names are `[x, y, size, text]`, where `size` is
the radius in degrees of the largest circle within, times 1000, and 0 where nothing is known of it. An outline is a GeoJSON feature.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import re
import threading
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from sifilma.regions import loading, outlines, villages
from sifilma.regions.outlines import Outlines

FILE = "map.zip"
COUNTRY = "negara"
COARSE, FINE = 1000, 10_000  # units in a degree: about 110 m and 11 m
LAND = ("home", "abroad")
TOLERANCE, SMALLEST = 0.03, 1e-3  # of the sheet of the country, see `outlines.simpler`
SQUARE, SMALL_SQUARE = 2, 0.5  # degrees: a sheet of outlines and districts, and one of villages
SEAM = 0.02  # degrees of land beyond a square
NAME = re.compile(rf"{COUNTRY}|[pd]-?\d{{1,3}}_-?\d{{1,3}}|\d\d\.\d\d")
Sheet = dict[str, Any]


class BaseMap:
    """A file of sheets. `digest` (hex) changes with any of them; `credit` names the source of the outlines."""

    def __init__(self, path: Path) -> None:
        self._file, self._lock = zipfile.ZipFile(path), threading.Lock()
        about = json.loads(self._file.read("about"))
        self.digest, self.credit = str(about["digest"]), str(about["credit"])

    def sheet(self, name: str) -> bytes | None:
        """Return a sheet as gzip, an empty one for a square without land. Return None for what is no name of a sheet."""
        if not NAME.fullmatch(name):
            return None
        with self._lock:
            try:
                return self._file.read(name)
            except KeyError:
                return None if "." in name else _EMPTY


def make(shapes: Mapping[str, BaseGeometry], credit: str) -> bytes:
    """Return the file of a map of regencies: their shapes by code, and whom to name as their source."""
    clean = outlines.clean(shapes)
    sheets = dict(_sheets(clean))
    digest = hashlib.sha256()
    for name, data in sorted(sheets.items()):
        digest.update(name.encode() + data)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("about", json.dumps({"digest": digest.hexdigest()[:16], "credit": credit}))
        for name, data in sheets.items():
            packed.writestr(name, data)
    return file.getvalue()


@lru_cache(maxsize=4)
def opened(path: Path, _stamp: int) -> BaseMap:
    """Return the map of a file. `_stamp` is its time of change: a file that was replaced is another."""
    return BaseMap(path)


def _sheets(shapes: Mapping[str, BaseGeometry]) -> Iterator[tuple[str, bytes]]:
    names, districts, inside = _places()
    coarse = outlines.simpler(shapes, TOLERANCE, SMALLEST)
    whole = drawn(outlines.draw(coarse, TOLERANCE), COARSE)
    yield COUNTRY, _packed(whole | _labels(coarse, names))
    fine = outlines.draw(shapes, 0)
    for x, y in _squares(shapes):
        box = (x * SQUARE, y * SQUARE, (x + 1) * SQUARE, (y + 1) * SQUARE)
        sheet = drawn(outlines.within(fine, box, SEAM), FINE)
        yield f"p{x}_{y}", _packed(sheet | {"districts": districts.get((x, y), [])})
    yield from inside.items()
    for code, shape in shapes.items():
        yield code, _packed(_feature(shape, code=code, name=names.get(code, "")))


def _feature(shape: BaseGeometry, **properties: str) -> Sheet:
    """Return a GeoJSON feature (RFC 7946) with coordinates rounded to about 10 m."""
    return {"type": "Feature", "properties": properties, "geometry": json.loads(shapely.to_geojson(shapely.set_precision(shape, 1e-4)))}


def _squares(shapes: Mapping[str, BaseGeometry]) -> list[tuple[int, int]]:
    west, south, east, north = shapely.total_bounds(np.asarray(list(shapes.values())))
    across, up = (range(math.floor(low / SQUARE), math.floor(high / SQUARE) + 1) for low, high in ((west, east), (south, north)))
    return [(x, y) for x in across for y in up]


def _packed(sheet: Sheet) -> bytes:
    """Return a sheet as gzip. The same sheet gives the same bytes."""
    return gzip.compress(json.dumps(sheet, separators=(",", ":"), ensure_ascii=False).encode(), mtime=0)


_EMPTY = _packed({})


def drawn(these: Outlines, scale: int) -> Sheet:
    """Return land and lines as a sheet has them."""
    sheet: Sheet = {"scale": scale}
    for name, group in vars(these).items():
        lines = [shapely.get_rings(shape) for shape in group] if name in LAND else [group]
        sheet[name] = [numbers for some in lines for line in some for numbers in _line(line, scale)]
    return sheet


def _line(shape: BaseGeometry, scale: int) -> list[list[int]]:
    """Return a line as whole numbers, each point as the step from the one before; nothing for a point or less."""
    points = np.round(shapely.get_coordinates(shape) * scale).astype(int)
    steps = np.diff(points, axis=0)
    steps = steps[(steps != 0).any(axis=1)]
    return [[*points[0].tolist(), *steps.ravel().tolist()]] if len(steps) else []


def _labels(shapes: Mapping[str, BaseGeometry], names: Mapping[str, str]) -> Sheet:
    """Return the names of provinces and regencies, each in the largest circle within its shape."""
    provinces = defaultdict(list)
    for code, shape in shapes.items():
        provinces[code[:2]].append(shape)
    joined = {code: shapely.coverage_union_all(np.asarray(parts)) for code, parts in provinces.items()}
    return {
        "provinces": [_label(shape, names.get(code, "")) for code, shape in joined.items()],
        "regencies": [_label(shape, _short(names.get(code, ""))) for code, shape in shapes.items()],
    }


def _label(shape: BaseGeometry, name: str) -> list[Any]:
    largest = max(shapely.get_parts(shape), key=lambda part: part.area)
    radius = shapely.maximum_inscribed_circle(largest, 0.01)
    x, y = shapely.get_coordinates(radius)[0] * COARSE
    return [round(x), round(y), round(radius.length * 1000), name]


def _short(name: str) -> str:
    """Return a name without the word for a regency; a city keeps its word."""
    return re.sub(r"^Kabupaten (Administrasi )?|(?<=^Kota )Administrasi ", "", name)


@lru_cache(maxsize=1)
def _places() -> tuple[dict[str, str], dict[tuple[int, int], list[Any]], dict[str, bytes]]:
    """Return the names of all codes, the labels of districts by large squares, and the sheets of villages: the same on every map.

    A district stands amid its villages.
    """
    names, points = loading.names(), villages.points()
    of_district, inside = defaultdict[str, list[Any]](list), defaultdict[tuple[int, int], list[Any]](list)
    for code, (latitude, longitude) in zip(points.codes, points.degrees.tolist(), strict=True):
        of_district[code[:8]].append((longitude, latitude))
        inside[_square(longitude, latitude, SMALL_SQUARE)].append(_named(longitude, latitude, names.get(code, "")))
    districts = defaultdict[tuple[int, int], list[Any]](list)
    for code, places in of_district.items():
        longitude, latitude = np.median(np.asarray(places), axis=0).tolist()
        districts[_square(longitude, latitude, SQUARE)].append(_named(longitude, latitude, names.get(code, "")))
    return names, districts, {f"d{x}_{y}": _packed({"scale": FINE, "villages": found}) for (x, y), found in inside.items()}


def _square(longitude: float, latitude: float, size: float) -> tuple[int, int]:
    return math.floor(longitude / size), math.floor(latitude / size)


def _named(longitude: float, latitude: float, name: str) -> list[Any]:
    return [round(longitude * FINE), round(latitude * FINE), 0, name]
