"""Files that are written for whoever asked for them: what they are of, how far they are, and their bytes in parts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, Json, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import Cause, LifeCycle, Stateful, Transition, state_check


class FileKind(StrEnum):
    """What a file is made of: the rows of a list, manifests, or papers to be printed."""

    LIST = "list"
    MANIFESTS = "manifests"
    PRINT = "print"


class FileState(StrEnum):
    """States of a file."""

    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Role(StrEnum):
    """What a part holds: bytes of the file itself; or, while it is written, rows of it, names in a ZIP, lines of a ZIP's index."""

    BODY = "body"
    ROWS = "rows"
    NAMES = "names"
    INDEX = "index"


S = FileState
OPEN = (S.QUEUED, S.RUNNING)
GONE = (S.STOPPED, S.CANCELLED, S.EXPIRED)
OPEN_SQL, GONE_SQL = ("({})".format(", ".join(f"'{state}'" for state in states)) for states in (OPEN, GONE))
OWN_FILE = LifeCycle(
    "own_file",
    "own_file",
    initial=[S.QUEUED],
    transitions=[
        Transition(S.QUEUED, S.RUNNING, Cause.SYSTEM, "a worker has taken it"),
        Transition(S.QUEUED, S.STOPPED, Cause.SYSTEM, "whoever asked for it may not see this any more"),
        Transition(S.QUEUED, S.CANCELLED),
        Transition(S.RUNNING, S.READY, Cause.SYSTEM, "it is whole; whoever asked for it is told"),
        Transition(S.RUNNING, S.STOPPED, Cause.SYSTEM, "whoever asked for it may not see this any more; its parts are deleted"),
        Transition(S.RUNNING, S.CANCELLED, entails="its parts are deleted"),
        Transition(S.READY, S.CANCELLED, entails="its parts are deleted"),
        Transition(S.READY, S.EXPIRED, Cause.SYSTEM, "its time is over; its parts are deleted"),
    ],
)


class OwnFile(Stateful, Base):
    """One file that somebody asked for: `name` with the ending `form` (csv, xlsx, zip).

    `asked_by` is the account or the API key, whichever asked. `spec` says what the file is of, and `digest` (SHA-256, hex) is that of kind,
    form and spec: nobody has two such files that are being written. `total` is the number of its rows (NULL until they were looked up),
    `done` how many were looked at, `written` how many of these are in the file. `cut`: the list goes on, only its first rows are here.

    `served` numbers the turns of this file: whoever had an earlier turn can write nothing more. `rate` is in rows a second. `size` (bytes)
    and `sha256` (hex) are those of the whole file, set when it is ready; it is deleted at `ends_at`.
    """

    __tablename__ = "own_file"
    __table_args__ = (
        CheckConstraint(state_check(FileState), name="state"),
        CheckConstraint("kind IN ('list', 'manifests', 'print')", name="kind"),
        CheckConstraint("(user_id IS NULL) <> (api_key_id IS NULL)", name="by_one"),
        CheckConstraint("0 <= written AND written <= done AND (total IS NULL OR done <= total)", name="counts"),
        CheckConstraint("(state <> 'ready') OR (total = done AND length(sha256) = 64 AND ends_at IS NOT NULL)", name="whole"),
        Index(None, "asked_by", "id"),
        Index(None, "organisation_id"),
        Index(
            "uq_own_file_open", "asked_by", "digest", unique=True, postgresql_where=text(f"state IN {OPEN_SQL}"),
            sqlite_where=text(f"state IN {OPEN_SQL}"),
        ),
    )  # fmt: skip

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    kind: Mapped[str] = mapped_column(String(20))
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    api_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_key.id"))
    asked_by: Mapped[UUID]
    name: Mapped[str] = mapped_column(String(120))
    form: Mapped[str] = mapped_column(String(4))
    spec: Mapped[dict[str, Any]] = mapped_column(Json)
    digest: Mapped[str] = mapped_column(String(64))
    total: Mapped[int | None]
    done: Mapped[int] = mapped_column(default=0)
    written: Mapped[int] = mapped_column(default=0)
    cut: Mapped[bool] = mapped_column(default=False)
    served: Mapped[int] = mapped_column(default=0)
    rate: Mapped[float | None]
    measured_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    sha256: Mapped[str] = mapped_column(String(64), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)

    @property
    def filename(self) -> str:
        """Return the name under which it is saved."""
        return f"{self.name}.{self.form}"

    @property
    def seconds_left(self) -> float | None:
        """Return in how many seconds all rows are written if it goes on as it did lately, None if that is not known."""
        return (self.total - self.done) / self.rate if self.total is not None and self.rate and self.state == S.RUNNING else None


class OwnFileRows(Base):
    """The ids (16 bytes each) of the rows of a file, in its order, as they were when they were looked up. `place` counts from 0."""

    __tablename__ = "own_file_rows"

    file_id: Mapped[UUID] = mapped_column(ForeignKey("own_file.id"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ids: Mapped[bytes] = mapped_column(LargeBinary)


class OwnFilePart(Base):
    """Some bytes of a file, as `role` says. `place` counts from 0.

    Those of manifests are sealed (`sifilma/activation/archives/packing.py`).
    """

    __tablename__ = "own_file_part"

    file_id: Mapped[UUID] = mapped_column(ForeignKey("own_file.id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(5), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)


# Whoever a file is for asked for it, and for nothing else.
triggers.immutable(
    "own_file", "id", "kind", "organisation_id", "user_id", "api_key_id", "asked_by", "name", "form", "spec", "digest", "created_at"
)
triggers.guard(
    "own_file_forward", "own_file", "UPDATE", "NEW.done < OLD.done OR NEW.served < OLD.served", "own_file: what is done stays done"
)
# The database itself keeps no content beyond the end, whoever brings it about.
for _table in ("own_file_rows", "own_file_part"):
    triggers.follow(
        f"{_table}_gone",
        "own_file",
        "UPDATE",
        f"DELETE FROM {_table} WHERE file_id = NEW.id",  # noqa: S608  # constants
        when=f"OLD.state <> NEW.state AND NEW.state IN {GONE_SQL}",
    )
