"""Sequencing of entries: none is missed, none is placed twice, no gap appears, also under concurrency."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from hsm import HSM, HSMUnavailable
from sifilma.app import audit_commands, worker_commands
from sifilma.audit import checkpoints, sequencing
from sifilma.audit.models import Action
from sifilma.audit.note import read_checkpoint
from sifilma.audit.service import record
from sifilma.audit.store import LogBroken
from sifilma.kernel.db import db
from tests.support.counting import counted
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.softhsm import SoftHSM
from tests.support.transparency_log import act, as_superuser, grown, newest_note, sequence, verify
from tests.support.world import World


def places(world: World) -> list[tuple[int, str]]:
    return [(seq, str(entry_id)) for seq, entry_id in world.sql("SELECT seq, entry_id FROM log_leaf ORDER BY seq")]


def waiting(world: World) -> int:
    return int(world.sql("SELECT COUNT(*) FROM audit_pending")[0][0])


def test_every_entry_gets_one_place_and_a_checkpoint_covers_it(world: World) -> None:
    before = waiting(world)
    assert before > 0  # the acts that made the world wait
    act(world, 20)
    assert sequence(world) == before + 20
    assert waiting(world) == 0
    assert [seq for seq, _ in places(world)] == list(range(before + 20))
    said = read_checkpoint(newest_note(world), world.trust.keys("audit"))
    assert (said.origin, said.size) == ("sifilma.example.go.id/log", before + 20)
    assert sequence(world) == 0
    assert world.sql("SELECT COUNT(*) FROM log_checkpoint")[0][0] == 1  # without new entries no checkpoint is signed
    report = verify(world)
    assert (report.findings, report.size, report.checkpoints) == ([], before + 20, 1)


def test_more_entries_than_a_batch_are_sequenced_in_one_run(sqlite_world: World) -> None:
    act(sqlite_world, sequencing.BATCH * 2)
    assert sequence(sqlite_world) > sequencing.BATCH * 2
    assert waiting(sqlite_world) == 0
    assert verify(sqlite_world).ok


def test_simultaneous_sequencers_place_no_entry_twice(world: World) -> None:
    for _ in range(3):
        act(world, 40)
        run_simultaneously([partial(sequence, world)] * 4)
        sequence(world)
    ids = [entry_id for _, entry_id in places(world)]
    assert len(ids) == len(set(ids)) == world.sql("SELECT COUNT(*) FROM audit_entry")[0][0]
    assert verify(world).ok


def test_an_entry_that_is_committed_late_is_sequenced(postgresql_world: World) -> None:
    """Its id is older than those of the entries that were sequenced before."""
    world, recorded, go_on = postgresql_world, threading.Event(), threading.Event()
    ids: list[str] = []

    def slowly() -> None:
        with world.context() as ctx:
            ids.append(str(record(ctx, Action.UNIT_CHANGE, "unit", "slow").id))
            recorded.set()
            assert go_on.wait(30)

    thread = threading.Thread(target=slowly)
    thread.start()
    assert recorded.wait(30)
    act(world, 5)
    sequence(world)
    assert ids[0] not in {entry_id for _, entry_id in places(world)}
    go_on.set()
    thread.join()
    assert sequence(world) == 1
    assert places(world)[-1][1] == ids[0]
    assert verify(world).ok


def test_a_rolled_back_act_leaves_no_waiting_entry(world: World) -> None:
    before = waiting(world)
    with world.context() as ctx:
        record(ctx, Action.UNIT_CHANGE, "unit", "x")
        ctx.uow.rollback()
    assert waiting(world) == before


def test_entries_are_sequenced_without_the_hsm_and_signed_when_it_is_back(world: World, softhsm: SoftHSM, signing_token: HSM) -> None:
    grown(world, 3)
    size = len(places(world))
    act(world, 4)
    with softhsm.away():
        signing_token.close()
        with pytest.raises(HSMUnavailable):
            sequence(world)
        assert (len(places(world)), waiting(world)) == (size + 4, 0)
        assert verify(world).ok
        world.clock.advance(seconds=60)
        with world.app.app_context():
            counts, failed = worker_commands.run_once()
        assert failed == ["checkpoints signed"]
        assert "tokens expired" in counts  # the worker continues with its other tasks
    signing_token.close()
    act(world, 1)
    sequence(world)
    assert f"\n{size + 5}\n" in newest_note(world)
    assert verify(world).ok


def test_a_checkpoint_is_signed_once_the_last_one_is_old_enough(world: World) -> None:
    grown(world, 1)
    act(world)
    with world.app.app_context():
        assert audit_commands.keep_log() == 1
        assert world.sql("SELECT COUNT(*) FROM log_checkpoint")[0][0] == 1
        world.clock.advance(seconds=checkpoints.EVERY.total_seconds())
        audit_commands.keep_log()
    assert world.sql("SELECT COUNT(*) FROM log_checkpoint")[0][0] == 2


def test_the_database_refuses_gaps_changes_and_early_removal_from_the_queue(world: World) -> None:
    grown(world, 20)
    act(world)
    end = len(places(world))
    for statement in (
        f"INSERT INTO log_leaf (seq, entry_id, hash) SELECT {end + 1}, entry_id, hash FROM log_leaf WHERE seq = 0",
        "UPDATE log_leaf SET seq = seq + 100000",
        "DELETE FROM log_leaf",
        "DELETE FROM log_checkpoint",
        "UPDATE log_checkpoint SET size = size - 1",
        "UPDATE log_node SET idx = 7777",
        "DELETE FROM log_node",
        "DELETE FROM audit_pending",
        f"INSERT INTO log_checkpoint (size, root, origin, note, at) SELECT {end + 1}, root, origin, note, at FROM log_checkpoint",
    ):
        with pytest.raises(DBAPIError):
            world.sql(statement)
    assert verify(world).ok


def test_a_tree_that_does_not_continue_the_signed_one_is_not_signed(world: World) -> None:
    grown(world, 5, 5)
    end = len(places(world))
    as_superuser(world, f"UPDATE log_leaf SET hash = (SELECT hash FROM log_leaf WHERE seq = 0) WHERE seq = {end - 1}")
    act(world)
    with pytest.raises(LogBroken, match=f"first {end} entries"):
        sequence(world)
    assert world.sql("SELECT MAX(size) FROM log_checkpoint")[0][0] == end


def test_the_copy_beside_the_database_reveals_a_cut_tail_without_checkpoints(world: World) -> None:
    grown(world, 5, 5)
    as_superuser(world, "DELETE FROM log_checkpoint", "DELETE FROM log_leaf WHERE seq > 3", "DELETE FROM log_node")
    with pytest.raises(LogBroken, match="tail was cut"), world.context() as ctx:
        checkpoints.sign(ctx, world.settings, world.hsm, now=True)


def test_an_unreadable_row_does_not_stop_the_others(sqlite_world: World) -> None:
    """SQLite stores any text in a JSON column."""
    world = sqlite_world
    grown(world, 1)
    spoilt, good = act(world, 2)
    as_superuser(world, "UPDATE audit_entry SET data = 'no json' WHERE id = :id", id=spoilt.replace("-", ""))
    assert sequence(world) == 1
    assert places(world)[-1][1] == good.replace("-", "")
    assert waiting(world) == 1


def test_an_activation_needs_eight_statements_with_the_log(postgresql_world: World) -> None:
    world = postgresql_world
    ready = world.ready(count=2)
    client = world.client("magetan.kepala")
    client.post("/activations", world.activation(ready, ready.uids[0]))
    with world.app.app_context():
        engine = db.engine
    with counted(engine) as found:
        assert client.post("/activations", world.activation(ready, ready.uids[1])).status_code == 201
    assert (len(found.statements), found.commits) == (8, 1)
    assert not [statement for statement in found.statements if "log_" in statement or "audit_pending" in statement]


def test_a_waiting_entry_is_found_by_its_primary_key(postgresql_world: World) -> None:
    """The queue is read from its oldest entry: the query plan must not scan the audit entries."""
    world = postgresql_world
    grown(world, 300)
    act(world, 3)
    with world.app.app_context(), db.engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        query = str(sequencing._waiting().compile(connection, compile_kwargs={"literal_binds": True}))
        plan = "\n".join(connection.execute(text(f"EXPLAIN {query}")).scalars())
    assert "Seq Scan on audit_entry" not in plan, plan
