"""Measures what the transparency log costs an activation, and a proof in a large tree."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable, Iterator

import psycopg

from sifilma.audit import sequencing, tree
from sifilma.audit.store import StoredTree, log_size
from sifilma.kernel import triggers
from sifilma.kernel.db import db
from tests.benchmarks import server
from tests.benchmarks.table import Line
from tests.support.transparency_log import act
from tests.support.world import World, done

COUNT = 120
ROUNDS = 6
LEAVES = 1_000_000
ENTRIES = 2_000


def run(world: World) -> list[Line]:
    """Run all benchmarks of the log. The large tree comes last, because its leaves have no entries."""
    with_log, without = _activation(world)
    sequencer = _sequencer(world)
    proof, root = _proofs(world)
    return [
        Line(
            "activation with the log : without it, CPU",
            (with_log + sequencer) / without,
            "×",
            1.15,
            against="itself without the queue; database and worker counted",
        ),
        Line("taking an entry into the log, CPU of the worker", sequencer, "ms"),
        Line(f"inclusion proof over {LEAVES:,} entries", proof, "ms", 5.0),
        Line(f"consistency proof over {LEAVES:,} entries", root, "ms", 5.0),
    ]


def _activation(world: World) -> tuple[float, float]:
    """Return the CPU per activation with and without the log, in ms, round by round.

    The database's processes are included, because the trigger that fills the queue runs there.
    """
    ready = world.ready("magetan.kepala", "R", COUNT * ROUNDS)
    client = world.client("magetan.kepala")
    bodies = [world.activation(ready, uid) for uid in ready.uids]
    spent: dict[bool, list[float]] = {True: [], False: []}
    for number in range(ROUNDS):
        with_log = number % 2 == 0
        _queue(world, there=with_log)
        backends = _backends(world)
        before = _cpu(backends)
        for body in bodies[number * COUNT : (number + 1) * COUNT]:
            done(client.post("/activations", body), 201)
        spent[with_log].append((_cpu(backends) - before) / COUNT)
    _queue(world, there=True)
    return min(spent[True]), min(spent[False])


def _queue(world: World, *, there: bool) -> None:
    """Create the trigger that fills the queue, or drop it."""
    rule = next(rule for rule in triggers.rules() if rule.name == "audit_entry_pending")
    world.sql(f"DROP FUNCTION IF EXISTS {rule.full_name}() CASCADE")
    if there:
        for statement in triggers.render(rule, "postgresql"):
            world.sql(statement)


def _cpu(backends: list[int]) -> float:
    """Return the CPU time of this process and of these PostgreSQL processes, in ms."""
    return time.process_time() * 1000 + sum(map(server.cpu_seconds, backends)) * 1000


def _backends(world: World) -> list[int]:
    """Return the ids of the PostgreSQL processes behind the pool's connections."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
    return [pid for (pid,) in world.sql(query)]


def _sequencer(world: World) -> float:
    act(world, ENTRIES)
    taken, before = 0, time.process_time()
    while True:
        with world.context() as ctx:
            count = sequencing.append(ctx)
        taken += count
        if count < sequencing.BATCH:
            return (time.process_time() - before) * 1000 / taken


def _proofs(world: World) -> tuple[float, float]:
    """Measure proofs for places spread over the tree."""
    with world.app.app_context():
        _fill(db.engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
    with world.context() as ctx:
        ctx.uow.begin_read()
        stored, size = StoredTree(ctx.session), log_size(ctx.session)
        places = [int(hashlib.sha256(str(n).encode()).hexdigest(), 16) % size for n in range(200)]
        inclusion = _undisturbed(lambda place: stored.hashes(tree.inclusion(place, size)), places)
        return inclusion, _undisturbed(lambda place: stored.hashes(tree.consistency(place + 1, size)), places)


def _undisturbed(prove: Callable[[int], object], places: list[int]) -> float:
    """Return the longest time of the fastest tenth, so that other work on the machine is not measured."""
    spent = []
    for place in places:
        before = time.perf_counter()
        prove(place)
        spent.append((time.perf_counter() - before) * 1000)
    return statistics.quantiles(spent, n=10)[0]


def _fill(url: str) -> None:
    """Write leaves directly into the tables by COPY, without triggers."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for table in ("log_checkpoint", "log_leaf", "log_node"):
            cursor.execute(f"DELETE FROM {table}".encode())
        frontier, nodes = tree.Frontier(), list[tuple[int, int, bytes]]()
        with cursor.copy("COPY log_leaf (seq, entry_id, hash) FROM STDIN") as copy:
            for seq, leaf in _leaves():
                copy.write_row((seq, f"{seq:032x}", leaf))
                nodes += [(height, index, made) for (height, index), made in frontier.append(leaf)]
        with cursor.copy("COPY log_node (height, idx, hash) FROM STDIN") as copy:
            for node in nodes:
                copy.write_row(node)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE log_leaf, log_node")


def _leaves() -> Iterator[tuple[int, bytes]]:
    for seq in range(LEAVES):
        yield seq, tree.leaf_hash(seq.to_bytes(8, "big"))
