"""No command works where the server would not start, and none works on the home or the database of another installation."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest
from sqlalchemy.exc import OperationalError

from config.settings import Settings, SettingsError
from hsm import HSM, HSMRefused, KeyPlan
from hsm.keys import ROOT_PLAN
from manifests.keyset import sign_keyset
from sifilma.activation.trust import ceremonies, keyset
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.commands.applications import LOOKS, application_for, require_own
from sifilma.commands.main import cli, main
from sifilma.kernel.installation import claim_home, kind_of, require_home
from tests.config import real_settings as production
from tests.support.softhsm import SoftHSM
from tests.support.world import World

KINDS = ("production", "training", "demo")
WITHOUT = frozenset({("manifest", "verify"), ("demo",), ("doctor",), ("serve",), ("up",)})
"""Commands that make no application, or make it themselves."""
ONLY_LOOK = {
    ("audit", "checkpoint"), ("audit", "export"), ("audit", "verify"), ("clock", "status"),
    ("db", "check"), ("fsck",), ("hsm", "check"), ("hsm", "keys"), ("jobs", "list"),
}  # fmt: skip
"""Written apart from the code's own list: a command that changes something does not come into both by one mistake."""


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))
        else:
            yield (*path, name)


def test_every_command_that_works_is_refused_what_the_server_is_refused(sqlite_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in production.environment(production.REAL | {"hsm_module": "/usr/lib/softhsm/libsofthsm2.so"}).items():
        monkeypatch.setenv(name, value)
    app_commands = click.Group(commands=dict(sqlite_world.app.cli.commands))
    every = {*commands(app_commands), *commands(cli)} - WITHOUT
    assert len(every) > 15
    assert LOOKS == ONLY_LOOK
    for path in every - ONLY_LOOK:
        with pytest.raises(SettingsError, match="SIFILMA_HSM_MODULE is SoftHSM"):
            application_for([*path])
    assert every >= ONLY_LOOK
    for path in ONLY_LOOK:
        assert application_for([*path]).name == "sifilma"


def settings_of(kind: str, home: Path, **more: object) -> Settings:
    return Settings.model_validate({"env": kind, "home": home, **more})


@pytest.mark.parametrize("kind", KINDS)
def test_a_home_is_opened_by_its_own_kind_alone(kind: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    claim_home(settings_of(kind, home))
    assert home.stat().st_mode & 0o077 == 0
    require_home(settings_of(kind, home))
    for other in {*KINDS} - {kind}:
        with pytest.raises(SettingsError, match=f"is the folder of a {kind} installation"):
            claim_home(settings_of(other, home))
    assert kind_of(home) == kind


def test_a_demonstration_of_before_is_known_by_its_accounts(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "accounts.json").write_text("[]")
    with pytest.raises(SettingsError, match="is the folder of a demo installation"):
        claim_home(settings_of("production", tmp_path))


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_is_opened_by_its_own_kind_alone(world: World, kind: str, tmp_path: Path) -> None:
    url = world.settings.database_url
    with world.context() as ctx:
        ceremonies.record_ceremony(ctx, world.settings.model_copy(update={"env": kind}), world.trust)
    require_own(settings_of(kind, tmp_path, database_url=url))
    for other in {*KINDS} - {kind}:
        with pytest.raises(SettingsError, match=f"is the database of a {kind} installation"):
            require_own(settings_of(other, tmp_path, database_url=url))


def test_a_database_of_another_root_is_not_opened(sqlite_world: World, tmp_path: Path) -> None:
    with sqlite_world.context() as ctx:
        ceremonies.record_ceremony(ctx, sqlite_world.settings, sqlite_world.trust)
    require_own(sqlite_world.settings)
    other = sqlite_world.settings.model_copy(update={"home": tmp_path})
    require_own(other)  # a new home has no root yet
    (other.trust / "root.sha256").write_text("0" * 64 + "\n")
    with pytest.raises(SettingsError, match="of another root"):
        require_own(other)


def test_an_older_keyset_than_was_published_here_is_refused_at_the_start_and_while_it_runs(
    sqlite_world: World, tmp_path: Path, root_token: HSM
) -> None:
    world, path = sqlite_world, sqlite_world.settings.trust / keyset.FILE
    older = path.read_bytes()
    newer = world.trust.keyset.model_copy(update={"version": 2})
    path.write_text(sign_keyset(newer, (root_token.public_key("root"), lambda digest: root_token.sign("root", digest))))
    with world.context() as ctx:  # a database from before keysets were stored
        record(ctx, Action.KEYS_CEREMONY, "keyset", "2", root_sha256=world.trust.pin, kind=world.settings.env)
    require_own(world.settings)
    newest = path.read_bytes()
    path.write_bytes(older)  # put back while the service runs
    assert world.app.test_client().get("/.well-known/sam-keyset.jws").status_code == 503
    other = world.settings.model_copy(update={"home": tmp_path / "restored"})  # and where nothing was loaded before
    shutil.copytree(world.settings.trust, other.trust)
    with pytest.raises(SettingsError, match="version 1 of the keyset is older than 2"):
        require_own(other)
    path.write_bytes(newest)
    with world.context() as ctx:
        ceremonies.record_ceremony(ctx, world.settings, keyset.load(world.settings))
    require_own(other)  # now the database has it
    assert (other.trust / keyset.FILE).read_bytes() == newest


def test_a_database_that_is_away_or_empty_says_nothing_and_is_not_made(tmp_path: Path) -> None:
    require_own(settings_of("production", tmp_path, database_url="postgresql://sifilma@127.0.0.1:1/x"))
    require_own(settings_of("training", tmp_path, database_url=f"sqlite:///{tmp_path / 'none.db'}"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("plan", [ROOT_PLAN])
def test_production_opens_no_token_that_calls_itself_softhsm(softhsm: SoftHSM, plan: tuple[KeyPlan, ...]) -> None:
    softhsm.init_token("unreal")
    config = softhsm.config("unreal")
    strict = HSM(replace(config, refused_makers=("softhsm",)))
    with pytest.raises(HSMRefused, match="is no HSM but SoftHSM v2 of SoftHSM project"):
        strict.public_key("root")
    assert strict.info().maker == "SoftHSM project"
    assert HSM(config).labels() == []


def test_a_key_for_backups_is_made_on_a_machine_without_an_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIFILMA_HOME", str(tmp_path / "home"))
    for name in ("SIFILMA_ENV", "SIFILMA_SECRET_KEY", "SIFILMA_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    arguments = ["backup", "--make-key", str(tmp_path / "key")]
    with pytest.raises(SettingsError):
        application_for(["backup", str(tmp_path)])
    made = application_for(arguments).test_cli_runner().invoke(args=arguments)
    assert (made.exit_code, made.output[:4]) == (0, "age1"), made.output
    assert not (tmp_path / "home").exists()


def test_a_busy_database_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def busy(**_: object) -> None:
        raise OperationalError("BEGIN IMMEDIATE", {}, sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr(cli, "main", busy)
    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr().err.startswith("sifilma: The database did not answer (database is locked).")
