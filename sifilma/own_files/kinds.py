"""What the worker and the service must know of each kind of file, and what a kind is given for a turn: the file, and where it stores parts.

The kinds are registered when the application begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, select, update

from config.settings import Settings
from sifilma.audit.models import Action
from sifilma.dispatch import turns
from sifilma.dispatch.turns import Lost
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.actor import Actor
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed
from sifilma.own_files.models import OWN_FILE, FileState, OwnFile, OwnFilePart, OwnFileRows, Role

IDS_A_PART, ID = 4096, 16
"""Rows whose ids are stored together, and the bytes of an id."""
Contexts = Callable[[], AbstractContextManager[Context]]
Change = Callable[[bytes], bytes]


class Kind(Protocol):
    """One kind of file. Everything is done as whoever asked for it, with their rights of now."""

    def operation(self, file: OwnFile) -> str:
        """Return the operation that whoever asked must still have."""
        ...

    def most(self, file: OwnFile) -> int:
        """Return how many rows such a file has at most."""
        ...

    def ids(self, ctx: Context, file: OwnFile, most: int) -> Iterator[Sequence[UUID]]:
        """Yield the ids of the rows, in the order of the file, at most `most`, from one state of the database."""
        ...

    def write(self, taken: Taken) -> None:
        """Write rows (`taken.next_ids`) and store them (`taken.store`) until the turn is over, or there are no more."""
        ...

    def finish(self, taken: Taken) -> Iterator[bytes]:
        """Yield what the file ends with, behind `taken.file.size` bytes that are stored. No transaction is open."""
        ...

    def unseen(self, ctx: Context, file: OwnFile, groups: Iterable[Sequence[UUID]]) -> bool:
        """Return whether there is a row in these groups that the actor does not see any more."""
        ...

    def sealer(self, contexts: Contexts, file: OwnFile) -> Change:
        """Return what seals a part for storage. No transaction may be open."""
        ...

    def opener(self, contexts: Contexts) -> Change:
        """Return what gives a part as it was before it was sealed. It is called while no transaction is open."""
        ...


KINDS: dict[str, Kind] = {}


def register(name: str, kind: Kind) -> None:
    """Register a kind of file. Registering it again replaces it."""
    KINDS[name] = kind


def is_granted(granted: Sequence[object], operation: str, user_id: UUID | None) -> bool:
    """Return whether an operation is one of every person's own, or is granted."""
    return bool(granted) or operation == Operation.SELF or (operation == Operation.SESSION_SELF and user_id is not None)


def plain(data: bytes) -> bytes:
    """Return the data as they are: what is no secret in the database is none in a file of it."""
    return data


# --- a turn of a file ------------------------------------------------------------------------------------------------------


