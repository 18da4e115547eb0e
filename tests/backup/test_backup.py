"""A backup holds one moment of everything, says when a byte of it was changed, and comes back whole or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from sifilma.activation.trust import ceremonies
from sifilma.backup import archive, service
from sifilma.backup.archive import BackupRefused
from sifilma.kernel.db import normalise_url
from tests.support.transparency_log import sequence
from tests.support.visitor import Visitor
from tests.support.world import World, letter


def run(world: World, *arguments: str | Path) -> Any:
    return world.app.test_cli_runner().invoke(args=[str(one) for one in arguments])


def bytes_of(world: World, request: str) -> list[bytes]:
    """Return a letter, a paper and a manifest, as they are handed out."""
    office = Visitor(world, "magetan.kepala")
    bast, manifest = (UUID(str(world.sql(f"SELECT id FROM {table} ORDER BY id LIMIT 1")[0][0])) for table in ("handover", "manifest"))
    found = [office.get(path) for path in (f"/personalisasi/{request}/berkas/surat", f"/bast/{bast}/dokumen")]
    found.append(world.client("magetan.kepala").post(f"/manifests/{manifest}/download"))
    assert [one.status_code for one in found] == [200] * 3, [one.status_code for one in found]
    return [one.get_data() for one in found]


@pytest.fixture
def lived(world: World) -> tuple[World, str]:
    """Return an installation with a letter, a BAST and a manifest, and the id of the letter's request."""
    request = world.submitted()["id"]
    world.active()
    with world.context() as ctx:
        ceremonies.record_ceremony(ctx, world.settings, world.trust)
    sequence(world)
    world.beat()
    return world, request


