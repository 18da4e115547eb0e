"""The witness hears within a round of the worker what happened, in the order of the record, and lists before they are served."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

from manifests.status import StatusValue, parse_status
from sifilma.activation.trust import told
from sifilma.audit.models import LogLeaf
from sifilma.witness import statements
from sifilma.witness.folder import FolderWitness
from sifilma.witness.statements import Kind
from tests.notifications.receivers import mail_server
from tests.support.transparency_log import sequence
from tests.support.witness import compared, tell, witnessed
from tests.support.world import World, done


def told_to(world: World, witness: FolderWitness) -> list[statements.Statement]:
    """Return every statement, verified as a chain."""
    previous, found = "", []
    for number in range(1, witness.count() + 1):
        content = witness.read(number)
        found.append(told.judge(world.settings, content, number, previous))
        previous = statements.digest(content)
    return found


def items(found: list[statements.Statement], kind: Kind) -> list[dict[str, Any]]:
    return [item for one in found if one.kind == kind for item in one.told["items"]]


def test_what_is_made_and_what_ends_is_told_in_the_order_of_the_record(world: World, tmp_path: Path) -> None:
    witness = witnessed(world, tmp_path / "witness")
    ready, _ = world.active(count=2)
    tell(world)
    made = items(told_to(world, witness), Kind.MADE)
    manifests = [one for one in made if one["kind"] == "manifest" and "index" in one]
    assert {one["uid"] for one in manifests} == set(ready.uids)
    assert {"card", "handover", "personalisation_request", "activation_request"} <= {one["kind"] for one in made}
    entries = [one["entry"] for one in made if "action" in one]
    assert entries == [str(id_) for id_ in in_order(world) if str(id_) in set(entries)]

    done(world.client("magetan.kepala").post(f"/cards/{ready.uids[0]}/reports", {"condition": "lost", "note": "hilang"}))
    tell(world)
    ended = items(told_to(world, witness), Kind.REVOKED)
    assert {(one["kind"], one["state"]) for one in ended} >= {("card", "lost"), ("manifest", "revoked")}
    served = world.anonymous().open("GET", "/status/1.jws").get_data()
    [*_, listed] = [one for one in told_to(world, witness) if one.kind == Kind.STATUS_LIST]
    assert listed.told["jws"].encode() == served  # the witness had it before anybody else
    [index] = [one["index"] for one in manifests if one["uid"] == ready.uids[0]]
    assert parse_status(served)[1].value(index) is StatusValue.REVOKED
    sequence(world)
    tell(world)
    found = told_to(world, witness)
    assert [one.told["version"] for one in found if one.kind == Kind.KEYSET] == [1]
    assert [one for one in found if one.kind == Kind.CHECKPOINT]
    assert compared(world).state == "sound"


def in_order(world: World) -> list[UUID]:
    with world.context() as ctx:
        return list(ctx.session.scalars(select(LogLeaf.entry_id).order_by(LogLeaf.seq)))


def test_a_list_that_the_witness_does_not_know_is_served_when_the_former_one_is_past_half_its_life(
    sqlite_world: World, tmp_path: Path
) -> None:
    world, folder = sqlite_world, tmp_path / "witness"
    witnessed(world, folder)
    ready, _ = world.active()
    before = world.anonymous().open("GET", "/status/1.jws").get_data()
    folder.rename(tmp_path / "away")
    done(world.client("magetan.kepala").post(f"/cards/{ready.uids[0]}/reports", {"condition": "lost", "note": "hilang"}))
    assert world.anonymous().open("GET", "/status/1.jws").get_data() == before
    world.clock.advance(hours=world.settings.status_list_hours / 2 + 0.1)
    world.beat()
    after = world.anonymous().open("GET", "/status/1.jws").get_data()
    assert parse_status(after)[1].seq > parse_status(before)[1].seq
    (tmp_path / "away").rename(folder)
    told._away_until.clear()
    tell(world)
    told_lists = [one.told["jws"].encode() for one in told_to(world, FolderWitness(folder)) if one.kind == Kind.STATUS_LIST]
    assert after in told_lists


def test_a_statement_that_was_written_and_not_noted_is_told_once(sqlite_world: World, tmp_path: Path) -> None:
    """The worker ends between telling and noting it."""
    world = sqlite_world
    witness = witnessed(world, tmp_path / "witness")
    world.submitted()
    tell(world)
    count = witness.count()
    content = witness.read(count)
    world.sql("UPDATE witness_statement SET told_at = NULL, content = :content WHERE number = :number", content=content, number=count)
    assert compared(world).state == "sound"
    tell(world)
    assert witness.count() == count
    assert world.sql("SELECT COUNT(*) FROM witness_statement WHERE told_at IS NULL") == [(0,)]


def test_a_mailbox_is_told_of_a_list_at_once_and_asked_nothing(sqlite_world: World) -> None:
    world = sqlite_world
    with mail_server() as server:
        mail = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_from": "s@contoh.example", "smtp_security": "none"}
        world.configure(witness="mailto:saksi@contoh.example", **mail)
        tell(world)
        ready, _ = world.active()
        before = parse_status(world.anonymous().open("GET", "/status/1.jws").get_data())[1]
        done(world.client("magetan.kepala").post(f"/cards/{ready.uids[0]}/reports", {"condition": "lost", "note": "hilang"}))
        after = parse_status(world.anonymous().open("GET", "/status/1.jws").get_data())[1]
        assert after.seq > before.seq
        assert after.entries()
        assert world.sql("SELECT COUNT(*) FROM witness_statement WHERE told_at IS NULL") == [(0,)]
        assert len(server.items) == world.sql("SELECT COUNT(*) FROM witness_statement")[0][0]


def test_reading_a_manifest_is_told_to_nobody(sqlite_world: World, tmp_path: Path) -> None:
    world = sqlite_world
    witness = witnessed(world, tmp_path / "witness")
    world.active()
    [manifest, *_] = world.client("magetan.kepala").get("/manifests").json["items"]
    sequence(world)
    tell(world)
    count = witness.count()
    assert world.client("magetan.kepala").post(f"/manifests/{manifest['id']}/download").status_code == 200
    sequence(world)
    tell(world)
    later = [statements.claim(witness.read(number)) for number in range(count + 1, witness.count() + 1)]
    assert items(later, Kind.MADE) == []
