"""The transparency log and its witness: what the witness has seen is continued, or nothing is signed and people are told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from sifilma.audit import checkpoints
from sifilma.audit.cosignature import cosigner_of, read_cosignature
from sifilma.audit.note import Checkpoint, claim, read_checkpoint
from sifilma.audit.store import LogBroken
from sifilma.witness import cosigning
from sifilma.witness.cosigning import CosigningFolder
from sifilma.witness.log_witness import MEMORY, LogWitness, Memory, WitnessUnknown
from tests.support.transparency_log import act, as_superuser, grown, newest_note, put_back, sequence, show
from tests.support.visitor import Visitor
from tests.support.witness_server import NAME, serving
from tests.support.world import World, done


@pytest.fixture(autouse=True)
def new_process() -> Iterator[None]:
    """Forget what this process has heard of witnesses, as one that has just started."""
    MEMORY.forget()
    yield
    MEMORY.forget()


@contextmanager
def cosigned_by_a_server(world: World, folder: Path) -> Iterator[tuple[World, Path]]:
    held = cosigning.set_up(folder, NAME, world.settings.log_name, world.trust.keys("audit"))
    with serving(held.folder, lambda: world.clock.now().timestamp()) as url:
        world.configure(witness=url, witness_key=held.cosigner.vkey)
        yield world, held.folder


@pytest.fixture
def witnessed(world: World, tmp_path: Path) -> Iterator[tuple[World, Path]]:
    """Return an installation whose log is cosigned by a server, and the server's folder."""
    with cosigned_by_a_server(world, tmp_path / "witness") as both:
        yield both


@pytest.fixture
def on_sqlite(sqlite_world: World, tmp_path: Path) -> Iterator[tuple[World, Path]]:
    """Return the same on SQLite alone, for what is no matter of the database."""
    with cosigned_by_a_server(sqlite_world, tmp_path / "witness") as both:
        yield both


def sign(world: World) -> int:
    """Let a minute pass, and sign what came meanwhile, as the worker does."""
    act(world)
    world.clock.advance(seconds=60)
    return sequence(world)


def standing(world: World) -> dict[str, str]:
    return dict(world.sql("SELECT part, fault FROM log_standing"))


def status(world: World, part: str) -> str:
    """Return the line of a part on the page for everybody."""
    page = Visitor(world, language="en").get("/status").get_data(as_text=True)
    return page.partition(f"<strong>{part}</strong>")[2].partition("</tr>")[0]


def metrics(world: World) -> dict[str, float]:
    lines = world.anonymous().open("GET", "/metrics").get_data(as_text=True).splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line.startswith("sifilma_"))}


def test_each_checkpoint_is_cosigned_and_shown_to_everybody(witnessed: tuple[World, Path]) -> None:
    world, folder = witnessed
    grown(world, 5)
    assert world.anonymous().open("GET", "/log/checkpoint").get_data(as_text=True) == newest_note(world)
    assert (show(world), show(world)) == (1, 0)
    sign(world)
    assert show(world) == 1
    cosigner = cosigner_of(world.settings.witness_key)
    shown = world.anonymous().open("GET", "/log/checkpoint").get_data(as_text=True)
    assert shown.startswith(newest_note(world))
    assert read_checkpoint(shown, world.trust.keys("audit")) == claim(CosigningFolder(folder).newest(world.settings.log_name) or "")
    assert read_cosignature(shown, cosigner).at == int(world.clock.now().timestamp())
    auditor = world.client("auditor1")
    told = done(auditor.get("/audit/checkpoint"))
    assert told["note"] + "".join(told["cosignatures"]) == shown
    runner = world.app.test_cli_runner()
    assert runner.invoke(args=["audit", "checkpoint", "--cosigned"]).output == shown
    first, last = (claim(note).size for note in (world.sql("SELECT note FROM log_checkpoint ORDER BY size")[0][0], shown))
    proof = world.anonymous().open("GET", f"/log/consistency?old={first}&new={last}").get_data(as_text=True).split()
    assert proof == done(auditor.get("/audit/checkpoint", since=first))["consistency"]
    for wrong in ("", "?old=0&new=1", "?old=9&new=1", f"?old=1&new={last + 1}", "?old=x&new=1"):
        assert world.anonymous().open("GET", f"/log/consistency{wrong}").status_code in (404, 422), wrong
    assert standing(world) == {"signing": "", "witness": ""}
    assert metrics(world)['sifilma_log_witness_fault{fault="away"}'] == metrics(world)["sifilma_log_signing_refused"] == 0
    assert metrics(world)["sifilma_log_witnessed_age_seconds"] == 0


def test_a_log_that_was_put_back_signs_nothing_until_it_is_what_was_witnessed(witnessed: tuple[World, Path]) -> None:
    world, _ = witnessed
    grown(world, 3)
    size = claim(newest_note(world)).size
    for _ in range(2):
        sign(world)
        show(world)
    put_back(world, size)
    before = newest_note(world)
    with pytest.raises(LogBroken, match="its tail was cut"):
        sign(world)
    act(world, 20)  # a fork that has grown past the witnessed size
    with pytest.raises(LogBroken, match="is not the one"):
        sign(world)
    assert newest_note(world) == before
    assert standing(world)["signing"] == "forked"
    assert "bad" in status(world, "Transparency log")
    assert metrics(world)["sifilma_log_signing_refused"] == 1
    # Signed by whoever has the key, past the service: the witness does not cosign it either.
    world.configure(witness="", witness_key="")
    sign(world)
    assert newest_note(world) != before


