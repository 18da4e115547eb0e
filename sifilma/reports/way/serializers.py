"""A step of a way, what is awaited at it, and the way as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID


class Status(StrEnum):
    """Whether a step is done, is where the object stands, lies ahead, or is where the way ended early."""

    DONE = "done"
    CURRENT = "current"
    AHEAD = "ahead"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Step:
    """One step. `name` is a key of `step_labels.STEPS`.

    `at` is when a step was done, or since when it is awaited; `who` is who did it, or who has it now; `until` is when it ends. Of a step
    that many cards take, `done` of `total` have taken it (0 of 0: it is not counted). By its service target an awaited step is due on the
    day `due`, and `late` by so many working days.
    """

    name: str
    status: Status = Status.AHEAD
    who: str = ""
    at: datetime | None = None
    until: datetime | None = None
    done: int = 0
    total: int = 0
    due: date | None = None
    late: int = 0


@dataclass(frozen=True)
class Awaited:
    """A task of the home page that the object waits for: `task` is a key of `task_labels.TASKS`, `key` the id of the task's line."""

    task: str
    key: UUID
    title: str = ""


@dataclass(frozen=True)
class Way:
    """The way of an object.

    `awaited` are the tasks that lead on, whoever has them; `why` says why none does, by a key of `step_labels.ENDS`.
    """

    steps: list[Step]
    awaited: list[Awaited] = field(default_factory=list)
    why: str = ""

    @property
    def current(self) -> Step | None:
        """Return the step at which the object stands, or None at the end of its way. What goes on counts before what has ended."""
        return next((step for status in (Status.CURRENT, Status.STOPPED) for step in self.steps if step.status is status), None)


def counted(name: str, done: int, total: int, has_begun: bool, who: str = "", since: datetime | None = None) -> Step:
    """Return a step that many cards take."""
    status = Status.DONE if total and done >= total else Status.CURRENT if has_begun else Status.AHEAD
    named = replace(Step(name, status), done=done, total=total)
    return replace(named, who=who, at=since) if status is Status.CURRENT else named
