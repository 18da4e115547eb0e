"""A reconciliation that breaks off goes on at the next call, whatever was done; people decide about what is left."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from hsm import HSM
from manifests.status import StatusValue, parse_status
from sifilma.activation.models import ManifestState
from sifilma.activation.trust import ceremonies, keyset, status_list
from sifilma.backup import archive
from sifilma.kernel.actor import Actor
from sifilma.kernel.errors import Conflict, Unavailable
from sifilma.reconciliation import beyond, questions, service
from sifilma.reconciliation.models import OpenQuestion
from sifilma.reconciliation.service import Held
from sifilma.sign_in.authentication import find_actor
from sifilma.web.command import command_context
from sifilma.witness.contract import Witness, WitnessAway
from sifilma.witness.folder import FolderWitness
from sifilma.witness.models import Reconciliation
from tests.support.fsck_findings import fsck_findings
from tests.support.transparency_log import sequence
from tests.support.visitor import Visitor
from tests.support.witness import compared, tell, witnessed
from tests.support.world import World, done

OFFICE = "magetan.kepala"


class BrokenOff(Exception):
    """The command ends here."""


class Weak:
    """A witness that goes away after some appends."""

    def __init__(self, of: Witness, appends: int) -> None:
        self.of, self.left = of, appends

    def count(self) -> int:
        return self.of.count()

    def read(self, number: int) -> bytes:
        return self.of.read(number)

    def append(self, number: int, content: bytes) -> None:
        if not self.left:
            raise WitnessAway("the line is cut")
        self.left -= 1
        self.of.append(number, content)


@pytest.fixture
def restored(sqlite_world: World, tmp_path: Path) -> tuple[World, list[str]]:
    """Return an installation whose older database was brought back, and the UIDs of cards: reported since the backup, issued since then."""
    world = sqlite_world
    with world.context() as ctx:
        ceremonies.record_ceremony(ctx, world.settings, world.trust)
    witnessed(world, tmp_path / "witness")
    ready, _ = world.active(OFFICE, "R")
    later = world.ready(OFFICE, "R")
    sequence(world)
    tell(world)
    run(world, "backup", tmp_path / "one.age", "--recipient", archive.make_key(tmp_path / "key"))
    done(world.client(OFFICE).post("/activations", world.activation(later, later.uids[0])), 201)
    done(world.client(OFFICE).post(f"/cards/{ready.uids[0]}/reports", {"condition": "lost", "note": "hilang"}))
    world.submitted(OFFICE, "R")
    world.anonymous().open("GET", "/status/1.jws")
    sequence(world)
    tell(world)
    world.close()
    run(world, "restore", tmp_path / "one.age", "--identity", tmp_path / "key", "--yes")
    world.beat()
    return world, [ready.uids[0], later.uids[0]]


def run(world: World, *arguments: str | Path) -> None:
    result = world.app.test_cli_runner().invoke(args=[str(one) for one in arguments])
    assert result.exit_code == 0, (result.output, result.exception)


def custodian(world: World) -> Actor:
    with world.context() as ctx:
        actor = find_actor(ctx, world.users["kustodian1"], None)
    assert actor is not None
    return actor


def attempt(world: World, root: HSM, witness: Witness, said: Callable[[str], None]) -> None:
    with world.app.app_context():
        service.reconcile(Held(command_context, world.settings, world.hsm, root, witness, [custodian(world)]), said)


def ends(world: World, told: list[Any]) -> None:
    assert compared(world).state == "sound"
    assert keyset.load(world.settings).epoch >= 2
    states = dict(world.sql("SELECT uid, state FROM card"))
    assert states[told[0]] == "lost"
    assert world.sql("SELECT COUNT(*) FROM token WHERE state = 'issued' AND status_list > 2") == [(1,)]
    listed = parse_status(world.anonymous().open("GET", "/status/1.jws").get_data())[1]
    assert listed.value(0) is StatusValue.REVOKED
    sequence(world)
    tell(world)
    assert fsck_findings(world) == []
    with world.context() as ctx:
        assert [one.step for one in ctx.session.scalars(select(Reconciliation))] == ["done"]


def test_a_reconciliation_that_ends_after_each_of_its_steps_goes_on_at_the_next_call(
    restored: tuple[World, list[str]], root_token: HSM, tmp_path: Path
) -> None:
    world, told = restored
    witness = FolderWitness(tmp_path / "witness")
    steps: list[str] = []

    def say(line: str) -> None:
        steps.append(line.partition(":")[0])
        raise BrokenOff

    for _ in service.STEPS:
        assert compared(world).state == "behind"
        done(world.client(OFFICE).get("/cards"))
        with pytest.raises(BrokenOff):
            attempt(world, root_token, witness, say)
    assert steps == [str(step) for step in service.STEPS] == [str(step) for step in service.ORDER[1:]]
    ends(world, told)
    with pytest.raises(Conflict, match="nothing to reconcile"):
        attempt(world, root_token, witness, steps.append)


def test_a_home_that_lost_its_newest_keyset_gets_it_from_the_witness(
    restored: tuple[World, list[str]], root_token: HSM, tmp_path: Path
) -> None:
    """The home was put back with the database: both are older than what the witness was told."""
    world, _ = restored
    witness = FolderWitness(tmp_path / "witness")
    home = shutil.copytree(world.settings.trust, tmp_path / "older" / "trust").parent
    attempt(world, root_token, witness, lambda _line: None)
    tell(world)
    settings = world.settings.model_copy(update={"home": home})
    with pytest.raises(Unavailable):
        keyset.load(settings)
    beyond.bring_keyset(settings, witness)
    assert keyset.load(settings).file == keyset.load(world.settings).file
    (home / "trust" / keyset.FILE).unlink()
    beyond.bring_keyset(settings, witness)
    assert keyset.load(settings).epoch == 2


def test_a_reconciliation_whose_witness_goes_away_in_the_middle_of_a_step_goes_on(
    restored: tuple[World, list[str]], root_token: HSM, tmp_path: Path
) -> None:
    world, told = restored
    witness = FolderWitness(tmp_path / "witness")
    for appends in count():
        try:
            attempt(world, root_token, Weak(witness, appends), lambda _line: None)
            break
        except WitnessAway:
            assert compared(world).state == "behind"
    assert appends > 2
    ends(world, told)


def test_people_decide_about_what_only_the_witness_knows(restored: tuple[World, list[str]], root_token: HSM, tmp_path: Path) -> None:
    world, told = restored
    attempt(world, root_token, FolderWitness(tmp_path / "witness"), lambda _line: None)
    operator, auditor = Visitor(world, "operator1"), Visitor(world, "auditor1")
    assert "Setelah pemulihan" in operator.text("/")
    assert told[1] in operator.text("/pemulihan")
    with world.context() as ctx:
        asked = list(ctx.session.scalars(select(OpenQuestion)))
        [(manifest, index)] = [(one.id, one.told["index"]) for one in asked if one.kind == "manifest" and one.told["uid"] == told[1]]
        other = next(one.id for one in asked if one.kind != "manifest")
    assert auditor.send(f"/pemulihan/{other}", decision="nothing", note="sudah diperiksa").status_code == 403
    assert operator.send(f"/pemulihan/{other}", decision="revoked", note="sudah diperiksa").status_code == 422
    assert operator.send(f"/pemulihan/{other}", decision="nothing", note="").status_code == 422
    assert operator.send(f"/pemulihan/{other}", decision="nothing", note="sudah diperiksa").status_code == 303
    assert operator.send(f"/pemulihan/{other}", decision="entered", note="sekali lagi").status_code == 409
    before = parse_status(world.anonymous().open("GET", "/status/1.jws").get_data())[1]
    assert before.value(index) is StatusValue.VALID
    assert operator.send(f"/pemulihan/{manifest}", decision="revoked", note="kartu diterbitkan ulang").status_code == 303
    after = parse_status(world.anonymous().open("GET", "/status/1.jws").get_data())[1]
    assert after.value(index) is StatusValue.REVOKED
    assert "kartu diterbitkan ulang" in auditor.text("/pemulihan", putus="1")
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'restore.decide'") == [(2,)]
    sequence(world)
    assert fsck_findings(world) == []


def test_what_was_reserved_and_not_told_before_the_reconciliation_is_told_by_it(
    restored: tuple[World, list[str]], root_token: HSM, tmp_path: Path
) -> None:
    world, _ = restored
    world.sql("UPDATE reserved_number SET reserved = told + 5000 WHERE name = 'papers'")
    assert world.sql("SELECT COUNT(*) FROM reserved_number WHERE reserved > told") != [(0,)]
    attempt(world, root_token, FolderWitness(tmp_path / "witness"), lambda _line: None)
    assert world.sql("SELECT COUNT(*) FROM reserved_number WHERE reserved > told") == [(0,)]


def test_of_each_object_the_newest_act_is_asked_about() -> None:
    card = {"kind": "card", "id": "1", "uid": "A"}
    told = [
        card | {"entry": "a", "state": "suspended"},
        {"kind": "unit", "id": "2", "entry": "b"},
        card | {"entry": "c", "state": "active"},
    ]
    assert list(beyond.papers_of(beyond.Beyond(acts=told))) == [told[2], told[1]]


def test_a_suspension_that_the_witness_alone_told_is_lifted_by_a_decision_and_what_it_revoked_stays_so(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = sqlite_world
    world.active(OFFICE, "R", count=2)
    (one, place), (_, fallen) = world.sql("SELECT id, status_index FROM manifest ORDER BY status_index")
    world.sql(
        f"INSERT INTO status_beyond (status_list, status_index, value) VALUES (1, {place}, 2), (1, {fallen}, 1)"  # numbers
    )
    with world.context() as ctx:
        with monkeypatch.context() as patch:
            patch.setitem(status_list.VALUES, ManifestState.ACTIVE, StatusValue.SUSPENDED)  # as if both were suspended here
            assert status_list._entries(ctx.session, 1) == {place: StatusValue.SUSPENDED, fallen: StatusValue.REVOKED}
        questions._lift(ctx.session, {"id": str(UUID(str(one))), "list": 1, "index": place})
        questions._lift(ctx.session, {"id": str(UUID(str(one))), "list": 1, "index": fallen})
        assert status_list._entries(ctx.session, 1) == {fallen: StatusValue.REVOKED}
        with pytest.raises(Conflict, match="own page"):
            questions._revoke(ctx.session, {"kind": "manifest", "id": str(one), "action": "manifest.revoke_propose"})
