"""Numbers are given out up to an end that the witness knows: it may be away for a while, and then issuing stops until it is back."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sifilma.activation.trust import ceremonies, status_list, told
from sifilma.commands.doctor_lines import Level
from sifilma.commands.witness_check import witness
from sifilma.witness import reserved, row
from sifilma.witness.reserved import NumbersNotTold
from tests.support.visitor import Visitor
from tests.support.witness import compared, tell, witnessed
from tests.support.world import World, done


def take(world: World, count: int) -> list[tuple[int, int]]:
    with world.context() as ctx:
        return status_list.reserve(ctx.session, count, 4096)


def test_issuing_goes_on_to_the_end_of_the_block_while_the_witness_is_away_stops_there_and_goes_on_when_it_is_back(
    world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "witness"
    witnessed(world, folder, witness_block=4)
    ready = world.ready(count=2)
    done(world.client("magetan.kepala").post("/activations", world.activation(ready, ready.uids[0])), 201)
    tell(world)
    away = folder.rename(tmp_path / "unmounted")
    assert compared(world).state == "away"
    done(world.client("magetan.kepala").post("/activations", world.activation(ready, ready.uids[1])), 201)
    with world.context() as ctx:
        first = reserved.told(ctx.session, "status-list/1")
    tell(world)  # new ends are reserved, and nobody knows them yet
    taken = take(world, first - 2)
    assert taken[-1] == (1, first - 1)
    with world.context() as ctx:
        [left] = [one for one in reserved.left(ctx.session, world.settings, ctx.now) if one.name == "status-list/1"]
    assert (left.numbers, left.is_short) == (0, True)
    with pytest.raises(NumbersNotTold):
        take(world, 1)
    waiting = world.requested("magetan.kepala", world.received())["id"]
    client = world.client("penyetuju1")
    digest = done(client.get(f"/activation-requests/{waiting}"))["digest"]
    done(client.post(f"/activation-requests/{waiting}/approve", {"digest": digest}))
    stopped = world.client("penyetuju2").post(f"/activation-requests/{waiting}/approve", {"digest": digest})
    assert (stopped.status_code, stopped.json["type"].rpartition(":")[2]) == (503, "witness-not-told"), stopped.json
    assert done(client.get(f"/activation-requests/{waiting}"))["state"] == "submitted"
    away.rename(folder)
    told._away_until.clear()
    tell(world)
    done(world.client("penyetuju2").post(f"/activation-requests/{waiting}/approve", {"digest": digest}))
    assert compared(world).state == "sound"


def test_papers_are_numbered_up_to_the_end_that_the_witness_knows(sqlite_world: World, tmp_path: Path) -> None:
    world = sqlite_world
    witnessed(world, tmp_path / "witness")
    uids = world.personalised(count=2)
    body = {"to": str(world.organisation_of("magetan.kepala"))}
    done(world.client("operator1").post("/handovers", body | {"cards": uids[:1]}), 201)
    (tmp_path / "witness").rename(tmp_path / "away")
    world.sql("UPDATE document_counter SET last = last + 900")
    refused = world.client("operator1").post("/handovers", body | {"cards": uids[1:]})
    assert refused.status_code == 503, refused.json
    (tmp_path / "away").rename(tmp_path / "witness")
    told._away_until.clear()
    tell(world)
    done(world.client("operator1").post("/handovers", body | {"cards": uids[1:]}), 201)


def test_without_a_witness_nothing_is_reserved_and_everything_goes_on(sqlite_world: World) -> None:
    sqlite_world.active()
    tell(sqlite_world)
    assert sqlite_world.sql("SELECT COUNT(*) FROM reserved_number") == [(0,)]
    assert sqlite_world.sql("SELECT COUNT(*) FROM witness_statement") == [(0,)]


def test_of_two_processes_that_reserve_at_the_same_time_one_does(world: World, tmp_path: Path) -> None:
    row_of = witnessed(world, tmp_path / "witness")
    before = row_of.count()
    with world.context() as ctx:
        end = reserved.told(ctx.session, "status-list/1") + 7
    world.hsm.public_key("audit-sign")
    both, outcomes = threading.Barrier(2), list[bool]()

    def run() -> None:
        with world.context() as ctx:
            sign = told.signer(ctx, world.settings, world.hsm)

            def signed(made: object) -> list[bytes]:
                contents = sign(made)  # type: ignore[arg-type]  # statements
                both.wait(10)
                return contents

            outcomes.append(reserved.write(ctx, world.settings, signed, {"status-list/1": end}, {}))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, True]
    tell(world)
    assert row_of.count() == before + 1
    with world.context() as ctx:
        assert reserved.told(ctx.session, "status-list/1") == end
        assert row.newest(ctx.session)[0] == before + 1


def test_the_next_version_of_the_keyset_waits_for_the_witness(sqlite_world: World, tmp_path: Path) -> None:
    witnessed(sqlite_world, tmp_path / "witness")
    with sqlite_world.context() as ctx:
        ceremonies.require_next_version(ctx.session, sqlite_world.settings)
        assert reserved.told(ctx.session, ceremonies.VERSION) == 1 + ceremonies.VERSIONS
        assert reserved.told(ctx.session, ceremonies.EPOCH) == 1
    with sqlite_world.context() as ctx, pytest.raises(NumbersNotTold):
        reserved.require(ctx.session, ceremonies.VERSION, 2 + ceremonies.VERSIONS)


def test_operators_are_warned_before_the_numbers_run_out_at_the_pace_of_the_day(sqlite_world: World, tmp_path: Path) -> None:
    world, folder = sqlite_world, tmp_path / "witness"
    witnessed(world, folder, witness_block=100)
    folder.rename(tmp_path / "away")
    world.clock.advance(hours=24)
    world.beat()
    take(world, 30)
    operator = Visitor(world, "operator1")
    with world.context() as ctx:
        [left] = [one for one in reserved.left(ctx.session, world.settings, ctx.now) if one.name == "status-list/1"]
    assert (left.numbers, round(left.days or 0, 1), left.is_short) == (70, 2.3, True)
    assert compared(world).state == "away"
    assert "hampir habis" in operator.text("/")
    assert "status-list/1" in operator.text("/pemulihan")
    shown = world.anonymous().open("GET", "/metrics").get_data(as_text=True)
    assert 'sifilma_numbers_left{counter="status-list/1"} 70.0' in shown
    assert 'sifilma_witness_state{state="away"} 1.0' in shown
    with world.app.app_context():
        told_ = [line for line in witness(world.settings) if line.level is Level.WARN]
    assert any("status-list/1: 70 numbers may leave, 2.3 days" in line.text for line in told_), told_
    (tmp_path / "away").rename(folder)
    told._away_until.clear()
    tell(world)
    with world.context() as ctx:
        assert [one for one in reserved.left(ctx.session, world.settings, ctx.now) if one.is_short] == []
    assert "hampir habis" not in operator.text("/")
