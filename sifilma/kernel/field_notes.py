"""A reviewer's notes on single fields of something returned. They belong to the step that returned it and never change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import ForeignKey, String, UniqueConstraint, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.context import Act
from sifilma.kernel.db import Base
from sifilma.kernel.ids import uuid7

RETURNED = "returned"
LENGTH = 500  # characters


class FieldNote(Base):
    """A reviewer's note on one field. `act_id` is the act of the step that returned the object."""

    __tablename__ = "field_note"
    __table_args__ = (UniqueConstraint("act_id", "field"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    act_id: Mapped[UUID] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))
    field: Mapped[str] = mapped_column(String(40))
    note: Mapped[str] = mapped_column(String(LENGTH))


triggers.immutable("field_note")
triggers.guard(
    "field_note_returned",
    "field_note",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM history h WHERE h.act_id = NEW.act_id AND h.to_state = 'returned')",
    "field_note: a note on a field goes with a step that returned something",
)


def keep(session: Session, act: Act, notes: Mapping[str, str]) -> None:
    """Store the notes of a step that was just taken."""
    if notes:
        session.execute(insert(FieldNote), [{"id": uuid7(), "act_id": act.id, "field": name, "note": note} for name, note in notes.items()])


def notes_of(session: Session, acts: Collection[UUID]) -> dict[UUID, dict[str, str]]:
    """Return the notes of acts that returned an object, by act and field. Runs one statement, or none without acts."""
    found: dict[UUID, dict[str, str]] = {}
    for note in session.scalars(select(FieldNote).where(FieldNote.act_id.in_(acts)).order_by(FieldNote.id)) if acts else ():
        found.setdefault(note.act_id, {})[note.field] = note.note
    return found
