"""What status lists say of manifests that this database does not have."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Integer, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel.db import Base


class StatusBeyond(Base):
    """The status (0 to 2) of an index whose manifest the witness alone knows: it was issued after the backup that was brought back."""

    __tablename__ = "status_beyond"
    __table_args__ = (CheckConstraint("value BETWEEN 0 AND 2", name="value"),)

    status_list: Mapped[int] = mapped_column(ForeignKey("status_list.number"), primary_key=True)
    status_index: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    value: Mapped[int] = mapped_column(SmallInteger)
