"""Cursors: what stands in one comes back as it was, and nothing else is taken for one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from sifilma.activation.models import Activation, ActivationRequest, Manifest
from sifilma.cards.models import Unit
from sifilma.kernel.errors import Invalid
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import _decode, _encode
from sifilma.regions.models import Region

MOMENT = datetime(2026, 11, 25, 3, 4, 5, 6, tzinfo=UTC)
KEPT: list[tuple[list[Any], list[Any]]] = [
    ([uuid7()], [Unit.id]),
    (["35.20"], [Region.code]),
    (["HW-1", uuid7()], [Unit.hardware_number, Unit.id]),
    ([date(2026, 11, 25), uuid7()], [ActivationRequest.letter_date, ActivationRequest.id]),
    ([MOMENT, uuid7()], [Manifest.refuse_after, Manifest.id]),
    ([12, uuid7()], [Activation.place_distance_m, Activation.id]),
]
STRANGE = ["x", "!!!!", "", "A" * 60, "w6k", "W10", "MQ", _encode(["x", "y"]), _encode([""]), _encode([*KEPT[1][0], uuid7(), uuid7()])]


@pytest.mark.parametrize(("values", "columns"), KEPT)
def test_a_cursor_comes_back_as_it_was(values: list[Any], columns: list[Any]) -> None:
    assert _decode(_encode(values), columns) == values


@pytest.mark.parametrize(("values", "columns"), KEPT)
def test_what_is_no_cursor_of_this_order_is_refused(values: list[Any], columns: list[Any]) -> None:
    for strange in [*STRANGE, *(_encode(other) for other, _ in KEPT if len(other) != len(values))]:
        with pytest.raises(Invalid):
            _decode(strange, columns)


def test_a_moment_without_a_zone_is_refused_before_the_database_does() -> None:
    with pytest.raises(Invalid):
        _decode(_encode([MOMENT.replace(tzinfo=None), uuid7()]), [Manifest.refuse_after, Manifest.id])
