"""The witness that the settings name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from config.settings import Settings
from sifilma.witness.contract import Witness
from sifilma.witness.folder import FolderWitness


def open_witness(settings: Settings) -> Witness | None:
    """Return the witness of the settings, or None where none is configured. Nothing is reached yet."""
    return _open(settings.witness) if settings.witness else None


@lru_cache(maxsize=8)
def _open(where: str) -> Witness:
    """Return the same one each time, in a process: it remembers that it hangs."""
    return FolderWitness(Path(where))
