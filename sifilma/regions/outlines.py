"""What a map draws of regencies and countries: land, and the borders on it, each once, simpler for a larger part of the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiLineString, MultiPolygon
from shapely.geometry.base import BaseGeometry

from sifilma.regions import geometry

GAP = 0.01  # degrees, about 1 km: what is narrower between two regencies is no lake but a gap of their outlines
SEAM = 0.06  # degrees, about 6.6 km: how far the outlines of countries and of regencies lie apart at a border


@dataclass(frozen=True)
class Outlines:
    """Polygons and lines in degrees (WGS 84), by what they are. `home` and `abroad` are land."""

    home: Sequence[BaseGeometry]
    abroad: Sequence[BaseGeometry]
    province: Sequence[BaseGeometry]
    regency: Sequence[BaseGeometry]


def clean(shapes: Mapping[str, BaseGeometry]) -> dict[str, BaseGeometry]:
    """Return the shapes without gaps and overlaps between neighbours, so that each border is the same line on both sides."""
    made = shapely.coverage_clean(np.asarray(list(shapes.values())), gap_width=GAP)  # type: ignore[attr-defined]  # newer than its stubs
    return dict(zip(shapes, made, strict=True))


def simpler(shapes: Mapping[str, BaseGeometry], tolerance: float, smallest: float) -> dict[str, BaseGeometry]:
    """Return clean shapes with fewer corners (`tolerance` in degrees) and without islands below `smallest` square degrees.

    Neighbours keep the same line. The largest part of each shape stays, however small.
    """
    made = shapely.coverage_simplify(np.asarray(list(shapes.values())), tolerance)
    return {code: _large(shape, smallest) for code, shape in zip(shapes, made, strict=True)}


def draw(shapes: Mapping[str, BaseGeometry], tolerance: float) -> Outlines:
    """Return the outlines of clean shapes by regency code, and of the countries around them, whose `tolerance` is in degrees."""
    regencies = np.asarray(list(shapes.values()))
    land = shapely.coverage_union_all(regencies)
    abroad, seam = _abroad(tolerance)
    province, regency = _borders(list(shapes), regencies)
    # One land without overlaps: rings that lie over each other would be drawn as holes.
    home = shapely.union(land, seam)
    return Outlines(_parts(home), _parts(shapely.difference(abroad, home)), _parts(province), _parts(regency))


@lru_cache(maxsize=2)
def _abroad(tolerance: float) -> tuple[BaseGeometry, BaseGeometry]:
    """Return the land of the neighbours, and what is Indonesia's along their borders: there the two sources leave gaps."""
    ours, *others = geometry.countries()
    abroad = shapely.union_all(others).simplify(tolerance)
    return abroad, shapely.intersection(ours.simplify(tolerance), shapely.buffer(abroad, SEAM))


def within(outlines: Outlines, box: tuple[float, float, float, float], pad: float = 0.0) -> Outlines:
    """Return what lies in a box (west, south, east, north), with land `pad` degrees beyond it so that tiles have no seams."""
    west, south, east, north = box
    land = partial(_clipped, box=(west - pad, south - pad, east + pad, north + pad))
    lines = partial(_clipped, box=box)
    return Outlines(land(outlines.home), land(outlines.abroad), lines(outlines.province), lines(outlines.regency))


def _clipped(group: Sequence[BaseGeometry], box: tuple[float, float, float, float]) -> list[BaseGeometry]:
    shapes = np.asarray(group)
    if not len(shapes):
        return []
    west, south, east, north = shapely.bounds(shapes).T
    near = shapes[(west <= box[2]) & (east >= box[0]) & (south <= box[3]) & (north >= box[1])]
    return [part for shape in shapely.clip_by_rect(near, *box) for part in shapely.get_parts(shape) if not part.is_empty]


def _parts(shape: BaseGeometry) -> list[BaseGeometry]:
    return list(shapely.get_parts(shape))


def _large(shape: BaseGeometry, smallest: float) -> BaseGeometry:
    parts = shapely.get_parts(shape)
    areas = shapely.area(parts)
    return MultiPolygon([part for part, area in zip(parts, areas, strict=True) if area >= min(smallest, areas.max())])


def _borders(codes: Sequence[str], shapes: NDArray[np.object_]) -> tuple[BaseGeometry, BaseGeometry]:
    """Return the borders of provinces and the other borders: the pieces of outlines that two regencies have in common."""
    ends, owners = _pieces(shapes)
    order = np.lexsort(ends.T)
    ends, owners = ends[order], owners[order]
    common = np.flatnonzero((ends[1:] == ends[:-1]).all(axis=1))
    provinces = np.asarray([code[:2] for code in codes])
    differ = provinces[owners[common]] != provinces[owners[common + 1]]
    return _joined(ends[common[differ]]), _joined(ends[common[~differ]])


def _joined(ends: NDArray[np.float64]) -> BaseGeometry:
    return shapely.line_merge(MultiLineString(ends.reshape(-1, 2, 2).tolist()))


def _pieces(shapes: NDArray[np.object_]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return each straight piece of each outline as (x, y, x, y), the smaller end first, and the number of its shape."""
    parts, of_part = shapely.get_parts(shapes, return_index=True)
    rings, of_ring = shapely.get_rings(parts, return_index=True)
    points, of_point = shapely.get_coordinates(rings, return_index=True)
    inside = of_point[1:] == of_point[:-1]
    from_, to = points[:-1][inside], points[1:][inside]
    turned = (from_[:, 0] > to[:, 0]) | ((from_[:, 0] == to[:, 0]) & (from_[:, 1] > to[:, 1]))
    from_[turned], to[turned] = to[turned], from_[turned].copy()
    return np.hstack([from_, to]), of_part[of_ring[of_point[:-1][inside]]]
