"""A server's processes and its worker are killed at random moments amid clients (PostgreSQL). `make chaos` does it 300 times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hsm import HSM
from tests.chaos.clients import Done
from tests.chaos.kills import Run
from tests.support.world import World

KILLS, CLIENTS, SEED = 5, 2, 1
DEADLINE = 2.0
"""Seconds in which a request is answered: a client whose request was killed waits that long, and a little longer, for its key."""


@pytest.fixture
def present_world(postgresql_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation whose clock shows the real time, which the servers use."""
    with closing(World(postgresql_url, tmp_path / "home", signing_token, root_token, datetime.now(UTC), request_deadline=DEADLINE)) as made:
        yield made


def test_no_acknowledged_act_is_lost_or_done_twice_when_processes_are_killed(present_world: World) -> None:
    with closing(Run(present_world, SEED, CLIENTS)) as run:
        run.play(KILLS, time.monotonic() + 60)
        assert not run.outcome.faults, f"{run.outcome}\n" + "\n".join(run.outcome.faults)
        assert run.outcome.kills == KILLS
        _require_that_the_comparison_sees_what_is_lost_or_done_twice(run)


def _require_that_the_comparison_sees_what_is_lost_or_done_twice(run: Run) -> None:
    acts = run.clients[0].acts
    first = acts.pop(0)
    acts.append(Done("handover.receive", "an id", "a key"))
    lost, more = run.compare_acts()
    assert lost == "1 × handover.receive of an id acknowledged, 0 stored"
    assert more == f"1 × {first.action} of {first.thing} stored, 0 acknowledged"
