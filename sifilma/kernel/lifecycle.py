"""Life cycles: enums of states, one transition table each, enforced in code and in the database, with a history row a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, Session, declared_attr, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.context import Act
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.errors import Conflict
from sifilma.kernel.text import say


class Cause(StrEnum):
    """Who may cause a transition."""

    PERSON = "person"
    SYSTEM = "system"
    SANCTION = "sanction"


@dataclass(frozen=True)
class Transition:
    """One allowed step. `entails` says in words what the step brings with it, for the documentation."""

    source: str
    target: str
    cause: Cause = Cause.PERSON
    entails: str = ""


class History(Base):
    """One row per step of any object's life, written by triggers only; `from_state` is empty for the birth."""

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
    """Columns of everything that has a life cycle. `act_id` names the audit entry of the latest step.

    The foreign key is deferred: a step whose audit entry is missing cannot be committed.
    """

    state: Mapped[str] = mapped_column(String(20), index=True)
    revision: Mapped[int] = mapped_column(Integer)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_by: Mapped[UUID | None]
    change_note: Mapped[str] = mapped_column(Text, default="")

    @declared_attr
    @classmethod
    def act_id(cls) -> Mapped[UUID]:
        """The audit entry of the latest step."""
        return mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.__table__.c.revision}  # type: ignore[attr-defined]  # set by the mapper


Hook = Callable[[Session, Any, Act], None]


class LifeCycle:
    """The transition table of one kind of object, and the hooks other packages have on its steps."""

    def __init__(self, kind: str, table: str, initial: Iterable[str], transitions: Iterable[Transition]) -> None:
        self.kind = kind
        self.table = table
        self.initial = tuple(str(state) for state in initial)
        self.transitions = tuple(transitions)
        self._allowed = {(str(t.source), str(t.target)) for t in self.transitions}
        self._hooks: list[tuple[str, Hook]] = []
        _protect(self)

    def allows(self, source: str, target: str) -> bool:
        """Whether the step from `source` to `target` is in the table."""
        return (str(source), str(target)) in self._allowed

    def on(self, target: str, hook: Hook) -> None:
        """Run `hook(session, object, act)` whenever an object is about to reach `target`, in the same transaction (rule 13)."""
        if (str(target), hook) not in self._hooks:
            self._hooks.append((str(target), hook))

    def born(self, obj: Any, state: str, act: Act, note: str = "") -> None:
        """Give a new object its first state. Conflict if the table does not let a life begin there."""
        if str(state) not in self.initial:
            raise Conflict(say("a %(thing)s does not begin as %(state)s", thing=self.kind, state=state))
        _stamp(obj, state, act, note)

    def move(self, session: Session, obj: Any, target: str, act: Act, note: str = "") -> None:
        """Take one step; Conflict if the table does not allow it. Hooks run first: what must give way, gives way before."""
        self.require(obj, target)
        for state, hook in self._hooks:
            if state == str(target):
                hook(session, obj, act)
        _stamp(obj, target, act, note)

    def require(self, obj: Any, target: str) -> None:
        """Refuse, in words, a step the table does not have."""
        if not self.allows(obj.state, target):
            told = say("A %(thing)s that is %(state)s cannot become %(target)s.", thing=self.kind, state=str(obj.state), target=target)
            raise Conflict(told, state=str(obj.state))


def _stamp(obj: Any, state: str, act: Act, note: str) -> None:
    obj.state = str(state)
    obj.act_id, obj.changed_at, obj.changed_by, obj.change_note = act.id, act.at, act.user_id, note


def _protect(cycle: LifeCycle) -> None:
    """The same table as triggers: direct SQL takes no other step, and none without a history row."""
    steps = " OR ".join(f"(OLD.state = '{s}' AND NEW.state = '{t}')" for s, t in sorted(cycle._allowed)) or "1 = 0"
    births = ", ".join(f"'{state}'" for state in cycle.initial)
    kind, table = cycle.kind, cycle.table
    triggers.guard(f"{table}_birth", table, "INSERT", f"NEW.state NOT IN ({births})", f"{kind}: a life does not begin in this state")
    taken = "(OLD.state <> NEW.state OR OLD.act_id <> NEW.act_id)"  # a step may lead back to its own state: active, relocated, active
    triggers.guard(f"{table}_step", table, "UPDATE", f"{taken} AND NOT ({steps})", f"{kind}: this step is not in the table")
    triggers.guard(
        f"{table}_act",
        table,
        "UPDATE",
        f"{taken} AND (NEW.revision <> OLD.revision + 1 OR NEW.act_id = OLD.act_id)",
        f"{kind}: a step needs a new revision and an act of its own",
    )
    triggers.guard(f"{table}_keep", table, "DELETE", "", f"{kind}: nothing is deleted")
    columns = "INSERT INTO history (object_kind, object_id, from_state, to_state, at, user_id, note, act_id) VALUES"
    values = "NEW.state, NEW.changed_at, NEW.changed_by, NEW.change_note, NEW.act_id)"
    triggers.follow(f"{table}_birth_history", table, "INSERT", f"{columns} ('{kind}', NEW.id, '', {values}")
    triggers.follow(f"{table}_step_history", table, "UPDATE", f"{columns} ('{kind}', NEW.id, OLD.state, {values}", when=taken)


def mermaid(cycle: LifeCycle) -> str:
    """The table as a Mermaid state diagram, for the documentation: births, steps, and what each step entails."""
    lines = ["stateDiagram-v2", *(f"    [*] --> {state}" for state in cycle.initial)]
    for step in cycle.transitions:
        words = step.entails if step.cause is Cause.PERSON else " ".join(filter(None, (f"({step.cause})", step.entails)))
        label = f": {words.replace(':', ',').replace(';', ',')}" if words else ""
        lines.append(f"    {step.source} --> {step.target}{label}")
    return "\n".join(lines)


def state_check(states: type[StrEnum]) -> str:
    """The CHECK text that holds a state column to its enum."""
    return "state IN ({})".format(", ".join(f"'{state.value}'" for state in states))
