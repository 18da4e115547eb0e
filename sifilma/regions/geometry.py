"""Geometry of places: degrees to metres, and the land of countries from npm `world-atlas`."""

from __future__ import annotations

import json
import math
from collections.abc import Container
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from sifilma.regions import prepared

WORLD_ATLAS = Path(__file__).resolve().parents[2] / "node_modules" / "world-atlas" / "countries-10m.json"
METRES_PER_DEGREE_LAT = 110_574.0
METRES_PER_DEGREE_LON = 111_320.0
BOX = (94.5, -11.6, 141.5, 6.6)  # around Indonesia: west, south, east, north
HOME = "Indonesia"
FOREIGN_FILE, COUNTRIES_FILE, REGENCIES_FILE = "foreign.wkb", "countries.wkb", "regencies.wkb"
NEIGHBOURS = frozenset(
    {"Malaysia", "Timor-Leste", "Singapore", "Papua New Guinea", "Brunei", "Australia", "Philippines", "Palau", "India", "Thailand"}
)


def to_metres(latitude: float) -> tuple[float, float]:
    """Return the metres per degree of longitude and of latitude near a latitude (equirectangular; error below 1 % in Indonesia)."""
    return METRES_PER_DEGREE_LON * math.cos(math.radians(latitude)), METRES_PER_DEGREE_LAT


def metres_between(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Return the distance of two near points in metres."""
    east, north = to_metres((latitude + other_latitude) / 2)
    return math.hypot((longitude - other_longitude) * east, (latitude - other_latitude) * north)


@lru_cache(maxsize=1)
def foreign_land() -> shapely.STRtree:
    """Return the land of the neighbouring countries near Indonesia, for queries with `within`."""
    made = prepared.find(FOREIGN_FILE)
    return shapely.STRtree(shapely.get_parts(shapely.from_wkb(made.read_bytes())) if made else foreign_parts())


def foreign_parts() -> list[BaseGeometry]:
    """Return the land of the neighbouring countries near Indonesia, polygon by polygon. Takes about half a second."""
    # What was made valid may be a collection of lines and several polygons together.
    near = [part for _, shape in _countries(NEIGHBOURS) for part in _near_parts(shape)]
    return [polygon for part in near for polygon in shapely.get_parts(part) if polygon.geom_type == "Polygon"]


def countries() -> list[BaseGeometry]:
    """Return the land of Indonesia, and that of each neighbour near it."""
    made = prepared.find(COUNTRIES_FILE)
    return list(shapely.get_parts(shapely.from_wkb(made.read_bytes()))) if made else united_countries()


@lru_cache(maxsize=1)
def united_countries() -> list[BaseGeometry]:
    """Return what `countries` does, from the package. Takes some three seconds."""
    near = {name: shapely.union_all([part for part in _near_parts(shape) if part.area]) for name, shape in _countries(NEIGHBOURS | {HOME})}
    return [near.pop(HOME), *near.values()]


def _near_parts(shape: BaseGeometry) -> list[BaseGeometry]:
    box = shapely.box(BOX[0] - 2, BOX[1] - 2, BOX[2] + 2, BOX[3] + 2)
    return [part for part in shapely.get_parts(shape) if part.intersects(box)]


def _countries(names: Container[str]) -> list[tuple[str, BaseGeometry]]:
    world = json.loads(WORLD_ATLAS.read_text())
    arcs = [_arc(arc, world["transform"]) for arc in world["arcs"]]
    found = ((country["properties"]["name"], country) for country in world["objects"]["countries"]["geometries"])
    return [(name, _shape(country, arcs)) for name, country in found if name in names]


def on_foreign_land(latitude: float, longitude: float) -> bool:
    """Return whether the point lies on a neighbour's land."""
    return bool(len(foreign_land().query(shapely.Point(longitude, latitude), predicate="within")))


def within_a_regency(latitude: float, longitude: float) -> bool:
    """Return whether the outlines of regencies on our maps hold the point; False where they were not made (`prepared`)."""
    return bool(len(_regencies().query(shapely.Point(longitude, latitude), predicate="within")))


@lru_cache(maxsize=1)
def _regencies() -> shapely.STRtree:
    made = prepared.find(REGENCIES_FILE)
    return shapely.STRtree(shapely.get_parts(shapely.from_wkb(made.read_bytes())) if made else [])


def _arc(arc: list[list[int]], transform: dict[str, list[float]]) -> NDArray[np.float64]:
    """Decode one TopoJSON arc, which is quantised and delta-encoded (TopoJSON 1.0, section 2.1.3)."""
    points: NDArray[np.float64] = np.cumsum(np.asarray(arc, dtype=float), axis=0)
    placed: NDArray[np.float64] = points * np.asarray(transform["scale"], dtype=float) + np.asarray(transform["translate"], dtype=float)
    return placed


def _shape(geometry: dict[str, Any], arcs: list[NDArray[np.float64]]) -> BaseGeometry:
    polygons = [geometry["arcs"]] if geometry["type"] == "Polygon" else geometry["arcs"]
    made = [shapely.Polygon(_ring(rings[0], arcs), [_ring(hole, arcs) for hole in rings[1:]]) for rings in polygons]
    # Quantised coordinates can make rings touch or cross themselves.
    return shapely.make_valid(shapely.MultiPolygon(made))


def _ring(indexes: list[int], arcs: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Join arcs to a ring. A negative index `i` means arc `~i` in reverse. The first point of each further arc repeats the last one."""
    parts = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in indexes]
    return np.concatenate([parts[0], *(part[1:] for part in parts[1:])])
