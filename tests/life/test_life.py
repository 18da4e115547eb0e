"""The application follows the reference model for random orders of steps, and contradicts a wrong model."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.life.places import STATES, Card
from tests.life.state_machine import Life, fsck_findings
from tests.support.world import World

RUNS = 8
"""Runs in a part of the test: one part, four with `--long`, and more until they have reached everything (PARTS)."""

PARTS = (25, 2, 27, 15, 17)
"""The parts by their numbers, which decide their steps: of the first 28 those that reach most, the first two together everything."""


def bounded(runs: int) -> settings:
    """Derandomised and without a database of examples: every run takes the same steps, so that NEEDED can be asserted."""
    return settings(
        max_examples=runs,
        stateful_step_count=40,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )


# The calls that the runs must reach, each both allowed and refused.
NEEDED = [
    f"{verb} {taken}"
    for verb in (
        "handovers",
        "receive",
        "found",
        "arrived",
        "lost",
        "approve",
        "activations",
        "reissue",
        "cancel",
        "refuse",
        "reports",
        "revoke",
        "destructions",
        "break",
        "repair",
        "review",
        "decision",
        "lift",
        "close",
        "results",
    )
    for taken in (True, False)
] + [f"place {state}" for state in STATES]


class Forgetful(Card):
    """A wrong model: a lost card keeps its token, so that it can be activated."""

    def fall(self) -> None:
        if self.state != "lost":
            super().fall()


def _named(part: int) -> type[Life]:
    """Return the machine under a name of its own: hypothesis takes the steps of runs from the name, and from a text if it has one."""
    return type(f"Life{part}", (Life,), {})


def test_the_life_of_cards_follows_the_reference_model(postgresql_world: World, long_form: bool) -> None:
    Life.begin(postgresql_world, examined=1 if long_form else 8)
    for at, part in enumerate(PARTS):
        if at < (4 if long_form else 1) or not all(Life.taken[step] for step in NEEDED):
            run_state_machine_as_test(_named(part), settings=bounded(RUNS))
    assert [step for step in NEEDED if not Life.taken[step]] == [], Life.taken  # runs that never reach these steps prove nothing
    assert fsck_findings(postgresql_world, ()) == []


def test_a_model_that_lets_lost_cards_be_activated_contradicts_the_application(postgresql_world: World) -> None:
    class Wrong(Life):
        model = Forgetful

    Wrong.begin(postgresql_world, examined=0)
    with pytest.raises(AssertionError, match="Forgetful"):
        run_state_machine_as_test(Wrong, settings=bounded(28))
