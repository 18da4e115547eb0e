"""The contract between what is to be done and what dispatches it.

A chore is done by time (`every`), or because something is due (`due`), or for objects that wait (`turn`, `waiting`). Its own tables say
what is still to be done, and its own transactions what was done. A dispatcher only says who does it when: a run that comes twice, or a
turn for an object that is done, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from sifilma.kernel.context import Context

ROWS, TOKENS, MESSAGES, FILES = "rows of files settled", "tokens made", "messages sent", "files written"
"""The chores that others enqueue, or ask for."""
MOST_TRIES = 6
"""Turns for an object that failed one after the other, outages apart, after which it is given up until somebody has it tried again."""
SHORTEST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
"""Seconds before a failed turn is tried again: doubled after each, within these bounds."""
DEAD = 15.0
"""Seconds without a sign of life to the engine after which a worker is taken for dead."""
MOST_SECONDS = 25.0
"""Seconds after which a run hangs, if its chore says nothing else: its process ends itself, and another one goes on."""


class Waiting(NamedTuple):
    """An object for which there is something to do, and the organisation whose it is."""

    subject: UUID
    organisation: UUID


@dataclass(frozen=True)
class Turn:
    """What a turn did: how many it settled; after how many seconds the next one is due, or None if nothing is left to do."""

    settled: int = 0
    again_in: float | None = None


@dataclass(frozen=True)
class Chore:
    """One kind of work.

    `run` does what is due, for about a second where it can be parted, and returns how many it settled. `goes_by_the_clock`: it ends, signs
    or dates something for good, so a clock that may be wrong stops it. `every`: the seconds between two runs in the installation. `due`
    says whether there is anything to do, and is asked each second; then the chore is run only if there is. `turn` works on one object for
    about a second; `waiting` lists the objects for which there is something to do, also if nobody has enqueued them.

    `turn` raises what is an outage, and what counts as a try.
    """

    run: Callable[[], int]
    goes_by_the_clock: bool
    every: int = 60
    due: Callable[[Context], bool] | None = None
    turn: Callable[[UUID], Turn] | None = None
    waiting: Callable[[Context], Sequence[Waiting]] | None = None
    most_seconds: float = MOST_SECONDS


class Dispatcher(Protocol):
    """What says which process does which chore when."""

    def keep_working(self) -> None:
        """Work until the process is told to end."""
        ...


Chores = Mapping[str, Chore]
REGISTERED: dict[str, Chore] = {}
"""Every chore of the application, in the order in which one process does them."""


def register(chores: Chores) -> None:
    """Name the chores of the application. Calling it twice is harmless."""
    REGISTERED.update(chores)
