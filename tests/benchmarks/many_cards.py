"""A request of as many cards as the largest user has readers, from results to tokens, beside one of a quarter: what does a card cost?

All figures are CPU of this process and of its connections to PostgreSQL.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from sifilma.activation.tokens import tasks
from sifilma.jobs import worker
from tests.activation.bulk.sheets import tools
from tests.benchmarks.bulk import _all_backends
from tests.benchmarks.table import Line
from tests.support.world import World, done, letter

FEW, MANY = 2_500, 10_706
"""Both are more than is done while somebody waits: results by the worker, tokens too."""
HEAD = "magetan.kepala"
FLAT = 1.3
"""How much more a card may cost among many."""


def run(world: World) -> list[Line]:
    """Walk a request of FEW and one of MANY cards, and compare what a card costs in each act."""
    few, many = _walk(world, FEW), _walk(world, MANY)
    lines = []
    for act, seconds in many.items():
        lines.append(Line(f"{MANY} cards in one request: {act}", seconds, "s", against="CPU"))
        ratio = (seconds / MANY) / (few[act] / FEW)
        lines.append(Line(f"a card of {MANY} : a card of {FEW}, {act}", ratio, "×", FLAT))
    return lines


def _walk(world: World, count: int) -> dict[str, float]:
    head, operator, took = world.client(HEAD), world.client("operator1"), dict[str, float]()

    def act(name: str, call: Callable[[], Any], status: int = 200) -> Any:
        before = _ran(world)
        answer = done(call(), status)
        took[name] = _ran(world) - before
        return answer

    asked = world.submitted(HEAD, "R", count)["id"]
    world.approve("personalisation-requests", asked, "penyetuju1")
    uids = [f"3015{count:04X}{number:08X}" for number in range(count)]
    sheet = io.StringIO()
    csv.writer(sheet).writerows([("sam_uid", "outcome"), *((uid, "personalised") for uid in uids)])
    path = f"/personalisation-requests/{asked}/results"
    before = _ran(world)
    job = done(operator.call("POST", path, data=sheet.getvalue().encode(), content_type="text/csv"), 202)
    with world.app.app_context():
        while worker.work(tools(world), 60):
            pass
    took["results"] = _ran(world) - before
    assert done(operator.get(f"/jobs/{job['id']}"))["failed"] == 0
    bast = act("BAST", lambda: operator.post("/handovers", {"to": str(world.organisation_of(HEAD)), "cards": uids}), 201)["id"]
    act("receipt", lambda: head.post(f"/handovers/{bast}/receive"))
    stated = world.letter() | {"kind": "new", "machines": count, "cards": uids}
    made = act("draft", lambda: head.send("/activation-requests", stated, letter=letter()), 201)["id"]
    digest = act("submission", lambda: head.post(f"/activation-requests/{made}/submit"))["digest"]
    act("approval", lambda: world.client("penyetuju1").post(f"/activation-requests/{made}/approve", {"digest": digest}))
    took["tokens"] = _tokens(world, count)
    shown = act("tokens shown", lambda: head.post(f"/activation-requests/{made}/tokens"))
    assert [one["sam_uid"] for one in shown["tokens"]] == uids
    return took


def _tokens(world: World, count: int) -> float:
    """Let the worker make the tokens; return the seconds of CPU it took."""

    @contextmanager
    def contexts() -> Any:
        with world.context() as ctx:
            yield ctx

    before, seen = _ran(world), 0
    while seen < count:
        made = tasks.issue(contexts, world.settings, world.hsm)
        assert made, f"the worker stopped after {seen} of {count} cards"
        seen += made
    return _ran(world) - before


def _ran(world: World) -> float:
    """Return the seconds of CPU of this process and of the connections of this installation."""
    with world.context() as ctx:
        return _all_backends(ctx.session) + time.process_time()
