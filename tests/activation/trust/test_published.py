"""The published trust state lies in the database: a node's folder is a copy that can be thrown away, and takes nothing that is forged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from hsm import HSM
from manifests.keyset import Jwk, sign_keyset
from sifilma.activation.trust import ceremonies, key_checks, keyset, published
from sifilma.activation.trust.models import PublishedTrust
from sifilma.app.command_groups import upgrade_database
from sifilma.kernel import triggers
from sifilma.kernel.db import make_engine
from sifilma.schema import migrate
from tests.schema.earlier import back_to_0047, files_to_folder
from tests.support.transparency_log import sequence
from tests.support.visitor import Visitor
from tests.support.world import World, done, letter

PUBLIC = ("sam-keyset.jws", "jwks.json", "sam-root.crt", "sam-audit-sign.crt")


def shown(world: World) -> list[bytes]:
    client = world.app.test_client()
    return [client.get(f"/.well-known/{name}").get_data() for name in PUBLIC]


def recorded(world: World) -> None:
    with world.context() as ctx:
        ceremonies.record_ceremony(ctx, world.settings, world.trust)


def test_whatever_a_node_holds_can_be_thrown_away(world: World) -> None:
    request = world.submitted()["id"]
    office = Visitor(world, "magetan.kepala")
    world.active()
    recorded(world)
    sequence(world)
    listed = world.app.test_client().get("/status/1.jws").get_data()
    before, keys = shown(world), key_checks.load(world.settings)
    assert office.get(f"/personalisasi/{request}/berkas/surat").get_data() == letter()
    for folder in ("trust", "cache", "files"):
        shutil.rmtree(world.settings.home / folder, ignore_errors=True)
    assert shown(world) == before
    assert world.app.test_client().get("/status/1.jws").get_data() == listed
    assert key_checks.load(world.settings) == keys
    assert office.get(f"/personalisasi/{request}/berkas/surat").get_data() == letter()
    world.active()  # and everything goes on
    world.clock.advance(minutes=2)
    sequence(world)


def test_a_keyset_of_another_node_is_taken_over_and_a_forged_or_an_older_one_is_not(
    sqlite_world: World, root_token: HSM, signing_token: HSM
) -> None:
    world, path = sqlite_world, sqlite_world.settings.trust / keyset.FILE
    recorded(world)
    first = path.read_bytes()
    newer = world.trust.keyset.model_copy(update={"version": 2})
    second = sign_keyset(newer, (root_token.public_key("root"), lambda digest: root_token.sign("root", digest))).encode()
    other = signing_token.public_key("audit-sign")
    forged = newer.model_copy(update={"version": 3, "root": Jwk.of(other)})
    third = sign_keyset(forged, (other, lambda digest: signing_token.sign("audit-sign", digest))).encode()
    for seq, data, counts in ((2, second, second), (3, third, second), (4, first, second)):
        with world.context() as ctx:
            ctx.session.add(PublishedTrust(name=keyset.FILE, seq=seq, data=data, at=ctx.now))
            ctx.session.flush()
            published.fill(ctx.session, world.settings)
        assert path.read_bytes() == counts
    assert keyset.load(world.settings).keyset.version == 2
    with pytest.raises(DBAPIError, match="what was recorded does not change"):
        world.sql("UPDATE published_trust SET data = ''")


def test_an_upgrade_brings_the_folders_of_an_installation_into_its_database(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    request = world.submitted()["id"]
    recorded(world)
    engine = make_engine(world.settings.database_url, pool_size=1)
    with engine.begin() as connection:
        triggers.uninstall(connection)
        files_to_folder(connection, world.settings.files)
        back_to_0047(connection)
    engine.dispose()
    [file] = [path for path in world.settings.files.rglob("*") if path.is_file()]
    away = file.rename(world.settings.home / "elsewhere")
    upgrade_database(world.settings, world.clock)
    told = capsys.readouterr()
    assert f"document letter letter.pdf: its file {file.parent.name}/{file.name} is not in" in told.err
    runner = world.app.test_cli_runner()
    assert runner.invoke(args=["db", "files"]).exit_code == 1
    away.rename(file)
    done_ = runner.invoke(args=["db", "files"])
    assert (done_.exit_code, "1 files of" in done_.output) == (0, True)
    assert migrate.check(world.settings.database_url).ok
    before = shown(world)
    for folder in ("trust", "cache", "files"):
        shutil.rmtree(world.settings.home / folder, ignore_errors=True)
    assert Visitor(world, "magetan.kepala").get(f"/personalisasi/{request}/berkas/surat").get_data() == letter()
    assert shown(world) == before
    done(world.client("operator1").get(f"/personalisation-requests/{request}"))


def test_a_folder_of_another_root_is_not_stored(sqlite_world: World, tmp_path: Path) -> None:
    world = sqlite_world
    recorded(world)
    other = world.settings.model_copy(update={"home": tmp_path / "other"})
    shutil.copytree(world.settings.trust, other.trust)
    (other.trust / published.PIN).write_text("0" * 64 + "\n")
    (other.trust / published.ROOT).unlink()
    with world.context() as ctx:
        assert published.keep(ctx.session, other, ctx.now) == 0
        assert published.fill(ctx.session, other) == 0
    assert not (other.trust / published.ROOT).exists()
