"""Life cycles: an enum of states and one transition table each. Code and database enforce the table; each step leaves a history row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, Session, declared_attr, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.context import Act
from sifilma.kernel.db import Base, UtcDateTime, write_all
from sifilma.kernel.errors import Conflict
from sifilma.kernel.text import say


class Cause(StrEnum):
    """Who may cause a transition."""

    PERSON = "person"
    SYSTEM = "system"
    SANCTION = "sanction"


@dataclass(frozen=True)
class Transition:
    """One allowed step. `entails` says what else the step changes; it appears in the documentation only."""

    source: str
    target: str
    cause: Cause = Cause.PERSON
    entails: str = ""


class History(Base):
    """One row per step in the life of any object. Only triggers write it. `from_state` is empty for the first state.

    Triggers, because then a step by direct SQL leaves its row as well.
    """

    __tablename__ = "history"
    __table_args__ = (Index(None, "object_kind", "object_id", "id"), Index(None, "act_id"))

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    object_kind: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[UUID]
    from_state: Mapped[str] = mapped_column(String(20))
    to_state: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    user_id: Mapped[UUID | None]
    note: Mapped[str] = mapped_column(Text)
    act_id: Mapped[UUID] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))


triggers.immutable("history")


class Stateful:
    """The columns of every object with a life cycle. `act_id` names the audit entry of the latest step.

    Its foreign key is deferred, so that the entry may be written after the step. A step whose entry is missing cannot be committed.
    """

    state: Mapped[str] = mapped_column(String(20), index=True)
    revision: Mapped[int] = mapped_column(Integer)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_by: Mapped[UUID | None]
    change_note: Mapped[str] = mapped_column(Text, default="")

    @declared_attr
    @classmethod
    def act_id(cls) -> Mapped[UUID]:
        """Return the column that names the audit entry of the latest step."""
        return mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        # SQLAlchemy adds `revision` to the WHERE of every UPDATE: of two concurrent changes the second fails instead of overwriting.
        return {"version_id_col": cls.__table__.c.revision}  # type: ignore[attr-defined]  # set by the mapper


Hook = Callable[[Session, Any, Act], None]


class LifeCycle:
    """The transition table of one kind of object, and the hooks that other packages attach to its steps."""

    def __init__(self, kind: str, table: str, initial: Iterable[str], transitions: Iterable[Transition]) -> None:
        self.kind = kind
        self.table = table
        self.initial = tuple(str(state) for state in initial)
        self.transitions = tuple(transitions)
        self._allowed = {(str(t.source), str(t.target)) for t in self.transitions}
        self._hooks: list[tuple[str, Hook]] = []
        _protect(self)  # here, so that no life cycle exists without its triggers

    def allows(self, source: str, target: str) -> bool:
        """Return whether the table has a step from `source` to `target`."""
        return (str(source), str(target)) in self._allowed

    def on(self, target: str, hook: Hook) -> None:
        """Call `hook(session, object, act)` before an object reaches `target`, in the same transaction (docs/domain.md, rule 13).

        The hooks of a first state are called by `announce`, where the service of the kind does.

        Hooks let a package below cause acts in packages above it, which it may not import. Attaching a hook twice has no effect.
        """
        # A process of the tests makes the application several times.
        if (str(target), hook) not in self._hooks:
            self._hooks.append((str(target), hook))

    def born(self, obj: Any, state: str, act: Act, note: str = "") -> None:
        """Give a new object its first state. Raise Conflict if the table does not allow this state as the first."""
        if str(state) not in self.initial:
            raise Conflict(say("a %(thing)s does not begin as %(state)s", thing=self.kind, state=state))
        _stamp(obj, state, act, note)

    def announce(self, session: Session, obj: Any, act: Act) -> None:
        """Call the hooks of the first state of a new object, which the session has written already."""
        self._call(session, obj, obj.state, act)

    def move(self, session: Session, obj: Any, target: str, act: Act, note: str = "") -> None:
        """Take one step. Raise Conflict if the table does not allow it.

        Hooks run before the step, so that what excludes the new state (an active manifest, an open token) is ended first.
        """
        self.require(obj, target)
        self._call(session, obj, str(target), act)
        _stamp(obj, target, act, note)

    def move_all(self, session: Session, objects: Sequence[Any], target: str, act: Act, note: str = "") -> None:
        """Take the same step with many objects, and write what changed of them together: one round trip, not one for each.

        Raise as `move` does, and StaleDataError if somebody else changed one of them meanwhile.
        """
        for obj in objects:
            self.move(session, obj, target, act, note)
        write_all(session, objects)

    def _call(self, session: Session, obj: Any, target: str, act: Act) -> None:
        for state, hook in self._hooks:
            if state == target:
                hook(session, obj, act)

    def require(self, obj: Any, target: str) -> None:
        """Raise Conflict, with a sentence for the user, if the table does not allow the step."""
        if not self.allows(obj.state, target):
            told = say("A %(thing)s that is %(state)s cannot become %(target)s.", thing=self.kind, state=str(obj.state), target=target)
            raise Conflict(told, state=str(obj.state))


def _stamp(obj: Any, state: str, act: Act, note: str) -> None:
    obj.state = str(state)
    obj.act_id, obj.changed_at, obj.changed_by, obj.change_note = act.id, act.at, act.user_id, note


def _protect(cycle: LifeCycle) -> None:
    """Register the table as triggers, so that direct SQL can take no other step and none without a history row."""
    steps = " OR ".join(f"(OLD.state = '{s}' AND NEW.state = '{t}')" for s, t in sorted(cycle._allowed)) or "1 = 0"
    births = ", ".join(f"'{state}'" for state in cycle.initial)
    kind, table = cycle.kind, cycle.table
    triggers.guard(f"{table}_birth", table, "INSERT", f"NEW.state NOT IN ({births})", f"{kind}: a life does not begin in this state")
    # A step may lead back to its own state (a relocation: active to active), so a new act counts as a step too.
    taken = "(OLD.state <> NEW.state OR OLD.act_id <> NEW.act_id)"
    triggers.guard(f"{table}_step", table, "UPDATE", f"{taken} AND NOT ({steps})", f"{kind}: this step is not in the table")
    triggers.guard(
        f"{table}_act",
        table,
        "UPDATE",
        f"{taken} AND (NEW.revision <> OLD.revision + 1 OR NEW.act_id = OLD.act_id)",
        f"{kind}: a step needs a new revision and an act of its own",
    )
    triggers.guard(f"{table}_keep", table, "DELETE", "", f"{kind}: nothing is deleted")
    # The history is written by the database, so that direct SQL leaves its row as well.
    columns = "INSERT INTO history (object_kind, object_id, from_state, to_state, at, user_id, note, act_id) VALUES"
    values = "NEW.state, NEW.changed_at, NEW.changed_by, NEW.change_note, NEW.act_id)"
    triggers.follow(f"{table}_birth_history", table, "INSERT", f"{columns} ('{kind}', NEW.id, '', {values}")
    triggers.follow(f"{table}_step_history", table, "UPDATE", f"{columns} ('{kind}', NEW.id, OLD.state, {values}", when=taken)


def mermaid(cycle: LifeCycle) -> str:
    """Return the table as a Mermaid state diagram for the documentation: first states, steps, and what each step entails."""
    lines = ["stateDiagram-v2", *(f"    [*] --> {state}" for state in cycle.initial)]
    for step in cycle.transitions:
        words = step.entails if step.cause is Cause.PERSON else " ".join(filter(None, (f"({step.cause})", step.entails)))
        # Mermaid reads ':' and ';' in a label as syntax.
        label = f": {words.replace(':', ',').replace(';', ',')}" if words else ""
        lines.append(f"    {step.source} --> {step.target}{label}")
    return "\n".join(lines)


def state_check(states: type[StrEnum]) -> str:
    """Return the text of a CHECK that restricts a state column to its enum."""
    return "state IN ({})".format(", ".join(f"'{state.value}'" for state in states))
