"""When the clock is trusted: by the seconds since the machine was started, by the database's clock, by what was signed before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from sifilma.kernel.clock import ManualClock, SystemClock
from sifilma.kernel.errors import ClockNotTrusted
from sifilma.kernel.timekeeping import stops
from sifilma.kernel.timekeeping.watch import ClockWatch, Finding, Known, Reason, judge
from tests.support.world import START, World

DAY = 86400.0


def beat(world: World, watch: ClockWatch | None = None) -> Finding | None:
    """Give a sign of life as the worker does; return why the clock is not trusted."""
    with world.context() as ctx:
        return stops.beat(ctx, watch or ctx.watch or ClockWatch(world.clock, 60), "node", 1, "0")


def look(world: World, watch: ClockWatch) -> Finding | None:
    with world.context() as ctx:
        return watch.look(ctx.session)


class Shifted(SystemClock):
    """The machine's clock, set wrong."""

    def __init__(self, **by: float) -> None:
        self.by = timedelta(**by)

    def now(self) -> datetime:
        return super().now() + self.by


def test_time_that_passes_is_trusted_and_a_clock_that_is_set_is_not() -> None:
    clock = ManualClock(START)
    watch = ClockWatch(clock, 60)
    clock.advance(days=400)
    assert watch.trusted_now() == clock.now()
    clock.jump(seconds=59)
    assert watch.finding() is None
    clock.jump(seconds=2)
    assert watch.finding() == Finding(Reason.STEPPED, 61.0)
    with pytest.raises(ClockNotTrusted):
        watch.trusted_now()
    clock.jump(days=-2)
    found = watch.finding()
    assert found is not None
    assert (found.seconds, found.waits) == (61 - 2 * DAY, True)


def test_the_moment_goes_on_evenly_while_the_clock_is_set_wrong() -> None:
    clock = ManualClock(START)
    watch = ClockWatch(clock, 60)
    clock.jump(days=1000)
    clock.advance(seconds=20)
    assert watch.now() == START + timedelta(seconds=20)
    clock.jump(days=-1000)
    assert watch.now() == clock.now()


def test_the_system_clock_tells_the_seconds_since_the_machine_was_started() -> None:
    first, second = SystemClock().reading(), SystemClock().reading()
    assert first.boot_id == second.boot_id != ""
    assert 0 <= second.elapsed - first.elapsed < 5
    assert 0 <= (second.at - first.at).total_seconds() < 5


@pytest.mark.parametrize(
    ("off", "reason", "waits"),
    [({"hours": 20}, None, False), ({"hours": -1}, Reason.BACKWARDS, False), ({"days": -2}, Reason.BACKWARDS, True),
     ({"days": 2}, Reason.AHEAD, True)],
    ids=["a night off", "an hour back", "two days back", "two days ahead"],
)  # fmt: skip
def test_after_a_start_of_the_machine_the_last_sign_of_life_bounds_the_clock(
    sqlite_world: World, off: dict[str, float], reason: Reason | None, waits: bool
) -> None:
    world = sqlite_world
    assert beat(world) is None
    world.clock.reboot(**off)
    found = beat(world)
    assert (found.reason if found else None, found.waits if found else False) == (reason, waits)


def test_a_process_that_was_started_by_a_wrong_clock_notices_it(world: World) -> None:
    assert beat(world) is None
    world.clock.jump(hours=20)
    watch = ClockWatch(world.clock, 60)  # it has seen nothing else
    assert watch.finding() is None
    assert look(world, watch) == Finding(Reason.STEPPED, 20 * 3600.0)
    assert watch.now() == START
    world.clock.jump(hours=-20)
    assert look(world, watch) is None


def test_a_worker_that_was_started_before_the_clock_was_set_right_trusts_it_then(sqlite_world: World) -> None:
    world = sqlite_world
    assert beat(world) is None
    world.clock.reboot(minutes=-10)
    watch = ClockWatch(world.clock, 60)
    found = beat(world, watch)
    assert found is not None
    assert found.reason is Reason.BACKWARDS
    world.clock.jump(minutes=11)
    assert beat(world, watch) is None


def test_a_server_node_that_was_paused_and_set_right_is_trusted_once_the_workers_node_agrees(sqlite_world: World) -> None:
    world = sqlite_world
    server = ManualClock(START)
    watch = ClockWatch(server, 60)
    world.clock.advance(minutes=10)
    beat(world)
    server.jump(minutes=10)  # it stood still meanwhile
    assert watch.finding() == Finding(Reason.STEPPED, 600.0)
    assert look(world, watch) is None
    assert watch.now() == world.clock.now()
    server.jump(minutes=-10)  # wrong again: the worker's node does not agree
    assert look(world, watch) == Finding(Reason.STEPPED, -600.0)
    server.jump(minutes=20)
    assert look(world, watch) == Finding(Reason.STEPPED, 600.0)


