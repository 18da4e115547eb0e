"""Each invariant catches a planted fault, on both databases. No planted fault is committed."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, select, text, update

from manifests import jws
from manifests.payload import Manifest as Payload
from sifilma.activation.models import DataKey, Manifest
from sifilma.activation.tokens import sealing
from sifilma.activation.trust import keyset
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.fsck import catalogue
from sifilma.fsck.registry import Invariant, Needs
from sifilma.fsck.run import Installation, examine, guarded
from sifilma.fsck.snapshot import Broken, Snapshot
from sifilma.kernel import triggers
from sifilma.kernel.db import db, make_engine
from sifilma.schema import migrate
from tests.fsck.conftest import installation
from tests.fsck.life import Life
from tests.fsck.plant import Plant
from tests.fsck.plants import PLANTS
from tests.support.world import World

INVARIANTS = {one.name: one for one in catalogue.invariants()}
BY_FILES = {"document-file", "boundary-file"}


@pytest.fixture(scope="module")
def bare(life: Life, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Yield an engine of one connection to the lived-in database; on SQLite to a copy without triggers, which take long to drop."""
    url = life.world.settings.database_url
    if url.startswith("sqlite"):
        copy = tmp_path_factory.mktemp("bare") / "bare.db"
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        url = f"sqlite:///{copy}"
    engine = make_engine(url, pool_size=1)
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            triggers.uninstall(connection)
    yield engine
    engine.dispose()


