"""fsck finds nothing in a sound installation, also while activations run."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from sifilma.accounts.service import NewUser, invite
from sifilma.fsck import catalogue
from sifilma.fsck.registry import Needs
from sifilma.fsck.run import Report, examine
from sifilma.identity.models import IdKind, Organisation
from sifilma.kernel.actor import Role
from sifilma.kernel.clock import ManualClock
from tests.fsck.conftest import installation
from tests.fsck.life import Life
from tests.support import softhsm
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.world import World, done


def findings(report: Report) -> list[str]:
    return [str(finding) for finding in report.findings]


def test_a_lived_in_installation_has_no_finding(life: Life) -> None:
    report = examine(installation(life.world))
    assert findings(report) == []
    assert [one.name for one in report.looked_at if one.needs is Needs.SNAPSHOT]
    assert len(report.looked_at) == len(catalogue.invariants())
    assert report.left_out == []


class Running(ManualClock):
    """A clock that goes on by a millisecond at each look."""

    def now(self) -> datetime:
        self.advance(seconds=0.001)
        return super().now()


def test_an_invitation_stands_whose_entry_was_written_a_moment_after_it(sqlite_world: World) -> None:
    home = sqlite_world.organisation_of("magetan.kepala")
    with sqlite_world.context() as ctx:
        office = ctx.session.get_one(Organisation, home)
        new = NewUser("staf.baru", "Ani Contoh", IdKind.NIP, "199001012015032017", frozenset({Role.STAFF}))
        invite(replace(ctx, clock=Running(ctx.now), watch=None), sqlite_world.settings, office, new)
    assert findings(examine(installation(sqlite_world), only=["authority-acts"])) == []


def test_fsck_writes_nothing(life: Life) -> None:
    tables = ("audit_entry", "history", "published_status_list", "data_key")
    before = [life.world.sql(f"SELECT COUNT(*) FROM {table}") for table in tables]
    examine(installation(life.world))
    assert [life.world.sql(f"SELECT COUNT(*) FROM {table}") for table in tables] == before


def test_the_command_reports_no_finding_and_lists_its_invariants(life: Life) -> None:
    runner = life.world.app.test_cli_runner()
    told = runner.invoke(args=["fsck"])
    assert (told.exit_code, told.output) == (0, f"{len(catalogue.invariants())} invariants hold.\n")
    document = json.loads(runner.invoke(args=["fsck", "--json", "--without-hsm"]).output)
    assert document["ok"] is True
    assert document["left_out"] == [one.name for one in catalogue.invariants() if one.needs is Needs.HSM]
    assert {one["findings"] for one in document["invariants"]} == {0}
    listed = runner.invoke(args=["fsck", "--list"]).output.splitlines()
    assert [line.split()[0] for line in listed] == [one.name for one in catalogue.invariants()]


def test_fsck_finds_nothing_while_activations_run(world: World) -> None:
    ready = world.ready(count=30)
    client, target, finished = world.client("magetan.kepala"), installation(world), threading.Event()

    def activate() -> list[Any]:
        try:
            return [done(client.post("/activations", world.activation(ready, uid)), 201) for uid in ready.uids]
        finally:
            finished.set()

    def look() -> list[Any]:
        runs = []
        while not finished.is_set():
            runs.append(findings(examine(target)))
        return runs

    answers, runs = run_simultaneously([activate, look])
    assert len(answers) == 30
    assert runs
    assert [run for run in runs if run] == []
    assert findings(examine(target)) == []


def test_expired_manifests_are_no_finding(sqlite_world: World) -> None:
    from sifilma.activation import tasks

    sqlite_world.active(count=2)
    sqlite_world.clock.advance(days=365 * 3 + 40)
    with sqlite_world.context() as ctx:
        assert tasks.expire_manifests(ctx) == 2
    assert findings(examine(installation(sqlite_world))) == []


def test_an_unknown_invariant_is_refused_by_name(sqlite_world: World) -> None:
    told = sqlite_world.app.test_cli_runner().invoke(args=["fsck", "--only", "token-twice"])
    assert told.exit_code == 1
    assert "token-twice" in str(told.exception)


def test_the_entry_of_a_key_ceremony_is_no_finding(sqlite_world: World) -> None:
    sqlite_world.configure(hsm_so_pin=SecretStr(softhsm.SO_PIN), root_pin=SecretStr(softhsm.PIN))
    result = sqlite_world.app.test_cli_runner().invoke(args=["hsm", "init"])
    assert result.exit_code == 0, result.output
    assert sqlite_world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'keys.ceremony'") == [(1,)]
    assert findings(examine(installation(sqlite_world))) == []
