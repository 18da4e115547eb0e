"""Cursors of pages: they are decoded to the same values, and anything else is refused."""

from __future__ import annotations

import base64
import json
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
def test_a_cursor_is_decoded_to_its_values(values: list[Any], columns: list[Any]) -> None:
    assert _decode(_encode(values), columns) == values


@pytest.mark.parametrize(("values", "columns"), KEPT)
def test_a_cursor_of_another_order_or_form_is_refused(values: list[Any], columns: list[Any]) -> None:
    for strange in [*STRANGE, *(_encode(other) for other, _ in KEPT if len(other) != len(values))]:
        with pytest.raises(Invalid):
            _decode(strange, columns)


@pytest.mark.parametrize(
    ("value", "column"),
    [
        (MOMENT.replace(tzinfo=None), Manifest.refuse_after),
        ("0001-01-01T00:00:00+07:00", Manifest.refuse_after),
        ("9" * 40, Activation.place_distance_m),
        ("x\x00", Unit.hardware_number),
        ("\ud800", Unit.hardware_number),
    ],
)
def test_a_value_no_column_can_hold_is_refused_before_the_database(value: object, column: Any) -> None:
    with pytest.raises(Invalid):
        _decode(_encode([value, uuid7()]), [column, column.class_.id])


@pytest.mark.parametrize("values", [[5], [None], [[]], [{}], [1.5], {"a": 1}, [True]])
def test_a_cursor_holds_only_texts(values: Any) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    with pytest.raises(Invalid):
        _decode(cursor, [Unit.id])
