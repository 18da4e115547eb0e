"""A database compares itself with its witness: one that knows less gives nothing out, and another witness than before is an alarm."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sifilma.witness import standing, statements
from sifilma.witness.folder import FolderWitness
from sifilma.witness.statements import Kind, Statement
from tests.support.witness import compared, otherwise_signed, started_anew, tell, witnessed
from tests.support.world import World, done


def test_a_database_that_knows_less_than_the_witness_issues_nothing_and_goes_on_reading(world: World, tmp_path: Path) -> None:
    witness = witnessed(world, tmp_path / "witness")
    ready, _ = world.active()
    made = world.personalised()
    world.anonymous().open("GET", "/status/1.jws")  # published while all was well: nothing is signed by what is behind
    tell(world)
    assert compared(world).state == "sound"
    count = witness.count()
    beyond = Statement(count + 1, 1, world.settings.issuer, Kind.RESERVED, statements.digest(witness.read(count)), {"name": "x", "end": 1})
    witness.append(count + 1, signed(world, beyond))  # what the database of before wrote, and this one does not know
    found = compared(world)
    assert (found.state, found.told, found.own) == ("behind", count + 1, count)
    office = world.client("magetan.kepala")
    for client, path, body in (
        (office, "/activations", world.activation(ready, ready.uids[0])),
        (world.client("operator1"), "/handovers", {"to": str(world.organisation_of("magetan.kepala")), "cards": made}),
    ):
        refused = client.post(path, body)
        assert (refused.status_code, refused.json["type"].rpartition(":")[2]) == (503, "behind-witness"), refused.json
    assert done(office.get(f"/cards/{ready.uids[0]}"))["state"] == "active"
    assert world.anonymous().open("GET", "/status/1.jws").status_code == 200
    (tmp_path / "witness").rename(tmp_path / "away")
    assert compared(world).state == "behind"  # what is behind stays behind while it cannot be asked
    (tmp_path / "away").rename(tmp_path / "witness")
    started_anew(world)
    assert office.post("/activations", world.activation(ready, ready.uids[0])).status_code == 503


def signed(world: World, said: Statement, label: str = "audit-sign") -> bytes:
    kid = world.trust.kid(world.hsm, label, "audit" if label == "audit-sign" else "document")
    return statements.sign(said, kid, lambda digest: world.hsm.sign(label, digest))


def test_an_older_and_a_forged_witness_are_noticed_and_get_nothing(sqlite_world: World, tmp_path: Path) -> None:
    world, folder = sqlite_world, tmp_path / "witness"
    witness = witnessed(world, folder)
    shutil.copytree(folder, tmp_path / "old")
    world.active()
    tell(world)
    count = witness.count()
    newest = witness._path(count)
    kept = newest.read_bytes()

    newest.unlink()  # an older row
    assert compared(world).state == "older"
    world.submitted()
    tell(world)
    assert witness.count() == count - 1  # nothing is told to it
    newest.write_bytes(signed(world, Statement(count, 1, "x", Kind.RESERVED, "", {}), "document-sign"))
    assert compared(world).state == "forged"
    newest.write_bytes(otherwise_signed(kept))
    assert compared(world).state == "forged"
    newest.write_bytes(kept)
    assert compared(world).state == "sound"
    forged = signed(world, Statement(count + 1, 1, "x", Kind.RESERVED, statements.digest(kept), {}), "document-sign")
    witness.append(count + 1, forged)
    assert compared(world).state == "forged"
    done(world.client("magetan.kepala").get("/cards"))
    witness._path(count + 1).unlink()
    another = signed(world, Statement(count, 1, world.settings.issuer, Kind.RESERVED, statements.digest(witness.read(count - 1)), {}))
    newest.write_bytes(another)  # signed by this installation, and not what this database wrote: it was another database
    assert compared(world).state == "behind"
    newest.write_bytes(kept)
    started_anew(world)
    assert compared(world).state == "sound"
    shutil.rmtree(folder)
    (tmp_path / "old").rename(folder)
    assert compared(world).state == "older"


def test_an_empty_folder_in_the_place_of_the_witness_is_an_older_one(sqlite_world: World, tmp_path: Path) -> None:
    witnessed(sqlite_world, tmp_path / "witness")
    (tmp_path / "empty").mkdir()
    sqlite_world.configure(witness=str(tmp_path / "empty"))
    assert compared(sqlite_world).state == "older"
    tell(sqlite_world)
    assert FolderWitness(tmp_path / "empty").count() == 0


@pytest.fixture
def informed(sqlite_world: World, tmp_path: Path) -> FolderWitness:
    """Return the witness of an installation that has told it everything."""
    witness = witnessed(sqlite_world, tmp_path / "witness")
    sqlite_world.active()
    tell(sqlite_world)
    assert compared(sqlite_world).state == "sound"
    return witness


def test_a_witness_that_lost_a_statement_amid_its_row_is_no_witness_and_ends_nothing(
    sqlite_world: World, informed: FolderWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, witness = sqlite_world, informed
    count = witness.count()
    witness._path(count).unlink()
    monkeypatch.setattr(FolderWitness, "count", lambda _self: count)
    assert compared(world).state == "forged"


def test_whoever_comes_while_a_process_compares_waits_for_what_it_finds(
    sqlite_world: World, informed: FolderWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, witness = sqlite_world, informed
    count = witness.count()
    beyond = Statement(count + 1, 1, world.settings.issuer, Kind.RESERVED, statements.digest(witness.read(count)), {"name": "x", "end": 1})
    witness.append(count + 1, signed(world, beyond))
    asked, answers, own_count = threading.Event(), threading.Event(), FolderWitness.count

    def slowly(self: FolderWitness) -> int:
        asked.set()
        assert answers.wait(10)
        return own_count(self)

    monkeypatch.setattr(FolderWitness, "count", slowly)
    with world.context() as ctx:
        standing.of(ctx.session)._doubt()  # as after a new connection

    def look() -> str:
        with world.context() as ctx:
            ctx.uow.begin_read()
            return standing.of(ctx.session).look(ctx.session).state

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(look)
        assert asked.wait(10)
        second = threads.submit(look)
        with pytest.raises(TimeoutError):
            second.result(0.3)
        answers.set()
        assert (first.result(10), second.result(10)) == ("behind", "behind")


def test_a_witness_that_is_away_is_not_asked_again_for_each_new_connection(sqlite_world: World, tmp_path: Path) -> None:
    world = sqlite_world
    asked: list[object] = []
    witnessed(world, tmp_path / "witness")
    (tmp_path / "witness").rename(tmp_path / "away")
    assert compared(world).state == "away"
    with pytest.MonkeyPatch.context() as patch, world.context() as ctx:
        patch.setattr(FolderWitness, "count", asked.append)
        ctx.uow.begin_read()
        mine = standing.of(ctx.session)
        mine._doubt()
        assert (mine.look(ctx.session).state, asked) == ("away", [])


def test_a_witness_that_is_back_is_asked_again_for_a_new_connection(sqlite_world: World, informed: FolderWitness) -> None:
    informed.folder.rename(informed.folder.with_name("away"))
    assert compared(sqlite_world).state == "away"
    informed.folder.with_name("away").rename(informed.folder)
    assert compared(sqlite_world).state == "sound"
    asked, count = list[FolderWitness](), FolderWitness.count

    def counted(self: FolderWitness) -> int:
        asked.append(self)
        return count(self)

    with pytest.MonkeyPatch.context() as patch, sqlite_world.context() as ctx:
        patch.setattr(FolderWitness, "count", counted)
        ctx.uow.begin_read()
        mine = standing.of(ctx.session)
        mine._doubt()
        assert (mine.look(ctx.session).state, len(asked)) == ("sound", 1)
