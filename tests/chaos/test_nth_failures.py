"""A step of an act fails once: the act is refused clearly and wholly, and succeeds exactly once when it is sent again.

`make chaos` fails every step of more acts.
"""

from __future__ import annotations

from contextlib import closing, suppress
from functools import partial

from flask import Response
from flask_openapi3 import APIBlueprint
from sqlalchemy.exc import OperationalError

from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.notifications.outbox import Recipient
from sifilma.web.operations import operation
from sifilma.web.requests import context
from tests.chaos.acts import MAIN, Act, Send, posts
from tests.chaos.chores import Delivery, Rows
from tests.chaos.nth_failures import Loop
from tests.support.world import World


def test_no_failed_step_leaves_an_act_done_by_half_or_done_twice(world: World) -> None:
    # The first and the last step of a kind on SQLite, one from the middle on PostgreSQL, which takes longer and has more kinds.
    with closing(Loop(world, most=1 if "postgresql" in world.settings.database else 2)) as loop:
        loop.run(MAIN)
    assert not loop.faults, "\n".join(loop.faults)
    assert loop.cases >= 13


def test_no_failed_step_of_the_worker_loses_a_message_or_does_a_row_twice(postgresql_world: World) -> None:
    with closing(Loop(postgresql_world, most=1)) as loop, closing(Delivery(postgresql_world, loop.seams)) as delivery:
        loop.run_chores((delivery, Rows(postgresql_world)))
    assert not loop.faults, "\n".join(loop.faults)
    assert loop.cases >= 9


def test_an_act_by_half_or_acknowledged_without_being_stored_is_seen(sqlite_world: World) -> None:
    world, api = sqlite_world, APIBlueprint("planted", __name__)

    @api.post("/api/v1/half")
    @operation("public")
    def half() -> Response:
        written()
        context().uow.commit()
        written()
        return Response("{}", content_type="application/json")

    @api.post("/api/v1/swallowed")
    @operation("public")
    def swallowed() -> Response:
        with suppress(OperationalError):
            written()
        return Response("{}", content_type="application/json")

    def written() -> None:
        outbox.enqueue(context(), world.settings, Recipient(Channel.SMS, "+628120000001"), "reminder", "", "1 hal")

    world.app.register_api(api)
    acts = [Act(name, partial(_planted, path=f"/{name}"), is_keyed=False) for name in ("half", "swallowed")]
    with closing(Loop(world, most=9)) as loop:
        loop.run(acts)
    seen = {("half" if "half of the act" in fault else "untrue", fault.partition(",")[0]) for fault in loop.faults if "stored" in fault}
    assert seen == {("half", "half"), ("untrue", "swallowed")}


def _planted(world: World, count: int, path: str) -> list[Send]:
    return [posts(world.anonymous(), path)] * count
