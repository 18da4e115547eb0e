"""Chores that fail stop nothing else, objects whose turns fail are given up and named, and operators pause, resume and try again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from sifilma.app.chores import CHORES
from sifilma.dispatch import contract, queue, service
from sifilma.dispatch.contract import MOST_TRIES, ROWS, TOKENS, Chore, Turn, Waiting
from sifilma.dispatch.pages import NAMES
from sifilma.dispatch.runner import GivenUp, Runner
from sifilma.kernel.errors import Conflict, NotFound
from sifilma.kernel.ids import uuid7
from tests.activation.bulk.sheets import sent, sheet, worked
from tests.jobs.test_worker import refusable, sound
from tests.support.visitor import Visitor
from tests.support.world import World, done

OFFICE, OTHER = "magetan.kepala", "bangli.kepala"
RUNS = "SELECT subject, count, failures, error, gave_up_at IS NOT NULL FROM work_run WHERE chore = :name"


class Work:
    """What a chore does: what a test says."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.calls = 0

    def run(self) -> int:
        self.calls += 1
        if self.fault is not None:
            raise self.fault
        return 3

    def turn(self, _subject: UUID) -> Turn:
        return Turn(self.run())


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """Yield the work of a chore of this test, "made up"."""
    made = Work()
    subject = Waiting(uuid7(), uuid7())
    monkeypatch.setitem(contract.REGISTERED, "made up", Chore(made.run, True, turn=made.turn, waiting=lambda _: [subject]))
    return made


def runner(world: World, is_trusted: Callable[[], bool] = lambda: True) -> Runner:
    return Runner(contract.REGISTERED, world.context, is_trusted)


def runs(world: World, name: str = "made up") -> list[Any]:
    return [tuple(row) for row in world.sql(RUNS, name=name)]


def entries(world: World) -> list[Any]:
    """What waits in the engine: chore and object."""
    found = world.sql("SELECT task_name, args ->> 'subject' FROM procrastinate.procrastinate_jobs WHERE status = 'todo' ORDER BY id")
    return [tuple(row) for row in found]


def test_a_chore_that_fails_is_named_until_it_is_well_again(world: World, work: Work) -> None:
    mine = runner(world)
    work.fault = ValueError("a value")
    assert (mine.run("made up"), mine.run("made up")) == (None, None)
    assert runs(world) == [("", 0, 2, "ValueError: a value", False)]
    work.fault = None
    assert mine.run("made up") == 3
    assert runs(world) == [("", 3, 0, "", False)]


def test_a_chore_that_is_paused_or_goes_by_a_clock_that_is_not_trusted_is_not_run(sqlite_world: World, work: Work) -> None:
    world = sqlite_world
    assert runner(world, lambda: False).run("made up") is None
    with world.context() as ctx:
        service.pause(ctx, "made up")
        service.pause(ctx, "made up")
    mine = runner(world)
    assert (mine.run("made up"), mine.turn("made up", uuid7()).settled, work.calls) == (None, 0, 0)
    with world.context() as ctx:
        service.resume(ctx, "made up")
        service.resume(ctx, "made up")
    assert runner(world).run("made up") == 3
    acts = "SELECT action, COUNT(*) FROM audit_entry WHERE object_kind = 'chore' GROUP BY action ORDER BY action"
    assert [tuple(row) for row in world.sql(acts)] == [("chore.pause", 1), ("chore.resume", 1)]


def test_an_object_whose_turns_fail_is_given_up_and_an_outage_is_no_try(world: World, work: Work) -> None:
    mine = runner(world)
    with world.context() as ctx:
        (waiting,) = contract.REGISTERED["made up"].waiting(ctx)  # type: ignore[misc]  # it has one
    subject = waiting.subject
    work.fault = OSError("the file store")
    for _ in range(MOST_TRIES + 1):
        assert mine.turn("made up", subject).again_in is not None
    assert runs(world) == []
    work.fault = ValueError("a value")
    pauses = [mine.turn("made up", subject).again_in for _ in range(MOST_TRIES - 1)]
    assert pauses == [5, 10, 20, 40, 60]
    with pytest.raises(GivenUp):
        mine.turn("made up", subject)
    assert runs(world) == [(str(subject), 0, MOST_TRIES, "ValueError: a value", True)]
    told = world.app.test_cli_runner().invoke(args=["jobs", "list"])
    assert (told.exit_code, f"given up   made up of {subject}: 6 times, ValueError: a value" in told.output) == (1, True)
    with world.context() as ctx:
        service.retry(ctx, "made up", subject)
    assert runs(world) == []
    if world.settings.database_url.startswith("postgresql"):
        assert entries(world) == [("made up", str(subject))]
    work.fault = None
    assert mine.turn("made up", subject) == Turn(3)