@dataclass
class Taken:
    """A file that this worker gives a turn. `file` is detached, and shows the state when it was taken."""

    contexts: Contexts
    settings: Settings
    file: OwnFile
    until: float
    done: int = 0
    """Rows that this turn has stored."""
    size: int = 0
    """Bytes that this turn has stored, before they were sealed."""
    _ids: dict[int, list[UUID]] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """Return what is to be known of its kind."""
        return KINDS[self.file.kind]

    @property
    def in_time(self) -> bool:
        """Return whether this turn is not over yet."""
        return time.monotonic() < self.until

    @property
    def begins_at(self) -> int:
        """Return the place in the file behind what is stored."""
        return self.file.size + self.size

    @contextmanager
    def on_behalf(self) -> Iterator[Context]:
        """Give the Context of whoever asked for the file, for reading. Raise Barred if they may not see this any more."""
        with self.contexts() as ctx:
            ctx.uow.begin_read()
            yield on_behalf(ctx, self.file)

    def next_ids(self, most: int, after: int = 0) -> list[UUID]:
        """Return the ids of the next rows that are not stored, without the first `after` of them. They are read as they are needed."""
        first = self.file.done + self.done + after
        last = min(first + most, self.file.total or 0)
        found: list[UUID] = []
        while first < last:
            place, start = divmod(first, IDS_A_PART)
            some = self._part(place)[start : start + last - first]
            found += some
            first += len(some)
            if not some:
                raise Lost  # the rows are gone with the file
        return found

    def _part(self, place: int) -> list[UUID]:
        if place not in self._ids:
            self._ids.clear()
            with self.contexts() as ctx:
                ctx.uow.begin_read()
                query = select(OwnFileRows.ids).where(OwnFileRows.file_id == self.file.id, OwnFileRows.place == place)
                self._ids[place] = unpacked(ctx.session.scalar(query) or b"")
        return self._ids[place]

    def store(self, ctx: Context, *, done: int, written: int, size: int, parts: Sequence[tuple[Role, bytes]]) -> None:
        """Count rows and store what came of them, in the transaction of `ctx`. Raise Lost if the file had another turn meanwhile.

        `size` is the number of bytes that the file grows by. The caller commits, and then calls `stored`.
        """
        counts = {"done": OwnFile.done + done, "written": OwnFile.written + written, "size": OwnFile.size + size}
        counted = update(OwnFile).where(*mine(self.file)).values(**counts).execution_options(synchronize_session=False)
        if changed(ctx.session.execute(counted)) == 0:
            raise Lost
        for role, data in parts:
            add_part(ctx, self.file, role, data)

    def stored(self, done: int, size: int) -> None:
        """Note what was committed."""
        self.done, self.size = self.done + done, self.size + size

    def parts(self, role: Role) -> Iterator[bytes]:
        """Yield the parts of a role, one after the other, each from a reading transaction of its own."""
        return stored_parts(self.contexts, self.file.id, role)


def on_behalf(ctx: Context, file: OwnFile) -> Context:
    """Return the Context of the person or API key that asked for the file. Raise Barred if they may not see this any more."""

    def may(actor: Actor) -> bool:
        operation = KINDS[file.kind].operation(file)
        return is_granted(grants(actor, Operation(operation)), operation, actor.user_id)

    return turns.on_behalf(ctx, file, OWN_FILE.kind, Action.FILE_ASK, may)


def mine(file: OwnFile) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of the turn that a worker gives: nobody has begun another one, and the file is being written."""
    return (OwnFile.id == file.id, OwnFile.served == file.served, OwnFile.state == FileState.RUNNING)


def add_part(ctx: Context, file: OwnFile, role: Role, data: bytes) -> None:
    """Store a part behind the others of its role."""
    behind = select(func.coalesce(func.max(OwnFilePart.place), -1) + 1).where(OwnFilePart.file_id == file.id, OwnFilePart.role == role)
    ctx.session.execute(insert(OwnFilePart).values(file_id=file.id, role=str(role), place=behind.scalar_subquery(), data=data))


def stored_parts(contexts: Contexts, file_id: UUID, role: Role) -> Iterator[bytes]:
    """Yield the parts of a role. Raise Lost if one is missing."""
    with contexts() as ctx:
        ctx.uow.begin_read()
        where = (OwnFilePart.file_id == file_id, OwnFilePart.role == str(role))
        count = ctx.session.scalar(select(func.count()).select_from(OwnFilePart).where(*where)) or 0
    for place in range(count):
        with contexts() as ctx:
            ctx.uow.begin_read()
            data = ctx.session.scalar(select(OwnFilePart.data).where(*where, OwnFilePart.place == place))
        if data is None:
            raise Lost
        yield bytes(data)


def packed(ids: Sequence[UUID]) -> bytes:
    """Return ids as they are stored."""
    return b"".join(one.bytes for one in ids)


def unpacked(data: bytes) -> list[UUID]:
    """Return the ids of such bytes."""
    return [UUID(bytes=bytes(data[start : start + ID])) for start in range(0, len(data), ID)]
