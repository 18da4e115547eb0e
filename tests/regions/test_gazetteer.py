"""The outlines of regencies of an installed package, and the codes they are given."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import shapely

from sifilma.regions import gazetteer, villages
from sifilma.regions.loading import regency_names

SEA_OF_ISLANDS = "31.01"  # Kepulauan Seribu: the layer draws a few of its islands


def test_every_regency_has_exactly_one_outline_by_its_name() -> None:
    names = regency_names()
    codes = gazetteer.codes_by_name(names)
    titles = [title for title, _ in gazetteer.rows()]
    found = Counter(codes.get(gazetteer.plain(title)) for title in titles)
    strangers = sorted(title for title in titles if gazetteer.plain(title) not in codes)
    assert strangers == ["Danau", "Danau Toba", "Hutan", "Waduk Cirata", "Wadung Kedungombo"]
    assert found == dict.fromkeys(names, 1) | {None: len(strangers)}
    assert len(names) == 514
    assert set(gazetteer.shapes(names)) == set(names)


def test_a_name_that_is_not_renamed_any_more_would_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(gazetteer.RENAMED, "tobasamosir")
    assert "12.12" not in gazetteer.shapes(regency_names())


def test_the_outlines_hold_the_villages_of_their_codes() -> None:
    shapes, points = gazetteer.shapes(regency_names()), villages.points()
    places = np.asarray(shapely.points(points.degrees[:, ::-1]))
    regencies = np.asarray(points.codes).astype("U5")
    inside = {code: shapely.contains(shape, places[regencies == code]).mean() for code, shape in shapes.items()}
    assert inside.pop(SEA_OF_ISLANDS) == 0
    assert min(inside.values()) > 0.65
    assert np.median(list(inside.values())) > 0.98
    islands = places[regencies == SEA_OF_ISLANDS]
    assert shapely.distance(shapes[SEA_OF_ISLANDS], islands).min() < 0.1
