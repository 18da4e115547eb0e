"""The witness of the transparency log: what it has seen must be continued, and what is signed is shown to it.

A server at an address cosigns (`http.py`). A folder keeps the newest checkpoint as a file. A mailbox is sent one an hour, and cannot be
asked. Whatever is wrong is written down for people (`audit.witnessed`): nobody waits for the worker's log to be read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.audit import checkpoints, witnessed
from sifilma.audit.cosignature import Cosignature, cosigner_of
from sifilma.audit.models import LogCheckpoint, LogFault, Standing
from sifilma.audit.note import Checkpoint, Keys, NoteRefused, read_checkpoint
from sifilma.audit.store import StoredTree
from sifilma.audit.tree import consistency
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound, Unavailable
from sifilma.kernel.ids import uuid7
from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.witness.contract import WitnessAway, WitnessDiffers
from sifilma.witness.folder import FolderWitness, sync_folder
from sifilma.witness.http import AnotherSize, Forked, HttpWitness
from sifilma.witness.models import Reconciliation
from sifilma.witness.opening import open_witness

BY_MAIL = timedelta(hours=1)
"""How often a checkpoint is sent to a mailbox. The footers of papers say more often what the log was."""
log = structlog.get_logger()


class WitnessUnknown(Unavailable):
    """This process has not heard from its witness yet: it signs nothing, because it may run on a database of before."""

    type = "witness-away"
    title = "The witness of the log has not answered yet"


class LogWitness(Protocol):
    """A witness as the log sees it. `name` tells it from others for good."""

    @property
    def name(self) -> str:
        """Return its name."""
        ...

    @property
    def origin(self) -> str:
        """Return the log's name."""
        ...

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint it has seen, or None. Raise WitnessAway, WitnessDiffers."""
        ...

    def is_due(self, ctx: Context, newest: LogCheckpoint) -> bool:
        """Return whether a checkpoint is to be shown to it now."""
        ...

    def show(self, ctx: Context, newest: LogCheckpoint, old: int, proof: Sequence[bytes]) -> Cosignature | None:
        """Show it a checkpoint that continues the one of size `old`, without a transaction. Return its cosignature, if it makes some.

        Raise AnotherSize if it has seen another one last, WitnessAway, WitnessDiffers.
        """
        ...


@dataclass(frozen=True)
class AtAddress:
    """A server that cosigns."""

    witness: HttpWitness
    origin: str
    name: str

    def newest(self) -> Checkpoint | None:
        """Return what it cosigned last."""
        return self.witness.checkpoint(self.origin)

    def is_due(self, ctx: Context, newest: LogCheckpoint) -> bool:
        """Return whether it has not cosigned this one."""
        known = witnessed.newest_cosigned(ctx.session, self.name, newest.origin)
        return known is None or known.size < newest.size

    def show(self, ctx: Context, newest: LogCheckpoint, old: int, proof: Sequence[bytes]) -> Cosignature | None:
        """Have it cosign."""
        return self.witness.cosign(old, proof, newest.note, ctx.clock.now().timestamp())


@dataclass(frozen=True)
class InFolder:
    """A folder that holds the newest checkpoint, as the log signed it."""

    witness: FolderWitness
    origin: str
    keys: Callable[[], Keys]

    @property
    def name(self) -> str:
        """Return the folder's path."""
        return str(self.witness.folder)

    @property
    def file(self) -> Path:
        """Return the file of this log: a restored installation goes on with another one."""
        return self.witness.folder / f"log-checkpoint-{hashlib.sha256(self.origin.encode()).hexdigest()[:16]}.txt"

    def newest(self) -> Checkpoint | None:
        """Return the checkpoint in the file."""
        return self.witness.within(self._read)

    def is_due(self, ctx: Context, newest: LogCheckpoint) -> bool:
        """Return True: the folder is asked, and says whether it has this one."""
        return True

    def show(self, ctx: Context, newest: LogCheckpoint, old: int, proof: Sequence[bytes]) -> Cosignature | None:
        """Put it into the file in place of an older one."""
        self.witness.within(lambda: self._write(newest))
        return None

    def _read(self) -> Checkpoint | None:
        try:
            said = read_checkpoint(self.file.read_text(), self.keys())
        except FileNotFoundError:
            return None
        except (NoteRefused, UnicodeDecodeError) as refused:
            raise WitnessDiffers(f"{self.file.name} of the witness is not to be trusted: {refused}.") from refused
        if said.origin != self.origin:
            raise WitnessDiffers(f"The witness keeps the log {said.origin}.")
        return said

    def _write(self, newest: LogCheckpoint) -> None:
        known = self._read()
        if known is not None and known.size > newest.size:
            raise AnotherSize(known.size)
        if known is None or known.size < newest.size:
            _replace(self.file, newest.note)


@dataclass(frozen=True)
class ByMail:
    """A mailbox elsewhere. Nothing can be read from it here."""

    settings: Settings
    address: str
    origin: str
    name: str = "mail"

    def newest(self) -> Checkpoint | None:
        """Return None."""
        return None

    def is_due(self, ctx: Context, newest: LogCheckpoint) -> bool:
        """Return whether the last one was sent long ago."""
        sent = witnessed.stand(ctx.session, Standing.WITNESS).at
        return sent is None or not timedelta() <= ctx.now - sent < BY_MAIL

    def show(self, ctx: Context, newest: LogCheckpoint, old: int, proof: Sequence[bytes]) -> Cosignature | None:
        """Put a message with the note into the outbox."""
        ctx.uow.begin_write()
        to = outbox.Recipient(Channel.EMAIL, self.address)
        outbox.enqueue(ctx, self.settings, to, "witness", f"Checkpoint {newest.size} of {newest.origin}", newest.note)
        return None