def test_the_database_is_asked_at_most_every_ten_seconds(sqlite_world: World) -> None:
    world = sqlite_world
    watch = ClockWatch(world.clock, 60)
    with world.context() as ctx:
        watch.require(ctx.session)
        world.clock.advance(seconds=9)
        watch.require(ctx.session)
        assert watch._looked is not None
        assert watch._looked.at == START
        world.clock.advance(seconds=1)
        watch.require(ctx.session)
        assert watch._looked.at == START + timedelta(seconds=10)


def test_a_clock_that_is_not_the_databases_is_not_trusted(postgresql_world: World) -> None:
    assert look(postgresql_world, ClockWatch(SystemClock(), 60)) is None
    found = look(postgresql_world, ClockWatch(Shifted(minutes=-10), 60))
    assert found is not None
    assert (found.reason, round(found.seconds, -1), found.waits) == (Reason.DATABASE, -600, False)
    found = look(postgresql_world, ClockWatch(Shifted(days=1000), 60))
    assert found is not None
    assert (found.reason, found.waits) == (Reason.DATABASE, True)


@pytest.mark.parametrize("signed", ["manifest", "status list", "checkpoint"])
def test_a_clock_before_the_newest_signed_record_is_not_trusted(world: World, signed: str) -> None:
    world.active()
    world.clock.advance(hours=5)
    if signed == "status list":
        assert world.anonymous().open("GET", "/status/1.jws").status_code == 200
    elif signed == "checkpoint":
        from tests.support.transparency_log import sequence

        sequence(world)
    else:
        world.active()
    early = ManualClock(START + timedelta(hours=4))
    found = look(world, ClockWatch(early, 60))
    assert found is not None
    assert (found.reason, found.seconds) == (Reason.SIGNED, -3600.0)
    early.advance(minutes=59, seconds=30)
    assert look(world, ClockWatch(early, 60)) is None


def test_a_stop_that_waits_outlives_the_process_and_a_small_one_ends_by_itself(world: World) -> None:
    for by, waits in ((20, False), (30, True)):
        assert beat(world) is None
        world.clock.jump(hours=by)
        found = beat(world)
        assert found is not None
        assert found.waits is waits
        world.clock.jump(hours=-by)
        world.clock.advance(seconds=10)
    found = beat(world, ClockWatch(world.clock, 60))
    assert found == Finding(Reason.STEPPED, 30 * 3600.0, waits=True)
    stops = world.sql("SELECT waits, ended_at IS NULL FROM clock_stop ORDER BY id")
    assert [tuple(map(bool, stop)) for stop in stops] == [(False, False), (True, True)]


def test_what_waits_for_people_is_not_ended_past_them(world: World) -> None:
    beat(world)
    world.clock.jump(days=3)
    beat(world)
    for change in ("ended_at = CURRENT_TIMESTAMP", "waits = FALSE"):
        with pytest.raises(Exception, match="what waits for people is ended by them"):
            world.sql(f"UPDATE clock_stop SET {change}")
    with pytest.raises(Exception, match="what was recorded stays"):
        world.sql("DELETE FROM clock_stop")


def test_a_clock_without_history_is_trusted() -> None:
    reading = ManualClock(START).reading()
    assert judge(reading, Known(), None, 60) is None


def test_signs_of_life_of_nodes_that_are_gone_are_forgotten(sqlite_world: World) -> None:
    world = sqlite_world
    beat(world)
    world.sql("UPDATE heartbeat SET node = 'gone'")
    world.clock.advance(days=31)
    beat(world)
    assert world.sql("SELECT node FROM heartbeat") == [("node",)]


def _age(session: Session, clock: Any) -> float | None:
    return stops.worker_age(session, ClockWatch(clock, 60))


def test_the_age_of_a_sign_of_life_does_not_depend_on_the_wall_clock(sqlite_world: World) -> None:
    world = sqlite_world
    with world.context() as ctx:
        assert _age(ctx.session, world.clock) is None
    beat(world)
    world.clock.advance(seconds=7)
    world.clock.jump(days=-100)
    with world.context() as ctx:
        assert _age(ctx.session, world.clock) == 7.0


@pytest.mark.parametrize(("seconds", "age"), [(45, 0.0), (-45, 0.0), (100, 40.0), (-61, None)])
def test_a_sign_of_life_of_another_node_is_fresh_within_the_tolerance_and_none_when_dated_further_ahead(
    sqlite_world: World, seconds: int, age: float | None
) -> None:
    world = sqlite_world
    beat(world)
    with world.context() as ctx:
        assert _age(ctx.session, ManualClock(START + timedelta(seconds=seconds))) == age


def test_signs_of_life_that_a_wrong_clock_dated_ahead_are_deleted(sqlite_world: World) -> None:
    world = sqlite_world
    beat(world)
    world.sql("UPDATE heartbeat SET node = 'wrong', at = '2099-01-01 00:00:00.000000'")
    beat(world)
    assert world.sql("SELECT node FROM heartbeat") == [("node",)]
