"""A witness that is a folder: on another disk, or of another host and mounted here."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sifilma.kernel.ids import uuid7
from sifilma.witness.contract import SECONDS, WitnessAway, WitnessDiffers
from sifilma.witness.statements import MAX_BYTES

PER_FOLDER = 1000
T = TypeVar("T")


class FolderWitness:
    """Keeps each statement as a file, `statements/NNNNNN/NNNNNNNNN.jws`. Nothing is ever replaced.

    A disk that hangs is away after `seconds`, and stays away until the call that was noted last returns.
    """

    def __init__(self, folder: Path, seconds: float = SECONDS) -> None:
        self.folder, self.seconds = folder, seconds
        self._hanging: threading.Thread | None = None

    def count(self) -> int:
        """Return how many statements there are, up to the first gap of a search by halves."""
        return self._within(self._count)

    def read(self, number: int) -> bytes:
        """Return a statement."""
        return self._within(lambda: self._read(number))

    def append(self, number: int, content: bytes) -> None:
        """Keep a statement. File and folder are on the disk when this returns."""
        self._within(lambda: self._append(number, content))

    def within(self, call: Callable[[], T]) -> T:
        """Return what a further call on the folder returns, within the time, and if the folder is there. Raise WitnessAway."""

        def there() -> T:
            self._require_folder()
            return call()

        return self._within(there)

    def _path(self, number: int) -> Path:
        return self.folder / "statements" / f"{number // PER_FOLDER:06}" / f"{number:09}.jws"

    def _count(self) -> int:
        self._require_folder()
        above = 1
        while self._path(above).exists():
            above *= 2
        below = above // 2
        while above - below > 1:  # `below` is there (or 0), `above` is not
            middle = (above + below) // 2
            below, above = (middle, above) if self._path(middle).exists() else (below, middle)
        return below

    def _read(self, number: int) -> bytes:
        self._require_folder()
        try:
            with self._path(number).open("rb") as file:
                return file.read(MAX_BYTES + 1)  # no more of what is no statement
        except FileNotFoundError:
            raise WitnessDiffers(f"The witness has no statement {number}.") from None

    def _append(self, number: int, content: bytes) -> None:
        self._require_folder()
        path = self._path(number)
        if number > 1 and not self._path(number - 1).exists():
            raise WitnessDiffers(f"The witness has no statement {number - 1}, so {number} is not its next.")
        self._make(path.parent)
        temporary = path.with_name(f".{path.name}.{uuid7().hex}")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)  # fails where there is one: of two that append, one is first
            except FileExistsError:
                if path.read_bytes() != content:
                    raise WitnessDiffers(f"The witness has another statement {number}.") from None
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)

    def _make(self, folder: Path) -> None:
        for one in (folder.parent, folder):
            if not one.is_dir():
                one.mkdir(exist_ok=True)
                sync_folder(one.parent)

    def _require_folder(self) -> None:
        """Raise WitnessAway unless the folder is there. It is never made: an empty place is no witness."""
        if not self.folder.is_dir():
            raise WitnessAway(f"There is no folder {self.folder}.")

    def _within(self, call: Callable[[], T]) -> T:
        """Return what a call returns within the time. Raise WitnessAway otherwise, and for every error of the disk."""
        if self._hanging is not None and self._hanging.is_alive():
            raise WitnessAway("An earlier call of the witness still hangs.")
        outcome: list[T] = []
        fault: list[Exception] = []

        def run() -> None:
            try:
                outcome.append(call())
            except Exception as error:  # noqa: BLE001  # raised below, in the thread that waits
                fault.append(error)

        thread = threading.Thread(target=run, name="witness", daemon=True)
        thread.start()
        thread.join(self.seconds)
        if thread.is_alive():
            self._hanging = thread
            raise WitnessAway(f"The witness does not answer within {self.seconds:g} s.")
        if fault:
            if isinstance(fault[0], OSError):
                raise WitnessAway(f"The witness cannot be used: {type(fault[0]).__name__}.") from fault[0]
            raise fault[0]
        return outcome[0]


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
