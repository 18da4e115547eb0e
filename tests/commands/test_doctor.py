"""`sifilma doctor` names what is wrong, says nothing is wrong where nothing is, works when parts are down, and tells no secret."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from hsm.keys import SIGNING_PLAN
from sifilma.activation.trust import key_checks
from sifilma.app.audit_commands import keep_log
from sifilma.commands import doctor
from sifilma.commands.doctor_checks import time_outs
from sifilma.commands.doctor_lines import Level
from sifilma.kernel.db import STATEMENT_TIMEOUT_MS
from tests.config import real_settings as production
from tests.support.programs import ROOT, softhsm_module
from tests.support.servers import environment, free_port
from tests.support.softhsm import SoftHSM
from tests.support.world import World

Examine = Callable[..., dict[str, list[str]]]
SECRET = "kata-sandi-basis-data-7731"


@pytest.fixture
def examine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Examine:
    """What the doctor says of a world with these variables: texts by `LEVEL group`."""

    def run(world: World, **variables: str) -> dict[str, list[str]]:
        for name in Settings.model_fields:
            monkeypatch.delenv(f"SIFILMA_{name.upper()}", raising=False)
        for name, value in (environment(world) | variables).items():
            monkeypatch.setenv(name, value)
        world.settings.home.chmod(0o700)
        sound = doctor.examine(as_json=True, strict=False)
        told = capsys.readouterr()
        document = json.loads(told.out)
        for value in variables.values():
            assert SECRET not in told.out + told.err, value
        found: dict[str, list[str]] = {}
        for line in document["lines"]:
            found.setdefault(f"{line['level']} {line['group']}", []).append(line["text"])
        assert sound is document["ok"] is not any(name.startswith("FAIL") for name in found)
        return found

    return run


def failed(found: dict[str, list[str]]) -> set[str]:
    return {name.removeprefix("FAIL ") for name in found if name.startswith("FAIL")}


def test_nothing_fails_where_nothing_is_wrong(world: World, examine: Examine) -> None:
    world.personalised()
    with world.app.app_context():
        keep_log(now=True)
    found = examine(world)
    assert failed(found) == set(), found
    assert "gives the key check value" in found["OK key check"][0]
    if "postgresql" in world.settings.database_url:
        assert f"statement_timeout is {STATEMENT_TIMEOUT_MS // 1000}s" in found["OK database"][1]


def test_a_database_that_is_away_does_not_keep_the_rest_from_being_looked_at(sqlite_world: World, examine: Examine) -> None:
    found = examine(sqlite_world, SIFILMA_DATABASE_URL=f"postgresql://sifilma:{SECRET}@127.0.0.1:{free_port()}/x")
    assert failed(found) == {"database"}
    assert "does not answer" in found["FAIL database"][0]
    assert found["WARN schema"] == ["Not looked at: database failed."]
    assert "A signature verifies, and no key is another one than was recorded." in found["OK hsm"]


def test_an_address_that_is_none_does_not_keep_the_rest_from_being_looked_at(sqlite_world: World, examine: Examine) -> None:
    found = examine(sqlite_world, SIFILMA_DATABASE_URL=f"nonsense {SECRET}", SIFILMA_THREADS="many")
    assert failed(found) == {"application", "settings"}
    assert "SIFILMA_THREADS cannot be used" in found["FAIL settings"][0]
    assert "OK home" in found or "WARN home" in found


def test_time_outs_that_a_pooler_dropped_are_named() -> None:
    assert "statement_timeout is 0, not 8s, lock_timeout is 0, not 3s" in time_outs("0", "0").text
    assert (time_outs("8s", "0").level, time_outs("8s", "3s").level) == (Level.FAIL, Level.OK)


def test_a_token_that_is_away_is_named(sqlite_world: World, examine: Examine, softhsm: SoftHSM) -> None:
    sqlite_world.hsm.close()
    with softhsm.away():
        found = examine(sqlite_world)
    assert "hsm" in failed(found)
    assert found["WARN vouching"] == ["Not looked at: hsm failed."]
    assert "OK trust" in found


def test_a_token_with_other_keys_is_named_before_anything_is_signed_with_it(
    sqlite_world: World, examine: Examine, softhsm: SoftHSM
) -> None:
    sqlite_world.personalised()
    softhsm.token("doctor-other", SIGNING_PLAN)
    found = examine(sqlite_world, SIFILMA_HSM_TOKEN="doctor-other")
    assert "another key than that of the ceremony" in found["FAIL hsm"][0]
    (sqlite_world.settings.trust / key_checks.FILE).unlink()  # of an installation that has not recorded its keys yet
    found = examine(sqlite_world, SIFILMA_HSM_TOKEN="doctor-other")
    assert "No check value of a secret key is recorded" in found["WARN hsm"][0]
    assert {"key check", "vouching"} <= failed(found)
    assert "sam-master-v1 is not the key" in found["FAIL key check"][0]


def test_a_missing_keyset_and_a_lagging_worker_are_named(sqlite_world: World, examine: Examine) -> None:
    sqlite_world.personalised()
    shutil.rmtree(sqlite_world.settings.trust)
    found = examine(sqlite_world)
    assert failed(found) == {"trust", "worker"}


def test_the_file_of_breached_passwords_is_looked_at(sqlite_world: World, examine: Examine, tmp_path: Path) -> None:
    path = tmp_path / "breached.txt"
    path.write_text("\n".join(sorted(secrets.token_hex(20) for _ in range(500))))
    assert "is searched for a new password within" in examine(sqlite_world, SIFILMA_BREACHED_PASSWORDS=str(path))["OK passwords"][0]
    path.write_text("\n".join(path.read_text().splitlines()[:300]))
    found = examine(sqlite_world, SIFILMA_BREACHED_PASSWORDS=str(path))
    assert "SIFILMA_BREACHED_PASSWORDS names a file that is not whole" in found["FAIL settings"][0]


def test_the_end_of_the_file_of_holidays_is_told(sqlite_world: World, examine: Examine, tmp_path: Path) -> None:
    assert "is not set" in examine(sqlite_world)["WARN holidays"][0]
    path = tmp_path / "libur.csv"
    for day, told in (("2199-12-25", "OK"), ("2020-12-25", "WARN")):
        path.write_text(f"{day},Hari Raya Natal\n")
        assert day in examine(sqlite_world, SIFILMA_HOLIDAYS_FILE=str(path))[f"{told} holidays"][0]
    path.write_text("Natal\n")
    assert "has in line 1 not a date and a name" in examine(sqlite_world, SIFILMA_HOLIDAYS_FILE=str(path))["FAIL settings"][0]


def test_secrets_that_others_can_read_are_named(sqlite_world: World, examine: Examine, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    (folder / "sifilma_metrics_token").write_text("p7-Kd93_mQz51xVt\n")
    (folder / "sifilma_metrics_token").chmod(0o640)
    found = examine(sqlite_world, SIFILMA_SECRETS_DIR=str(folder))
    assert "mode 0640" in found["FAIL files"][0]
    (folder / "sifilma_metrics_token").chmod(0o600)
    assert "FAIL files" not in examine(sqlite_world, SIFILMA_SECRETS_DIR=str(folder))


def test_a_database_without_tables_and_a_changed_one_are_named(sqlite_world: World, examine: Examine, tmp_path: Path) -> None:
    assert failed(examine(sqlite_world, SIFILMA_DATABASE_URL=f"sqlite:///{tmp_path / 'none.db'}")) == {"database"}
    assert not (tmp_path / "none.db").exists()
    sqlite_world.sql("DROP INDEX ix_audit_entry_user_id")
    found = examine(sqlite_world)
    assert "1 tables, indexes or triggers" in found["FAIL schema"][0]


def test_the_server_of_messages_is_asked(sqlite_world: World, examine: Examine) -> None:
    found = examine(sqlite_world, SIFILMA_SMTP_HOST="127.0.0.1", SIFILMA_SMTP_PORT=str(free_port()))
    assert failed(found) & {"messages"} == {"messages"}


def test_maps_without_their_base_are_told(sqlite_world: World, examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "WARN files" not in examine(sqlite_world)
    monkeypatch.setattr("sifilma.regions.prepared.find", lambda _name: None)
    assert "python -m sifilma.regions" in examine(sqlite_world)["WARN files"][0]


def test_a_misspelt_variable_is_named(sqlite_world: World, examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIFILMA_TRUSTED_PROXY", "1")
    assert "do you mean SIFILMA_TRUSTED_PROXIES?" in examine(sqlite_world)["WARN settings"][0]


def test_strict_takes_what_is_to_be_looked_at_for_a_failure(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(sqlite_world).items():
        monkeypatch.setenv(name, value)
    sqlite_world.settings.home.chmod(0o700)
    with sqlite_world.app.app_context():
        keep_log(now=True)
    assert doctor.examine(as_json=False, strict=False)
    assert not doctor.examine(as_json=False, strict=True)
    assert "0 failed" in capsys.readouterr().out


def test_production_names_a_software_token_whatever_its_library_is_called(
    postgresql_world: World, softhsm: SoftHSM, tmp_path: Path
) -> None:
    """In a process of its own: a second library of the same make cannot be loaded beside the first."""
    other = tmp_path / "libvendor.so"
    shutil.copy(softhsm_module(), other)
    home = tmp_path / "real-home"
    home.mkdir(mode=0o700)
    pin = production.REAL["hsm_pin"].get_secret_value()
    softhsm.init_token("hidden", pin)
    settings: dict[str, Any] = production.REAL | {
        "home": home,
        "database_url": postgresql_world.settings.database_url,
        "hsm_module": other,
        "hsm_token": "hidden",
    }
    settings.pop("hsm_token_serial")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIFILMA_")}
    command = [sys.executable, "-m", "sifilma", "doctor"]
    done = subprocess.run(
        command, cwd=ROOT, env=kept | production.environment(settings), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert not [line for line in lines if line.startswith("FAIL  settings")], done.stdout
    assert [line for line in lines if line.startswith("FAIL  hsm") and "HSMRefused" in line and "SoftHSM v2" in line], done.stdout
    for secret in (pin, production.REAL["secret_key"].get_secret_value()):
        assert secret not in done.stdout + done.stderr
