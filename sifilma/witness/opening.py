"""The witness that the settings name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from config.settings import Settings
from sifilma.audit.cosignature import cosigner_of
from sifilma.notifications.contract import Channel
from sifilma.notifications.senders import senders
from sifilma.witness.contract import SECONDS, Witness
from sifilma.witness.folder import FolderWitness
from sifilma.witness.http import HttpWitness
from sifilma.witness.mail import MailWitness


def open_witness(settings: Settings) -> Witness | None:
    """Return the witness of the settings, or None where none is configured. Nothing is reached yet."""
    if settings.witness.startswith("mailto:"):
        sender = senders(settings, seconds=SECONDS).get(Channel.EMAIL)
        return MailWitness(settings.witness.removeprefix("mailto:"), sender) if sender else None
    return _open(settings.witness, settings.witness_key) if settings.witness else None


@lru_cache(maxsize=8)
def _open(where: str, key: str) -> Witness:
    """Return the same one each time, in a process: it remembers that it hangs."""
    if where.startswith(("https://", "http://")):
        return HttpWitness(where, cosigner_of(key))
    return FolderWitness(Path(where))