def test_what_was_given_up_and_has_nothing_left_to_do_is_forgotten_when_it_is_tried_again(world: World, work: Work) -> None:
    mine, subject = runner(world), uuid7()
    work.fault = ValueError("a value")
    for _ in range(MOST_TRIES - 1):
        mine.turn("made up", subject)
    with pytest.raises(GivenUp):
        mine.turn("made up", subject)
    with pytest.raises(Conflict), world.context() as ctx:
        service.retry(ctx, "made up", subject)
    assert runs(world) == []
    with pytest.raises(NotFound), world.context() as ctx:
        service.retry(ctx, "made up", subject)


def test_every_chore_has_a_name_on_screens() -> None:
    assert set(NAMES) == set(CHORES)


def test_operators_see_and_steer_the_work(world: World) -> None:
    job = sent(world.client(OFFICE), sheet(refusable(2)))
    operator = Visitor(world, "operator1")
    assert "Mengerjakan baris berkas" in operator.text("/tugas-sistem")
    assert operator.send("/tugas-sistem/jeda", chore="tokens expired").status_code == 303
    assert "Dijeda sejak" in operator.text("/tugas-sistem")
    assert operator.send("/tugas-sistem/lanjut", chore="tokens expired").status_code == 303
    assert operator.send("/tugas-sistem/jeda", chore="no such chore").status_code == 422
    assert operator.send("/tugas-sistem/ulang", chore=ROWS, object_id=job["id"]).status_code == 404  # it was not given up
    auditor = Visitor(world, "auditor1")
    assert "Jeda</button>" not in auditor.text("/tugas-sistem")
    assert Visitor(world, OFFICE).get("/tugas-sistem").status_code == 403


def test_a_paused_file_has_no_turn_until_it_is_resumed(world: World) -> None:
    office = world.client(OFFICE)
    job = sent(office, sheet(refusable(2)))
    path = f"/jobs/{job['id']}"
    paused = done(office.post(f"{path}/pause"))
    assert (paused["paused_at"] is not None, sorted(paused["links"])) == (True, ["cancel", "resume", "self"])
    assert world.client(OTHER).post(f"{path}/pause").status_code == 404
    assert worked(world) == 0
    assert done(office.post(f"{path}/resume"))["paused_at"] is None
    assert worked(world) == 2
    assert office.post(f"{path}/pause").status_code == 409
    assert sound(world) == []


def test_an_entry_is_made_with_its_act_and_goes_with_the_end_of_its_object(postgresql_world: World) -> None:
    world = postgresql_world
    job = sent(world.client(OFFICE), sheet(refusable(1)))
    assert entries(world) == [(ROWS, job["id"])]
    done(world.client(OFFICE).post(f"/jobs/{job['id']}/pause"))
    assert entries(world) == []
    done(world.client(OFFICE).post(f"/jobs/{job['id']}/resume"))
    assert entries(world) == [(ROWS, job["id"])]
    done(world.client(OFFICE).post(f"/jobs/{job['id']}/cancel"))
    assert entries(world) == []
    with world.context() as ctx:
        queue.enqueue(ctx.session, TOKENS, uuid7(), uuid7())
        ctx.uow.rollback()
    assert entries(world) == []


FETCH = "SELECT id, args ->> 'subject' FROM procrastinate.procrastinate_fetch_job_v2(ARRAY['objects']::varchar[], :worker)"
BACK = "SELECT procrastinate.procrastinate_retry_job_v2(:id, now(), -CAST(:place AS integer), NULL, NULL)"


def test_organisations_take_turns_in_the_engine(postgresql_world: World) -> None:
    """One has four objects; that of another, which comes last, has every second turn."""
    world, many, other = postgresql_world, uuid7(), uuid7()
    with world.context() as ctx:
        for _ in range(4):
            queue.enqueue(ctx.session, ROWS, uuid7(), many)
    (worker,) = world.sql("SELECT * FROM procrastinate.procrastinate_register_worker_v1()")[0]
    late, turns = uuid7(), list[str]()
    for number in range(7):
        entry, subject = world.sql(FETCH, worker=worker)[0]
        turns.append(str(subject))
        if number == 0:
            assert world.sql(FETCH, worker=worker)[0][0] is None  # of one organisation one at a time
            with world.context() as ctx:
                queue.enqueue(ctx.session, ROWS, late, other)
        organisation = other if subject == str(late) else many
        values = {"chore": ROWS, "organisation": str(organisation)}
        (place,) = world.sql(f"SELECT {queue.PLACE}", **values)[0]
        world.sql(BACK, id=entry, place=place)
    assert [turn == str(late) for turn in turns] == [False, True, False, True, False, True, False]
    assert len(set(turns)) == 5  # those of one organisation take turns as well
