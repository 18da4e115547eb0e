"""The second act of the play: what goes wrong every week at an office or an institution, one module a scene."""

from __future__ import annotations

from collections.abc import Callable

from sifilma.demo.second_act.transferred_head import transferred_head
from sifilma.demo.stage import Stage

SCENES: tuple[Callable[[Stage], None], ...] = (transferred_head,)
"""The scenes in the order they are played. Each takes the stage as the first act left it. `transferred_head` signs people out: the last."""