def test_a_fork_that_was_signed_is_not_cosigned(on_sqlite: tuple[World, Path]) -> None:
    world, folder = on_sqlite
    grown(world, 3)
    size, settings = claim(newest_note(world)).size, world.settings
    for _ in range(2):
        sign(world)
        show(world)
    kept = CosigningFolder(folder).newest(world.settings.log_name)
    put_back(world, size)
    world.configure(witness="", witness_key="")
    sign(world)
    world.configure(witness=settings.witness, witness_key=settings.witness_key)
    show(world)
    assert standing(world)["witness"] == "forked"
    act(world, 20)
    world.configure(witness="", witness_key="")
    sign(world)
    world.configure(witness=settings.witness, witness_key=settings.witness_key)
    show(world)
    assert (standing(world)["witness"], CosigningFolder(folder).newest(world.settings.log_name)) == ("forked", kept)
    assert "bad" in status(world, "Witness of the log")
    assert metrics(world)['sifilma_log_witness_fault{fault="forked"}'] == 1


def test_while_the_witness_is_away_the_log_goes_on_in_a_process_that_knows_it(witnessed: tuple[World, Path]) -> None:
    world, _ = witnessed
    grown(world, 3)
    show(world)
    settings = world.settings
    world.configure(witness="http://127.0.0.1:1")
    sign(world)  # this process has heard from it
    assert (show(world), standing(world)["witness"]) == (0, "away")
    assert "wait" in status(world, "Witness of the log")
    assert metrics(world)['sifilma_log_witness_fault{fault="away"}'] == 1
    MEMORY.forget()
    with pytest.raises(WitnessUnknown, match="has answered once"):
        sign(world)
    assert standing(world)["signing"] == "away"
    world.configure(witness=settings.witness)
    sign(world)
    assert show(world) == 1
    assert standing(world) == {"signing": "", "witness": ""}
    assert metrics(world)["sifilma_log_signing_refused"] == 0


def test_a_witness_whose_folder_was_put_back_is_noticed(on_sqlite: tuple[World, Path]) -> None:
    world, folder = on_sqlite
    grown(world, 3)
    show(world)
    old = (CosigningFolder(folder).file(world.settings.log_name)).read_bytes()
    sign(world)
    show(world)
    newer = (CosigningFolder(folder).file(world.settings.log_name)).read_bytes()
    (CosigningFolder(folder).file(world.settings.log_name)).write_bytes(old)
    sign(world)
    assert (show(world), standing(world)["witness"]) == (0, "differs")
    assert "folder was put back" in world.sql("SELECT told FROM log_standing WHERE part = 'witness'")[0][0]
    assert (CosigningFolder(folder).file(world.settings.log_name)).read_bytes() == old
    (CosigningFolder(folder).file(world.settings.log_name)).write_bytes(newer)
    assert (show(world), standing(world)["witness"]) == (1, "")


def test_an_answer_that_was_lost_is_asked_for_again(witnessed: tuple[World, Path]) -> None:
    world, _ = witnessed
    grown(world, 3)
    show(world)
    sign(world)
    show(world)
    as_superuser(world, "DELETE FROM log_cosignature WHERE size = (SELECT MAX(size) FROM log_cosignature)")
    assert show(world) == 1
    as_superuser(world, "DELETE FROM log_cosignature WHERE size = (SELECT MAX(size) FROM log_cosignature)")
    sign(world)
    assert (show(world), standing(world)["witness"]) == (1, "")


def test_a_folder_remembers_the_newest_checkpoint_and_a_mailbox_is_sent_one_an_hour(sqlite_world: World, tmp_path: Path) -> None:
    world = sqlite_world
    folder = tmp_path / "disk"
    folder.mkdir()
    world.configure(witness=str(folder))
    grown(world, 3)
    size = claim(newest_note(world)).size
    show(world)
    sign(world)
    show(world)
    [file] = folder.glob("log-checkpoint-*.txt")
    assert file.read_text() == newest_note(world)
    put_back(world, size)
    with pytest.raises(LogBroken, match=r"its tail was cut|is not the one whose first"):
        sign(world)
    show(world)
    assert standing(world) == {"signing": "forked", "witness": "forked"}
    file.write_text("no note")
    show(world)
    assert standing(world)["witness"] == "differs"
    shutil.rmtree(folder)
    show(world)
    assert standing(world)["witness"] == "away"
    world.configure(witness="mailto:saksi@example.org")
    world.clock.advance(seconds=3600)
    for _ in range(3):
        sign(world)
        show(world)
    assert world.sql("SELECT COUNT(*) FROM outbox_message WHERE purpose = 'witness'") == [(1,)]
    world.clock.advance(seconds=3600)
    show(world)
    assert world.sql("SELECT COUNT(*) FROM outbox_message WHERE purpose = 'witness'") == [(2,)]


def test_a_witness_with_another_key_is_none(on_sqlite: tuple[World, Path], tmp_path: Path) -> None:
    world, folder = on_sqlite
    grown(world, 3)
    show(world)
    other: Any = cosigning.set_up(tmp_path / "other", NAME, world.settings.log_name, world.trust.keys("audit"))
    world.configure(witness_key=other.cosigner.vkey)
    MEMORY.forget()
    with pytest.raises(WitnessUnknown, match="did not cosign"):
        sign(world)
    assert (show(world), standing(world)["witness"]) == (0, "differs")
    assert checkpoints.kept(world.settings) is not None
    assert folder.exists()


def test_a_witness_that_forgets_what_it_said_is_not_believed() -> None:
    heard = Memory()

    class Said:
        name, origin = "w.example", "log.example"

        def __init__(self, size: int | None) -> None:
            self.size = size

        def newest(self) -> Checkpoint | None:
            return None if self.size is None else Checkpoint(self.origin, self.size, bytes(32))

    for size, believed in ((5, 5), (None, 5), (3, 5), (8, 8)):
        newest = heard.newest(cast(LogWitness, Said(size)))
        assert newest is not None
        assert newest.size == believed
