"""What became of the latest run of each chore, and of objects whose turns fail."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel.db import Base, UtcDateTime


class WorkRun(Base):
    """The latest run of a chore (`subject` is empty), or an object whose turns fail, from the first failure to the next success.

    `failures` counts those one after the other, outages apart. What was given up is tried again when somebody says so; a chore that is
    paused is not run.
    """

    __tablename__ = "work_run"
    __table_args__ = (CheckConstraint("failures >= 0", name="failures"),)

    chore: Mapped[str] = mapped_column(String(60), primary_key=True)
    subject: Mapped[str] = mapped_column(String(36), primary_key=True, default="")
    node: Mapped[str] = mapped_column(String(100), default="")
    began_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    seconds: Mapped[float] = mapped_column(default=0.0)
    count: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(String(300), default="")
    gave_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
