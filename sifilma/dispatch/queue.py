"""Enqueue turns for objects, in the transaction of the act that makes them wait, and take them out again.

On PostgreSQL one statement calls the engine's own function on the connection of the act; it carries ids only. On SQLite the row of the
object is the entry: the one process that works asks the chore what waits.

Organisations take turns. Each entry has a place on a line of turns: one behind the latest of its organisation, or the present place of
the line, whichever is later (start-time fair queueing). The engine takes the entry with the first place, and of one organisation and chore
one at a time.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

QUEUE = "objects"
"""The engine's queue of turns."""
# A place is a priority with the sign turned: the engine takes the highest priority first.
PLACE = """GREATEST(
    COALESCE((SELECT MAX(-j.priority) + 1 FROM procrastinate.procrastinate_jobs j
              WHERE j.status IN ('todo', 'doing') AND j.queue_name = 'objects' AND j.task_name = CAST(:chore AS text)
                AND j.args ->> 'organisation' = CAST(:organisation AS text)), 0),
    COALESCE((SELECT MIN(-j.priority) FROM procrastinate.procrastinate_jobs j
              WHERE j.status IN ('todo', 'doing') AND j.queue_name = 'objects'), 0))"""
_ENQUEUE = text(f"""
SELECT procrastinate.procrastinate_defer_jobs_v1(ARRAY[ROW(
    '{QUEUE}', CAST(:chore AS text), -({PLACE}), CAST(:lock AS text), CAST(:entry AS text),
    jsonb_build_object('subject', CAST(:subject AS text), 'organisation', CAST(:organisation AS text)), NULL
)::procrastinate.procrastinate_job_to_defer_v1])
WHERE NOT EXISTS (
    SELECT 1 FROM procrastinate.procrastinate_jobs j WHERE j.queueing_lock = CAST(:entry AS text) AND j.status IN ('todo', 'doing'))
""")  # noqa: S608  # constants
_CANCEL = text("""
SELECT procrastinate.procrastinate_cancel_job_v1(j.id, false, true) FROM procrastinate.procrastinate_jobs j
WHERE j.queueing_lock = CAST(:entry AS text) AND j.status = 'todo'
""")


def entry_of(chore: str, subject: UUID) -> str:
    """Return the name of an object's entry. There is at most one that waits."""
    return f"{chore}:{subject}"


def line_of(chore: str, organisation: UUID | str) -> str:
    """Return the name under which the turns of an organisation exclude each other."""
    return f"{chore}:{organisation}"


def enqueue(session: Session, chore: str, subject: UUID, organisation: UUID) -> None:
    """Have a chore work on an object, from the commit on. An object that has an entry keeps it."""
    if session.get_bind().dialect.name == "postgresql":
        names = {"lock": line_of(chore, organisation), "entry": entry_of(chore, subject)}
        session.execute(_ENQUEUE, {"chore": chore, "subject": str(subject), "organisation": str(organisation)} | names)


def cancel(session: Session, chore: str, subject: UUID) -> None:
    """Take out an entry that waits. A turn that runs finds at its next step that there is nothing left to do."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_CANCEL, {"entry": entry_of(chore, subject)})
