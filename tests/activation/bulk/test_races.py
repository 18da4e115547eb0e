"""Sets of a file beside single acts on the same cards, and with faults amid them (PostgreSQL): each card is decided once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hsm import HSM
from sifilma.fsck.run import examine
from sifilma.jobs import worker
from tests.activation.bulk.sheets import HEADER, sent, sheet, tools, worked
from tests.chaos.seams import Seams, Step
from tests.fsck.conftest import installation
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.world import World, done

HEAD = "magetan.kepala"
WAYS = 50
"""Single acts at the same moment."""
ANSWERS = {200, 201, 202, 404, 409, 422}
"""What they may be answered: they were first, or came too late, which is told in words. A 503 would be a lock held for too long."""
ROWS = 8


@pytest.fixture
def one_set_world(postgresql_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation in which a file of WAYS rows is one set."""
    with closing(World(postgresql_url, tmp_path / "home", signing_token, root_token, bulk_at_once=WAYS)) as made:
        yield made


def in_file(rows: list[dict[str, Any]]) -> bytes:
    return sheet([[row.get(name, "") for name in HEADER] for row in rows])


def race(world: World, rows: list[dict[str, Any]], acts: list[Callable[[], Any]]) -> tuple[Any, Counter[int]]:
    """Let a worker do a file while single acts begin at the same moment. Return the job, and how often each status was answered."""
    client = world.client(HEAD)
    job = sent(client, in_file(rows))
    answers: list[Any] = run_simultaneously([lambda: worked(world, 60), *acts])
    while worked(world, 30):
        pass
    shown = done(client.get(f"/jobs/{job['id']}"))
    assert (shown["state"], shown["done"]) == ("completed", len(rows)), shown
    statuses = Counter(answer.status_code for answer in answers if not isinstance(answer, int))
    assert set(statuses) <= ANSWERS, statuses
    return shown, statuses


def sound(world: World) -> None:
    """Check that each token, activation and manifest is there once, and that everything agrees."""
    assert world.sql("SELECT COUNT(*) FROM (SELECT card_id, seq FROM manifest GROUP BY card_id, seq HAVING COUNT(*) > 1) x") == [(0,)]
    assert world.sql("SELECT COUNT(*) FROM manifest m JOIN card c ON c.id = m.card_id WHERE m.seq > c.seq") == [(0,)]
    counted = "SELECT (SELECT COUNT(*) FROM activation), (SELECT COUNT(*) FROM token WHERE state = 'redeemed')"
    [(activations, redeemed)] = world.sql(counted)
    assert activations == redeemed
    assert [str(finding) for finding in examine(installation(world)).findings] == []


def test_a_file_and_fifty_single_acts_on_its_cards_decide_each_card_once(one_set_world: World) -> None:
    world = one_set_world
    ready, asked = world.ready(HEAD, "R", WAYS - 10), world.ready(HEAD, "R", 10)
    client = world.client(HEAD)
    rows = [world.activation(one, uid) for one in (ready, asked) for uid in one.uids]

    def report(uid: str, condition: str) -> Any:
        return client.post(f"/cards/{uid}/reports", {"condition": condition, "note": "jatuh dari meja"})

    acts: list[Callable[[], Any]] = []
    for number, uid in enumerate(ready.uids):
        conditions = ("locked", "lost", "damaged")
        by_hand = partial(client.post, "/activations", world.activation(ready, uid))
        acts.append(by_hand if number % 4 == 3 else partial(report, uid, conditions[number % 4]))
    # Their tokens are cancelled with the request.
    acts += [partial(client.post, f"/activation-requests/{asked.request}/cancel")] * 10
    shown, statuses = race(world, rows, acts)
    activated = world.sql("SELECT COUNT(*) FROM activation")[0][0]
    assert activated == shown["done"] - shown["failed"] + statuses[201]
    sound(world)


def test_a_file_of_relocations_beside_revocations_reports_and_relocations_by_hand(one_set_world: World) -> None:
    world = one_set_world
    ready, _ = world.active(HEAD, "R", 20)
    client, approver = world.client(HEAD), world.client("penyetuju1")
    _, tokens = world.tokens(HEAD, ready.uids, "relocation", "R")
    rows = [world.activation(ready, uid) | {"token": tokens[uid]} for uid in ready.uids]
    manifests = {uid: str(one) for uid, one in world.sql("SELECT c.uid, m.id FROM manifest m JOIN card c ON c.id = m.card_id")}
    body = {"reason": "kartu dicuri dari kantor"}
    acts: list[Callable[[], Any]] = []
    for number, uid in enumerate(ready.uids):
        if number % 4 == 0:
            done(world.client("operator1").post(f"/manifests/{manifests[uid]}/revoke", body), 202)
            acts.append(partial(approver.post, f"/manifests/{manifests[uid]}/revoke", body | {"decision": "execute"}))
        elif number % 4 == 1:
            acts.append(partial(client.post, "/activations", rows[number]))
        else:
            condition = ("lost", "locked")[number % 2]
            acts.append(partial(client.post, f"/cards/{uid}/reports", {"condition": condition, "note": "tidak ada di tempatnya"}))
    before = world.sql("SELECT COUNT(*) FROM activation")[0][0]
    shown, statuses = race(world, rows, acts)
    assert world.sql("SELECT COUNT(*) FROM activation")[0][0] - before == shown["done"] - shown["failed"] + statuses[201]
    sound(world)


def test_a_fault_amid_a_set_leaves_the_right_rows_once_each(postgresql_world: World) -> None:
    """The same file is done again and again, and one step fails: of the database, of its commit, of the HSM."""
    world = postgresql_world
    seams = Seams(world)
    ready = world.ready(HEAD, "R", ROWS)
    job = sent(world.client(HEAD), in_file([world.activation(ready, uid) for uid in ready.uids]))
    with seams.trapped() as counting, world.app.app_context():
        _work(world, seams)
    assert done(world.client(HEAD).get(f"/jobs/{job['id']}"))["done"] == ROWS
    total, hit = ROWS, 0
    for step in (Step.STATEMENT, Step.CONNECTION, Step.COMMIT, Step.ANSWER, Step.HSM):
        for nth in {max(1, counting.counts[step] // 2), max(1, counting.counts[step] * 3 // 4)}:
            ready = world.ready(HEAD, "R", ROWS)
            job = sent(world.client(HEAD), in_file([world.activation(ready, uid) for uid in ready.uids]))
            with seams.trapped(step, nth) as trap, world.app.app_context():
                _work(world, seams)
            hit += trap.hit
            for _ in range(20):  # a job that waits after an outage is due again
                if done(world.client(HEAD).get(f"/jobs/{job['id']}"))["state"] == "completed":
                    break
                world.clock.set(world.clock.now() + timedelta(minutes=2))
                with world.app.app_context():
                    _work(world, seams)
            shown = done(world.client(HEAD).get(f"/jobs/{job['id']}"))
            assert (shown["state"], shown["done"], shown["failed"]) == ("completed", ROWS, 0), (step, nth, shown)
            total += ROWS
    assert hit >= 8
    assert world.sql("SELECT (SELECT COUNT(*) FROM activation), (SELECT COUNT(*) FROM manifest)") == [(total, total)]
    sound(world)


def _work(world: World, seams: Seams) -> None:
    """Let a worker work whose HSM and database are those of the seams."""
    try:
        while worker.work(replace(tools(world), hsm=seams.hsm, files=seams.files), 5):
            pass
    except Exception as fault:  # noqa: BLE001  # the edge of a worker: a fault outside its turns ends the run, and the next one goes on
        print("the run ended:", type(fault).__name__)
