"""Whatever happens to cards, in whatever order, the application does what a small model says; and a wrong model is told so."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.life.machine import Life
from tests.life.model import Card
from tests.support.soundness import sound
from tests.support.world import World

BOUNDED = settings(
    max_examples=14,
    stateful_step_count=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


NEEDED = [
    f"{verb} {taken}"
    for verb in ("handovers", "receive", "approve", "activations", "reissue", "cancel", "refuse", "reports", "revoke", "destructions")
    for taken in (True, False)
]


class Forgetful(Card):
    """Believes that a lost card keeps its token, so that it can be activated."""

    def fall(self) -> None:
        if self.state != "lost":
            super().fall()


def test_the_life_of_cards_is_the_models(postgresql_world: World) -> None:
    Life.world = postgresql_world
    run_state_machine_as_test(Life, settings=BOUNDED)
    assert [step for step in NEEDED if not Life.taken[step]] == [], Life.taken  # a walk that gets nowhere proves nothing
    assert sound(postgresql_world) == []


def test_a_model_that_lets_lost_cards_be_activated_is_caught(postgresql_world: World) -> None:
    class Wrong(Life):
        world, model = postgresql_world, Forgetful

    with pytest.raises(AssertionError, match="Forgetful"):
        run_state_machine_as_test(Wrong, settings=BOUNDED)
