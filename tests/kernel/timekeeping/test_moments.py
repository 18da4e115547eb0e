"""A moment in a column counts as not set if it lies further ahead than its writer, whose clock may be a little ahead, can have set it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, literal, select

from sifilma.kernel.db import UtcDateTime
from sifilma.kernel.timekeeping.moments import has_come, lies_ahead

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=15)


@pytest.mark.parametrize(("left", "is_over"), [(-1, True), (1, False), (15, False), (16, False), (70, False), (80, True), (10**8, True)])
def test_a_lease_of_a_node_whose_clock_is_a_little_ahead_is_not_over(left: float, is_over: bool) -> None:
    until = literal(NOW + timedelta(seconds=left), UtcDateTime)
    with create_engine("sqlite://").connect() as connection:
        assert bool(connection.scalar(select(has_come(until, NOW, LEASE)))) is is_over
        assert bool(connection.scalar(select(lies_ahead(until, NOW, LEASE)))) is not is_over
