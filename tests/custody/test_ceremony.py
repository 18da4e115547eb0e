"""The key ceremony by its commands: one reviewed file, a rehearsal, two custodians, and a record of every key."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from pydantic import SecretStr

from hsm.keys import SIGNING_PLAN
from sifilma.activation.trust import key_checks
from sifilma.identity.models import AccountState
from tests.support import softhsm
from tests.support.world import World

NAMES = ["--custodian", "kustodian1", "--custodian", "operator1"]


@pytest.fixture
def installation(sqlite_world: World) -> World:
    """Return an installation with the PINs of a ceremony and a second custodian."""
    sqlite_world.configure(hsm_so_pin=SecretStr(softhsm.SO_PIN), root_pin=SecretStr(softhsm.PIN))
    sqlite_world.give_role("operator1", "custodian")
    return sqlite_world


def call(world: World, *args: object, typed: str = "") -> Result:
    return world.app.test_cli_runner().invoke(args=["hsm", "ceremony", *map(str, args)], input=typed)


def planned(world: World, path: Path) -> str:
    """Write the file of a ceremony. Return its SHA-256."""
    told = call(world, "plan", path, *NAMES)
    assert told.exit_code == 0, told.output
    return told.output.split()[-1]


def typed(world: World, sha256: str, *names: str) -> str:
    return "".join(f"{sha256[:12]}\n{world.code(name)}\n" for name in names)


def test_two_custodians_record_the_keys_of_an_installation_that_stands(installation: World, tmp_path: Path) -> None:
    world, path = installation, tmp_path / "ceremony.json"
    known = dict(key_checks.load(world.settings))
    (world.settings.trust / key_checks.FILE).unlink()  # its keys were made before keys were recorded
    sha256 = planned(world, path)
    for wrong, why in (
        ("0" * 12 + "\n", "holds another file"),
        (f"{sha256[:12]}\n000000\n", "Unauthenticated"),
    ):
        refused = call(world, "record", path, typed=wrong)
        assert refused.exit_code == 1
        assert why in f"{refused.exception!r}"
    assert key_checks.load(world.settings) == {}
    done = call(world, "record", path, typed=typed(world, sha256, "kustodian1", "operator1"))
    assert done.exit_code == 0, (done.output, done.exception)
    record = key_checks.load_record(world.settings)
    assert (record.by, record.ceremony, record.keys) == (["kustodian1", "operator1"], sha256, known)
    [(data,)] = world.sql("SELECT data FROM audit_entry WHERE action = 'keys.ceremony'")
    told = json.loads(data)
    assert (told["custodians"], told["ceremony"], len(told["key_checks"])) == (["kustodian1", "operator1"], sha256, len(SIGNING_PLAN))


def test_a_ceremony_is_rehearsed_and_leaves_no_trace(installation: World, tmp_path: Path) -> None:
    world, path = installation, tmp_path / "ceremony.json"
    planned(world, path)
    before = (world.settings.trust / key_checks.FILE).read_bytes(), os.environ["SOFTHSM2_CONF"], world.trust.file
    rehearsed = call(world, "run", path, "--rehearse")
    assert rehearsed.exit_code == 0, (rehearsed.output, rehearsed.exception)
    assert "token sifilma: 8 keys sound" in rehearsed.output
    assert (world.settings.trust / key_checks.FILE).read_bytes() == before[0]
    assert (os.environ["SOFTHSM2_CONF"], (world.settings.trust / "sam-keyset.jws").read_bytes()) == before[1:]
    assert not list(Path(tempfile.gettempdir()).glob("sifilma-rehearsal-*"))
    assert world.hsm.check().ok
    assert json.loads(path.with_name("ceremony.json.rehearsed").read_text())["sha256"]


def test_a_file_that_was_changed_or_not_rehearsed_is_not_run(installation: World, tmp_path: Path) -> None:
    world, path = installation, tmp_path / "ceremony.json"
    told: Any = call(world, "plan", path, "--custodian", "kustodian1", "--custodian", "Kustodian1")
    assert "two different custodians" in str(told.exception)
    planned(world, path)
    assert "exists" in str(call(world, "plan", path, *NAMES).exception)
    path.write_text(path.read_text().replace('"EXTRACTABLE": false', '"EXTRACTABLE": true', 1))
    refused = call(world, "run", path)
    assert "tokens[0].keys[0].attributes.EXTRACTABLE is true, not false" in str(refused.exception)
    world.configure(env="training")
    path.unlink()
    planned(world, path)
    assert "was not rehearsed" in str(call(world, "run", path).exception)
    world.configure(env="production")
    assert "by a ceremony of two custodians" in str(world.app.test_cli_runner().invoke(args=["hsm", "init"]).exception)


def test_a_file_names_custodians_whom_the_database_knows(installation: World, tmp_path: Path) -> None:
    world, path = installation, tmp_path / "ceremony.json"
    for stranger in ("nobody", "penyetuju1"):
        refused = call(world, "plan", path, "--custodian", "kustodian1", "--custodian", stranger)
        assert f"{stranger}: no account of this name has the role of a custodian" in str(refused.exception)
    world.change_account("operator1", state=AccountState.DISABLED)  # planned before, and gone since
    assert "operator1: no account" in str(call(world, "plan", path, *NAMES).exception)
    assert not path.exists()
    world.change_account("operator1", state=AccountState.ACTIVE)
    sha256 = planned(world, path)
    world.change_account("operator1", state=AccountState.DISABLED)
    assert "operator1: no account" in str(call(world, "record", path, typed=typed(world, sha256, "kustodian1")).exception)


def test_a_first_ceremony_is_held_by_the_file_alone_before_a_custodian_has_an_account(installation: World, tmp_path: Path) -> None:
    world, path = installation, tmp_path / "ceremony.json"
    for name in ("kustodian1", "operator1"):
        world.change_account(name, state=AccountState.DISABLED)
    world.configure(home=tmp_path / "new")
    sha256 = planned(world, path)
    done = call(world, "run", path, typed=f"{sha256[:12]}\n{sha256[:12].upper()}\n")
    assert done.exit_code == 0, (done.output, done.exception)
    record = key_checks.load_record(world.settings)
    assert (record.version, len(record.keys), record.by) == (1, len(SIGNING_PLAN), ["kustodian1", "operator1"])
    assert world.app.test_cli_runner().invoke(args=["hsm", "keys"]).exit_code == 0
