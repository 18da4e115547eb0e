"""Files of 100,000 rows and of 100,000 manifests by a real worker: how fast, how much memory, and how two workers share them (PostgreSQL).

`pytest --long -s tests/own_files/test_large.py` prints the figures of docs/performance.md.
"""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from hsm import HSM
from sifilma.activation.models import DataKey
from sifilma.activation.tokens import sealing
from sifilma.kernel.db import db
from sifilma.kernel.ids import uuid7
from tests.dispatch.workers import Worker, until
from tests.own_files.files import asked, fetched
from tests.own_files.test_killed import going
from tests.support.visitor import Visitor
from tests.support.world import World, done

COUNT = 100_000
MOST_MEMORY = 300 * 1024
"""Kilobytes that a worker may have at most."""
HOLDERS = ("magetan.kepala", "bangli.kepala")
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def present_world(postgresql_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation whose clock shows the real time, which the workers use."""
    with closing(World(postgresql_url, tmp_path / "home", signing_token, root_token, datetime.now(UTC))) as world:
        yield world


def many_units(connection: Connection, organisation: UUID, count: int) -> None:
    """Copy a machine of an organisation so many times."""
    changed = "jsonb_build_object('id', gen_random_uuid(), 'hardware_number', 'HW-' || n, 'pcid', NULL)"
    some = "(SELECT u FROM unit u WHERE organisation_id = :id LIMIT 1)"
    copied = f"INSERT INTO unit SELECT (jsonb_populate_record({some}, {changed})).* FROM generate_series(1, :count) n"
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text(copied), {"id": organisation, "count": count})


def many_manifests(world: World, uid: str, count: int) -> None:
    """Copy the manifest of a card so many times, each sealed for its own id. The indexes that forbid it are dropped."""
    with world.app.app_context(), db.engine.begin() as connection:
        query = "SELECT m.id, m.sealed_body, m.data_key_id FROM manifest m JOIN card c ON c.id = m.card_id WHERE c.uid = :uid"
        manifest_id, sealed, key_id = connection.execute(text(query), {"uid": uid}).one()
        row = connection.execute(text("SELECT * FROM data_key WHERE id = :id"), {"id": key_id}).mappings().one()
    key = sealing.unwrap(world.hsm, DataKey(**row))
    body = sealing.open_sealed(key, bytes(sealed), b"manifest", manifest_id)
    made = [(number, one := uuid7(), sealing.seal(key, body, b"manifest", one)) for number in range(count) if (one := uuid7())]
    with world.app.app_context(), db.engine.begin() as connection:
        for statement in (
            "SET LOCAL session_replication_role = replica",
            "SET LOCAL statement_timeout = 0",
            "DROP INDEX uq_manifest_standing",
            "ALTER TABLE manifest DROP CONSTRAINT uq_manifest_activation_id",
            "CREATE TEMP TABLE planted (n int, id uuid, body bytea) ON COMMIT DROP",
        ):
            connection.execute(text(statement))
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy("COPY planted FROM STDIN") as copy:
            for line in made:
                copy.write_row(line)
        changed = (
            "jsonb_build_object('id', p.id, 'seq', p.n + 2, 'status_index', p.n + 1000000, 'sealed_body', '\\x' || encode(p.body, 'hex'))"
        )
        copied = f"INSERT INTO manifest SELECT (jsonb_populate_record(m, {changed})).* FROM planted p, manifest m WHERE m.id = :id"
        connection.execute(text(copied), {"id": manifest_id})
        connection.execute(text("ANALYZE manifest"))


def memory(worker: Worker) -> int:
    """Return the most memory that a worker has had, in kilobytes."""
    status = Path(f"/proc/{worker.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def seconds_of_cpu(worker: Worker) -> float:
    """Return the seconds of CPU that a worker has used."""
    fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def written_by(world: World, file: Any) -> tuple[float, float, int]:
    """Have a new worker write a file; return wall seconds, seconds of CPU, and the most memory in kilobytes."""
    worker = Worker(world)
    try:
        until(lambda: world.sql("SELECT served FROM own_file WHERE id = :id", id=file["id"])[0][0] > 0, 120, worker.log.read_text)
        began, before = time.monotonic(), seconds_of_cpu(worker)
        until(lambda: not going(world), 900, worker.log.read_text)
        return time.monotonic() - began, seconds_of_cpu(worker) - before, memory(worker)
    finally:
        worker.kill()


@pytest.mark.long
def test_a_hundred_thousand_rows_and_manifests_are_written_within_the_memory(present_world: World) -> None:
    world, client = present_world, present_world.client(HOLDERS[0])
    ready, _ = world.active(HOLDERS[0], "R")
    with world.app.app_context(), db.engine.begin() as connection:
        many_units(connection, world.organisation_of(HOLDERS[0]), COUNT)
        connection.execute(text("ANALYZE unit"))
    many_manifests(world, ready.uids[0], COUNT)
    kinds: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("CSV", lambda: asked(client, "/unit", "csv")),
        ("XLSX", lambda: asked(client, "/unit", "xlsx")),
        ("ZIP of manifests", lambda: done(client.post("/manifests/archive", {}), 202)),
    )
    for name, ask in kinds:
        world.clock.set(datetime.now(UTC))
        file = ask()
        wall, cpu, most = written_by(world, file)
        world.clock.set(datetime.now(UTC))
        began = time.process_time()
        answer = fetched(client, file)
        taken = time.process_time() - began
        assert answer.status_code == 200, answer.json
        data = answer.get_data()
        rows = world.sql("SELECT written FROM own_file WHERE id = :id", id=file["id"])[0][0]
        print(
            f"{name}: {rows} rows, {len(data) / 1e6:.1f} MB, {wall:.0f} s, {cpu:.1f} s of CPU of the worker,"
            f" {most / 1024:.0f} MB at most; taking it {taken:.1f} s of CPU of the server",
            flush=True,
        )
        assert rows >= COUNT
        assert most < MOST_MEMORY
        if name.startswith("ZIP"):
            assert len(zipfile.ZipFile(io.BytesIO(data)).namelist()) == rows + 2
            recorded = "SELECT COUNT(DISTINCT object_id) FROM audit_entry WHERE action = 'manifest.download' AND request_id = :id"
            assert world.sql(recorded, id=file["id"])[0][0] == rows


@pytest.mark.long
def test_what_is_sent_at_once_costs_some_seconds_at_most(present_world: World) -> None:
    world, visitor = present_world, Visitor(present_world, HOLDERS[0])
    world.active(HOLDERS[0], "R")
    with world.app.app_context(), db.engine.begin() as connection:
        many_units(connection, world.organisation_of(HOLDERS[0]), world.settings.direct_rows - 1)
    for form in ("csv", "xlsx"):
        began = time.process_time()
        answer = visitor.get("/unit", unduh=form)
        cpu = time.process_time() - began
        print(f"{form} of {world.settings.direct_rows} rows at once: {cpu:.1f} s of CPU, {len(answer.get_data()) / 1e6:.1f} MB", flush=True)
        assert answer.status_code == 200
        assert cpu < 10


@pytest.mark.long
def test_two_workers_on_two_homes_share_the_files_of_two_organisations(present_world: World, tmp_path: Path) -> None:
    world, told = present_world, list[tuple[int, float, list[float]]]()
    for who in HOLDERS:
        world.active(who, "R")
        with world.app.app_context(), db.engine.begin() as connection:
            many_units(connection, world.organisation_of(who), COUNT // 2)
    for count in (1, 2):
        workers = [Worker(world, tmp_path / f"home-{count}-{number}") for number in range(count)]
        try:
            until(lambda: world.sql("SELECT COUNT(*) FROM procrastinate.procrastinate_workers")[0][0] >= 2 * len(workers), 120)  # noqa: B023
            before = [seconds_of_cpu(worker) for worker in workers]
            world.clock.set(datetime.now(UTC))
            for who in HOLDERS:
                asked(world.client(who), "/unit")
            began = time.monotonic()
            until(lambda: not going(world), 600, workers[0].log.read_text)
            wall = time.monotonic() - began
            used = [seconds_of_cpu(worker) - was for worker, was in zip(workers, before, strict=True)]
        finally:
            for worker in workers:
                worker.kill()
        world.sql("DELETE FROM procrastinate.procrastinate_workers WHERE last_heartbeat < now()")
        told.append((count, wall, used))
        print(f"{count} workers: {COUNT} rows in {wall:.0f} s; CPU of each {', '.join(f'{one:.1f}' for one in used)} s", flush=True)
    assert min(told[1][2]) > 0.25 * max(told[1][2])  # both had a share
