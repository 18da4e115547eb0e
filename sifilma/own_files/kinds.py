"""What the worker and the service must know of each kind of file. The kinds register themselves when the application begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.own_files.models import OwnFile

if TYPE_CHECKING:
    from sifilma.own_files.writer import Taken

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

    def unseen(self, ctx: Context, file: OwnFile, ids: Sequence[UUID]) -> int:
        """Return how many of these rows the actor does not see any more."""
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