def log_name(session: Session, settings: Settings) -> str:
    """Return the origin of the log: that of the settings, or the one that the newest reconciliation gave it.

    A restored log lacks the end of the log of before, so it goes on as another one: nothing is signed twice under one name.
    """
    query = select(Reconciliation.log_name).where(Reconciliation.log_name != "").order_by(Reconciliation.epoch.desc()).limit(1)
    return session.scalar(query) or settings.log_name


def open_log_witness(settings: Settings, origin: str, keys: Callable[[], Keys]) -> LogWitness | None:
    """Return the witness that the settings name, as the log `origin` sees it, or None. `keys` are those that sign the log."""
    if settings.witness.startswith("mailto:"):
        return ByMail(settings, settings.witness.removeprefix("mailto:"), origin)
    found = open_witness(settings)
    if isinstance(found, HttpWitness):
        return AtAddress(found, origin, cosigner_of(settings.witness_key).vkey)
    return InFolder(found, origin, keys) if isinstance(found, FolderWitness) else None


class Memory:
    """What this process has heard from its witness. While the witness is away, that counts."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, str], Checkpoint | None] = {}

    def forget(self) -> None:
        """Be as new, as after a start."""
        self._heard.clear()

    def newest(self, witness: LogWitness) -> Checkpoint | None:
        """Return the newest checkpoint of the witness, or the one heard of last while it is away or differs.

        Raise WitnessUnknown if this process has never heard from it.
        """
        about = (witness.name, witness.origin)
        try:
            heard, before = witness.newest(), self._heard.get(about)
            if before is not None and (heard is None or heard.size < before.size):
                raise WitnessDiffers(f"The witness knew {before.size} entries, and knows {heard.size if heard else 0} now.")
            self._heard[about] = heard
        except (WitnessAway, WitnessDiffers) as fault:
            log.error("log_witness_not_heard", reason=str(fault))
            if about not in self._heard:
                raise WitnessUnknown(f"Nothing is signed before the witness has answered once: {fault}") from fault
        return self._heard[about]


MEMORY = Memory()
"""That of this process."""


def show_newest(ctx: Context, witness: LogWitness) -> int:
    """Show the newest checkpoint to the witness if it is due, and store its cosignature. Return how many were stored.

    What is wrong is written down (`witnessed.stand`), and tried again by the next call.
    """
    ctx.uow.begin_read()
    newest = _newest(ctx.session)
    if newest is None or not witness.is_due(ctx, newest):
        return 0
    try:
        found = _shown(ctx, witness, newest)
    except WitnessAway as away:
        return _faulty(ctx, LogFault.AWAY, str(away))
    except Forked as forked:
        return _faulty(ctx, LogFault.FORKED, str(forked))
    except WitnessDiffers as differs:
        return _faulty(ctx, LogFault.DIFFERS, str(differs))
    stored = 0 if found is None else witnessed.keep_cosignature(ctx, newest.size, witness.name, found)
    witnessed.note_success(ctx, Standing.WITNESS)
    return stored


def _shown(ctx: Context, witness: LogWitness, newest: LogCheckpoint) -> Cosignature | None:
    """Show it from the size that is known here, and if the witness has another one, from that: an answer of before was lost."""
    known = witnessed.newest_cosigned(ctx.session, witness.name, newest.origin)
    old = 0 if known is None else known.size
    try:
        return witness.show(ctx, newest, old, _proof(ctx, old, newest.size))
    except AnotherSize as other:
        if other.size < old:
            raise WitnessDiffers(
                f"The witness has cosigned {old} entries, and knows of {other.size} now: its folder was put back."
            ) from other
        if other.size > newest.size:
            ctx.uow.begin_read()
            if checkpoints.get_newest(ctx.session).size >= other.size:  # another worker has signed and shown more meanwhile
                return None
            raise Forked(f"The witness has seen a log of {other.size} entries, and this one has {newest.size}.") from other
        return witness.show(ctx, newest, other.size, _proof(ctx, other.size, newest.size))


def _proof(ctx: Context, old: int, new: int) -> list[bytes]:
    """Return the proof of growth, and close the transaction: what follows takes seconds."""
    ctx.uow.begin_read()
    hashes = StoredTree(ctx.session).hashes(consistency(old, new)) if 0 < old < new else []
    ctx.uow.end_read()
    return hashes


def _faulty(ctx: Context, fault: LogFault, told: str) -> int:
    log.error("log_not_witnessed", fault=str(fault), reason=told)
    ctx.uow.begin_read()
    witnessed.note_fault(ctx, Standing.WITNESS, fault, told)
    return 0


def _newest(session: Session) -> LogCheckpoint | None:
    try:
        return checkpoints.get_newest(session)
    except NotFound:
        return None


def _replace(path: Path, text: str) -> None:
    """Write a file whole, and have it on the disk."""
    temporary = path.with_name(f".{path.name}.{uuid7().hex}")
    try:
        with temporary.open("x") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
