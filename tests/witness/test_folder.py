"""A folder keeps each statement for good: none is replaced, none is left out, and a disk that hangs is away."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from sifilma.witness.contract import WitnessAway, WitnessDiffers
from sifilma.witness.folder import FolderWitness
from sifilma.witness.statements import MAX_BYTES


@pytest.fixture
def folder(tmp_path: Path) -> FolderWitness:
    return FolderWitness(tmp_path)


def test_what_was_appended_is_read_again_and_counted(folder: FolderWitness) -> None:
    assert folder.count() == 0
    for number in range(1, 12):
        folder.append(number, b"statement %d" % number)
        assert folder.count() == number
    folder.append(4, b"statement 4")
    assert [folder.read(number) for number in (1, 11)] == [b"statement 1", b"statement 11"]
    assert not list(folder.folder.rglob(".*"))
    assert FolderWitness(folder.folder).count() == 11


def test_other_content_under_a_number_and_a_gap_are_refused(folder: FolderWitness) -> None:
    folder.append(1, b"one")
    with pytest.raises(WitnessDiffers, match="another statement 1"):
        folder.append(1, b"another")
    with pytest.raises(WitnessDiffers, match="no statement 2"):
        folder.append(3, b"three")
    with pytest.raises(WitnessDiffers, match="no statement 2"):
        folder.read(2)
    assert (folder.read(1), folder.count()) == (b"one", 1)


def test_of_two_that_append_under_one_number_one_is_first(folder: FolderWitness) -> None:
    refused: list[WitnessDiffers] = []
    ready = threading.Barrier(4)

    def append(content: bytes) -> None:
        own = FolderWitness(folder.folder)
        ready.wait()
        try:
            own.append(1, content)
        except WitnessDiffers as error:
            refused.append(error)

    threads = [threading.Thread(target=append, args=(b"of %d" % number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), folder.count()) == (3, 1)


def test_a_folder_that_is_gone_or_hangs_is_away_and_is_never_made(tmp_path: Path) -> None:
    gone = FolderWitness(tmp_path / "mount")
    for call in (gone.count, lambda: gone.read(1), lambda: gone.append(1, b"x")):
        with pytest.raises(WitnessAway, match="no folder"):
            call()
    assert not (tmp_path / "mount").exists()
    hanging = FolderWitness(tmp_path, seconds=0.2)
    pipe = hanging._path(1)
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)  # opening it waits for a writer: a disk that does not answer
    begun = time.monotonic()
    with pytest.raises(WitnessAway, match="does not answer"):
        hanging.read(1)
    with pytest.raises(WitnessAway, match="still hangs"):
        hanging.count()
    assert time.monotonic() - begun < 1
    with pipe.open("wb"):
        pass
    hanging._hanging.join(5)  # type: ignore[union-attr]  # it hung above
    pipe.unlink()
    assert hanging.count() == 0


def test_no_more_is_read_than_a_statement_can_have(tmp_path: Path) -> None:
    witness = FolderWitness(tmp_path)
    witness.append(1, b"x")
    with witness._path(1).open("r+b") as file:
        file.truncate(50 * MAX_BYTES)
    assert len(witness.read(1)) == MAX_BYTES + 1
