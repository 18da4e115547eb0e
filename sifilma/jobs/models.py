"""Jobs, their rows, and what became of those."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, Json, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import Cause, LifeCycle, Stateful, Transition, state_check


class JobKind(StrEnum):
    """What the rows of a file ask for."""

    ACTIVATION = "activation"
    BATCH = "batch"
    INTAKE = "intake"
    RESULTS = "results"


OF_FILES = (JobKind.INTAKE, JobKind.RESULTS)
"""Kinds whose rows are done in the order of their file, and wait in parts. Only results that are errors are kept row by row."""


class JobState(StrEnum):
    """States of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    CANCELLED = "cancelled"


ENDED = (JobState.COMPLETED, JobState.STOPPED, JobState.CANCELLED)
ENDED_SQL = "({})".format(", ".join(f"'{state}'" for state in ENDED))
S = JobState
JOB = LifeCycle(
    "job",
    "job",
    initial=[S.QUEUED],
    transitions=[
        Transition(S.QUEUED, S.RUNNING, Cause.SYSTEM, "a worker has taken it"),
        Transition(S.QUEUED, S.STOPPED, Cause.SYSTEM, "whoever began it may not do this any more; its secrets are wiped"),
        Transition(S.QUEUED, S.CANCELLED, entails="its secrets are wiped; the rows without a result are given back"),
        Transition(S.RUNNING, S.COMPLETED, Cause.SYSTEM, "every row has its result"),
        Transition(S.RUNNING, S.STOPPED, Cause.SYSTEM, "whoever began it may not go on, or turn after turn failed; its secrets are wiped"),
        Transition(S.RUNNING, S.CANCELLED, entails="its secrets are wiped; the rows without a result are given back"),
    ],
)


class Job(Stateful, Base):
    """One file of `total` rows. `done` of them have a result (`JobRow`), and `failed` of those have errors. The others wait as `JobLine`s.

    `document_id` is the file itself, if it holds no secret. The rows of the kinds OF_FILES wait in parts; `done` says how far the job is.
    `sealed` held all rows of a file that an earlier version took in; the worker turns it into lines. `subject_id` is the object the rows
    belong to. `served` numbers the turns of all jobs: it is the number of this job's latest turn, which the worker `taken_by` began;
    whoever had an earlier turn can write nothing more.

    `waits_for` names what was out of reach at the last turn, `waiting_since` since when. `tries` counts the turns, this one included, since
    a row was last settled; turns that met an outage are not counted. `working_on` is the row that is tried alone after a worker died.
    `rate` is how many rows a second have lately had their result, measured at `measured_at`. A job that is paused is given no turn.
    """

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint(state_check(JobState), name="state"),
        CheckConstraint("kind IN ('activation', 'batch', 'intake', 'results')", name="kind"),
        CheckConstraint("(user_id IS NULL) <> (api_key_id IS NULL)", name="by_one"),
        CheckConstraint("0 <= failed AND failed <= done AND done <= total", name="counts"),
        CheckConstraint(f"state NOT IN {ENDED_SQL} OR length(sealed) = 0", name="wiped"),
        CheckConstraint("tries >= 0", name="tries"),
        Index(None, "organisation_id", "id"),
        Index(None, "organisation_id", "served"),
        Index(None, "served"),
        Index(None, "subject_id", "id"),
        Index(None, "state", "due_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    kind: Mapped[str] = mapped_column(String(20))
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    api_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_key.id"))
    filename: Mapped[str] = mapped_column(String(120))
    columns: Mapped[list[str]] = mapped_column(Json)
    sealed: Mapped[bytes] = mapped_column(LargeBinary, default=b"")
    document_id: Mapped[UUID | None] = mapped_column(ForeignKey("document.id"))
    subject_id: Mapped[UUID | None]
    total: Mapped[int]
    done: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    taken_by: Mapped[str] = mapped_column(String(36), default="")
    waits_for: Mapped[str] = mapped_column(String(10), default="")
    waiting_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    working_on: Mapped[int | None]
    served: Mapped[int] = mapped_column(BigInteger, default=0)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    rate: Mapped[float | None]
    measured_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def seconds_left(self) -> float | None:
        """Return in how many seconds all rows have their result if it goes on as it did lately, None if that is not known."""
        return (self.total - self.done) / self.rate if self.rate and self.ended_at is None and self.paused_at is None else None

    @property
    def stem(self) -> str:
        """Return the file's name without its extension."""
        return self.filename.rpartition(".")[0] or self.filename


class JobLine(Base):
    """A row without a result, numbered as in the file. It leaves when it has one.

    `cells` are sealed under the key from the settings, without secrets. `secret` is sealed under a key of the HSM; it is NULL where the row
    has no secret, and from the end of the job on.
    """

    __tablename__ = "job_line"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    cells: Mapped[bytes] = mapped_column(LargeBinary)
    secret: Mapped[bytes | None] = mapped_column(LargeBinary)


class JobPart(Base):
    """Rows of a job of the kinds OF_FILES that have no result yet, packed as they were read (`documents.tables.sheets.Packed`).

    `start` counts the rows before them. A part leaves with the result of its last row, or when the job ends: the file itself stays.
    """

    __tablename__ = "job_part"
    __table_args__ = (CheckConstraint("start >= 0 AND count >= 1", name="counts"),)

    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"), primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    count: Mapped[int]
    data: Mapped[bytes] = mapped_column(LargeBinary)


class JobRow(Base):
    """The result of one row, numbered as in the file: `result_id`, or `errors` with the row's cells, sealed and without their secrets."""

    __tablename__ = "job_row"
    __table_args__ = (CheckConstraint("is_failed = (result_id IS NULL)", name="result"),)

    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    is_failed: Mapped[bool]
    result_id: Mapped[UUID | None] = mapped_column(unique=True)
    errors: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    cells: Mapped[bytes] = mapped_column(LargeBinary)


triggers.immutable("job_row", "job_id", "number", "is_failed", "result_id")
# The database itself keeps no secret beyond the end of a job, whoever ends it, and loses no row.
triggers.follow(
    "job_wiped",
    "job",
    "UPDATE",
    "UPDATE job_line SET secret = NULL WHERE job_id = NEW.id",
    when=f"OLD.state <> NEW.state AND NEW.state IN {ENDED_SQL}",
)
triggers.guard(
    "job_line_keep",
    "job_line",
    "DELETE",
    "NOT EXISTS (SELECT 1 FROM job_row r WHERE r.job_id = OLD.job_id AND r.number = OLD.number)",
    "job_line: a row leaves when it has its result",
)
# Whoever a job acts for began it.
triggers.immutable("job", "id", "kind", "organisation_id", "user_id", "api_key_id", "subject_id", "total", "created_at")
triggers.guard(
    "job_forward",
    "job",
    "UPDATE",
    "NEW.done < OLD.done",
    "job: what is done stays done",
)
