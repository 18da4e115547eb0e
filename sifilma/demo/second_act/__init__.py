"""The second act of the play: what goes wrong every week at an office or an institution, one module a scene."""

from __future__ import annotations

from collections.abc import Callable

from sifilma.demo.second_act.bell import a_bell_rings
from sifilma.demo.second_act.broken_card import a_broken_card_is_replaced
from sifilma.demo.second_act.broken_reader import a_reader_breaks
from sifilma.demo.second_act.misplaced_reader import a_misplaced_reader_is_suspended_and_relocated
from sifilma.demo.second_act.order_closes import an_order_closes_with_a_remainder
from sifilma.demo.second_act.short_bast import a_bast_arrives_short
from sifilma.demo.second_act.transferred_head import transferred_head
from sifilma.demo.stage import Stage

SCENES: tuple[Callable[[Stage], None], ...] = (
    a_reader_breaks,
    a_bast_arrives_short,
    an_order_closes_with_a_remainder,
    a_misplaced_reader_is_suspended_and_relocated,
    a_broken_card_is_replaced,
    a_bell_rings,
    transferred_head,
)
"""The scenes in the order they are played. Each takes the stage as the first act left it. `transferred_head` signs people out: the last."""