def test_what_was_backed_up_comes_back_byte_by_byte_and_a_changed_byte_is_found_before_anything_is_replaced(
    lived: tuple[World, str], tmp_path: Path
) -> None:
    world, request = lived
    before, key = bytes_of(world, request), tmp_path / "key"
    recipient = archive.make_key(key)
    made = run(world, "backup", tmp_path, "--recipient", recipient)
    assert made.exit_code == 0, made.output
    [file] = tmp_path.glob("*.age")
    assert letter()[:200] not in file.read_bytes()
    later = world.submitted()["id"]
    world.close()

    whole = file.read_bytes()
    for at in (30, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        refused = run(world, "restore", file, "--identity", key, "--yes").exception
        assert isinstance(refused, BackupRefused), refused
    file.write_bytes(whole[: len(whole) // 2])
    assert isinstance(run(world, "restore", file, "--identity", key, "--yes").exception, BackupRefused)
    archive.make_key(tmp_path / "other")
    file.write_bytes(whole)
    assert isinstance(run(world, "restore", file, "--identity", tmp_path / "other", "--yes").exception, BackupRefused)
    assert world.sql("SELECT COUNT(*) FROM personalisation_request WHERE state = 'submitted'") == [(2,)]
    world.close()

    with in_use(world):
        assert "in use" in str(run(world, "restore", file, "--identity", key, "--yes").exception)
    assert world.sql("SELECT COUNT(*) FROM personalisation_request WHERE state = 'submitted'") == [(2,)]
    world.close()

    done = run(world, "restore", file, "--identity", key, "--yes")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "what there was:" in done.output
    assert bytes_of(world, request) == before
    assert Visitor(world, "magetan.kepala").get(f"/personalisasi/{later}").status_code == 404
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'backup.restore'") == [(1,)]
    assert not list(world.settings.home.glob(".backup-*"))


def in_use(world: World) -> Any:
    """Return a process that has the database open, as a server has."""
    url = normalise_url(world.settings.database_url)
    if url.get_backend_name() == "postgresql":
        return psycopg.connect(world.settings.database_url)
    code = f"import sys; file = open({url.database!r}, 'rb'); print(flush=True); sys.stdin.read()"
    running = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert running.stdout is not None
    running.stdout.readline()
    return running


def test_a_drill_brings_a_backup_back_beside_what_there_is_and_monitoring_hears_of_it(world: World, tmp_path: Path) -> None:
    world.submitted()
    sequence(world)
    world.beat()
    recipient = archive.make_key(tmp_path / "key")
    assert json.loads(run(world, "backup", "--check").output.partition("Error")[0])["wrong"] == [
        "no backup within 26 hours",
        "no drill within 92 days",
    ]
    assert run(world, "backup", tmp_path / "one.age", "--recipient", recipient).exit_code == 0
    drilled = run(world, "restore", tmp_path / "one.age", "--identity", tmp_path / "key", "--drill")
    assert drilled.exit_code == 0, (drilled.output, drilled.exception)
    checked = run(world, "backup", "--check", tmp_path)
    told = json.loads(checked.output)
    assert (checked.exit_code, told["wrong"], told["backup"]["size"]) == (0, [], (tmp_path / "one.age").stat().st_size)
    (tmp_path / "one.age").write_bytes(b"")
    assert "does not hold it" in run(world, "backup", "--check", tmp_path).output
    world.clock.advance(hours=27)
    assert run(world, "backup", "--check").exit_code == 1


def test_what_killed_commands_left_goes_with_the_next_one_and_what_another_works_on_stays(world: World, tmp_path: Path) -> None:
    sequence(world)
    world.beat()
    recipient = archive.make_key(tmp_path / "key")
    left, used = (world.settings.home / f".backup-{name}" for name in ("left", "used"))
    for folder in (left, used):
        folder.mkdir()
        (folder / "database.dump").write_bytes(b"half")
    with service.locked(used) as is_mine:
        assert is_mine
        assert run(world, "backup", tmp_path / "one.age", "--recipient", recipient).exit_code == 0
        assert (left.exists(), used.exists()) == (False, True)
    url = normalise_url(world.settings.database_url)
    if url.get_backend_name() == "sqlite":
        return
    names = [f"{url.database}_{end}" for end in ("new_20261130080000", "drill_7", "new_20261130090000", "new_of_mine")]
    with psycopg.connect(host=str(url.query["host"]), user=url.username, dbname="postgres", autocommit=True) as keeper:
        for name in names:
            keeper.execute(f'CREATE DATABASE "{name}" TEMPLATE template0'.encode())
        keeper.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (names[2],))
        drilled = run(world, "restore", tmp_path / "one.age", "--identity", tmp_path / "key", "--drill")
        assert drilled.exit_code == 0, (drilled.output, drilled.exception)
        there = keeper.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{url.database}%",)).fetchall()
        assert {name for (name,) in there} == {url.database, *names[2:]}
        for name in names[2:]:
            keeper.execute(f'DROP DATABASE "{name}"'.encode())


def test_a_backup_of_another_installation_or_without_anybody_to_open_it_is_refused(sqlite_world: World, tmp_path: Path) -> None:
    world, key = sqlite_world, tmp_path / "key"
    with pytest.raises(BackupRefused, match="Nobody could open"):
        service.make(world.settings, tmp_path, (), world.clock.now())
    with pytest.raises(BackupRefused, match="no public key"):
        service.make(world.settings, tmp_path, ("age1nobody",), world.clock.now())
    recipient = archive.make_key(key)
    with pytest.raises(BackupRefused, match="cannot be written"):
        archive.make_key(key)
    path, _ = service.make(world.settings, tmp_path, (recipient,), world.clock.now())
    with pytest.raises(BackupRefused, match="there already"):
        service.make(world.settings, path, (recipient,), world.clock.now())
    keys = archive.identities_in(key)
    forged = tmp_path / "forged.age"  # whoever knows the public key can make a file that opens
    archive.write(forged, archive.recipients_of([recipient]), b"another key", [("database.sqlite", [b"x"])], {"form": 1, "kind": "test"})
    with pytest.raises(BackupRefused, match="not made by this installation"):
        service.restore(world.settings, forged, keys, world.clock.now(), lambda _: None)
    with pytest.raises(BackupRefused, match="is of a test installation"):
        service.restore(world.settings.model_copy(update={"env": "training"}), path, keys, world.clock.now(), lambda _: None)


def test_a_database_that_is_damaged_or_gone_is_replaced(sqlite_world: World, tmp_path: Path) -> None:
    world, key = sqlite_world, tmp_path / "key"
    path, _ = service.make(world.settings, tmp_path, (archive.make_key(key),), world.clock.now())
    users = world.sql("SELECT username FROM user_account ORDER BY username")
    database = Path(str(normalise_url(world.settings.database_url).database))
    for harm in (lambda: database.write_bytes(b"no database" * 1000), database.unlink):
        world.close()
        harm()
        world.clock.advance(seconds=1)
        service.restore(world.settings, path, archive.identities_in(key), world.clock.now(), lambda _: None)
        assert world.sql("SELECT username FROM user_account ORDER BY username") == users


def test_a_backup_that_breaks_off_leaves_no_file_and_says_why(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 5_000_000
        raise BackupRefused("pg_dump failed")

    keys = archive.recipients_of([archive.make_key(tmp_path / "key")])
    with pytest.raises(BackupRefused, match="pg_dump failed"):
        archive.write(tmp_path / "broken.age", keys, b"k", [("database.dump", pieces())], {})
    with pytest.raises(BackupRefused, match="could not be written"):
        archive.write(tmp_path / "no" / "folder.age", keys, b"k", [], {})
    assert [one.name for one in tmp_path.iterdir()] == ["key"]