@contextmanager
def unguarded(engine: Engine, loosen: tuple[str, ...] = ()) -> Iterator[Connection]:
    """Yield a connection on which the database refuses nothing, and roll back at the end. Tables in `loosen` lose their constraints."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            driver: Any = connection.connection.dbapi_connection
            driver.execute("PRAGMA foreign_keys=OFF")
            driver.execute("PRAGMA ignore_check_constraints=ON")
        else:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table in loosen:
            _loosen(connection, table)
        yield connection
        connection.rollback()


def _loosen(connection: Connection, table: str) -> None:
    drop = "DROP TABLE" if connection.dialect.name == "sqlite" else "DROP TABLE IF EXISTS"
    cascade = "" if connection.dialect.name == "sqlite" else " CASCADE"
    for statement in (f"CREATE TABLE loose AS SELECT * FROM {table}", f"{drop} {table}{cascade}", f"ALTER TABLE loose RENAME TO {table}"):
        connection.execute(text(statement))


def plant_fault(connection: Connection, planted: Plant, life: Life) -> None:
    """Run the statements of a planted fault."""
    is_sqlite = connection.dialect.name == "sqlite"
    for statement in planted.sql():
        if statement == "{no triggers}":
            triggers.uninstall(connection)
            continue
        own = statement.replace("{json}", "" if is_sqlite else "::jsonb")
        own = own if is_sqlite else own.replace("CAST('", "convert_to('").replace("' AS BLOB)", "', 'UTF8')")
        connection.execute(text(own.replace("::", "\\:\\:")), {"token": life.token} if ":token" in own else {})


def findings_of(world: World, invariant: Invariant, connection: Connection) -> list[Broken]:
    """Return what one invariant finds on this connection."""
    target = installation(world)
    if invariant.needs is Needs.SNAPSHOT:
        return list(guarded(invariant, Snapshot(connection, world.settings, world.clock.now())))
    outside = replace(target.outside(), reading=lambda: nullcontext(connection))
    return list(invariant.check(outside))  # type: ignore[arg-type]  # `needs` says which of the two it takes


@pytest.mark.parametrize("planted", PLANTS, ids=lambda planted: f"{planted.invariant}: {planted.says}"[:70])
def test_a_planted_fault_is_named(life: Life, bare: Engine, planted: Plant) -> None:
    with unguarded(bare, planted.loosen) as connection:
        plant_fault(connection, planted, life)
        found = findings_of(life.world, INVARIANTS[planted.invariant], connection)
    assert [one for one in found if one.kind == planted.kind and planted.says in one.says], found[:5]
    assert all(life.token not in one.says for one in found)


def test_every_invariant_has_a_planted_fault() -> None:
    assert {planted.invariant for planted in PLANTS} | BY_FILES == set(INVARIANTS)


def forged(world: World, line: bytes) -> bytes:
    """Return a properly signed copy of a manifest with a slightly different place."""
    said = Payload.from_bytes(jws.split(line, jws.MANIFEST_TYPE).payload)
    moved = said.model_copy(update={"loc": said.loc.model_copy(update={"lat_e7": said.loc.lat_e7 + 1})})
    kid = keyset.load(world.settings).kid(world.hsm, "manifest-sign", "manifest")
    return jws.sign(moved.to_bytes(), kid, jws.MANIFEST_TYPE, lambda digest: world.hsm.sign("manifest-sign", digest)).encode()


@pytest.mark.parametrize(
    ("forge", "says"),
    [
        (lambda _world, line: line[:-86] + b"A" * 86, "has a signature that does not verify"),
        (lambda _world, line: line + b"\n", "has a signature that does not verify"),
        (forged, "says another place than its row"),
    ],
)
def test_a_manifest_forged_with_the_sealing_key_is_named(
    life: Life, bare: Engine, forge: Callable[[World, bytes], bytes], says: str
) -> None:
    world = life.world
    with unguarded(bare) as connection:
        row = connection.execute(
            select(Manifest.id, Manifest.sealed_body, DataKey.organisation_id, DataKey.month, DataKey.sealed)
            .join(DataKey, DataKey.id == Manifest.data_key_id)
            .order_by(Manifest.id.desc())  # signed by the key in use
            .limit(1)
        ).one()
        key = world.hsm.run(lambda do: sealing.open_key(do, row.organisation_id, row.month, row.sealed))
        line = forge(world, sealing.open_sealed(key, row.sealed_body, b"manifest", row.id))
        connection.execute(update(Manifest).where(Manifest.id == row.id).values(sealed_body=sealing.seal(key, line, b"manifest", row.id)))
        found = findings_of(world, INVARIANTS["manifest-verifies"], connection)
    assert [one for one in found if one.id == str(row.id) and says in one.says], found


def test_a_missing_or_changed_file_is_named(sqlite_world: World) -> None:
    sqlite_world.submitted()
    target = installation(sqlite_world)
    (document, sha256) = sqlite_world.sql("SELECT id, sha256 FROM document")[0]
    path = sqlite_world.settings.files / sha256[:2] / sha256[2:]
    path.write_bytes(path.read_bytes() + b" ")
    assert says(target, "document-file") == [(str(UUID(document)), "(letter) has a file that is damaged")]
    path.unlink()
    assert says(target, "document-file") == [(str(UUID(document)), "(letter) has a file that is not there")]


def test_a_document_of_another_size_is_named(life: Life, bare: Engine) -> None:
    with unguarded(bare) as connection:
        connection.execute(text("UPDATE document SET size = 1"))
        found = findings_of(life.world, INVARIANTS["document-file"], connection)
    assert found
    assert all("bytes, its row says 1" in one.says for one in found)


def test_a_changed_boundary_layer_is_named(sqlite_world: World) -> None:
    folder, target = sqlite_world.settings.home / "regions", installation(sqlite_world)
    folder.mkdir(parents=True)
    digest = hashlib.sha256(b"layer").hexdigest()
    (folder / "boundaries.json").write_text(json.dumps({"sha256": digest}))
    (folder / f"{digest}.wkb.z").write_bytes(b"layer")
    assert says(target, "boundary-file") == [(digest, "is in force, and is not the layer of the newest import")]
    with sqlite_world.context() as ctx:
        record(ctx, Action.REGIONS_IMPORT, "boundary_layer", digest)
    assert says(target, "boundary-file") == []
    (folder / f"{digest}.wkb.z").write_bytes(b"another")
    assert says(target, "boundary-file") == [(digest, "is in force, and its file is not there or was changed")]


def says(target: Installation, name: str) -> list[tuple[str, str]]:
    return [(finding.broken.id, finding.broken.says) for finding in examine(target, [name]).findings]


def test_the_command_names_what_is_broken_and_exits_1(world: World) -> None:
    ready, _ = world.active()
    with world.app.app_context(), db.engine.begin() as connection:
        triggers.uninstall(connection)
        connection.execute(text("UPDATE card SET state = 'received'"))
    card = str(UUID(str(world.sql("SELECT id FROM card")[0][0])))
    runner = world.app.test_cli_runner()
    told = runner.invoke(args=["fsck", "--only", "state-last-step", "--only", "manifest-card"])
    assert told.exit_code == 1
    lines = told.output.splitlines()
    assert f"card {card} is received; its last step led to active, by another act or not at all [state-last-step]" in lines
    assert any(f"is active, but its card {ready.uids[0]} is received [manifest-card]" in line for line in lines)
    assert lines[-1] == "2 findings against 2 of 2 invariants."
    document = json.loads(runner.invoke(args=["fsck", "--json", "--only", "state-last-step"]).output)
    assert (document["ok"], document["findings"][0]["id"], document["findings"][0]["kind"]) == (False, card, "card")


def test_a_query_the_database_cannot_answer_is_a_finding_and_the_run_continues(life: Life, bare: Engine) -> None:
    with unguarded(bare) as connection:
        connection.execute(text("ALTER TABLE revocation RENAME TO gone"))
        now = Snapshot(connection, life.world.settings, life.world.clock.now())
        found = list(guarded(INVARIANTS["manifest-revoked"], now))
        assert [(one.kind, one.id) for one in found] == [("invariant", "manifest-revoked")]
        assert list(guarded(INVARIANTS["token-once"], now)) == []


def test_a_schema_of_another_version_ends_the_run_with_one_sentence(world: World) -> None:
    world.sql("UPDATE alembic_version SET version_num = '0001'")
    report = examine(installation(world))
    assert [str(finding) for finding in report.findings] == [
        f"schema 0001 is not the code's {migrate.head()}: `sifilma db upgrade` comes first [schema-head]"
    ]
    assert len(report.left_out) == len(INVARIANTS) - 1
    assert [finding.invariant for finding in examine(installation(world), ["token-once"]).findings] == ["schema-head"]
