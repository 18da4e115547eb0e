"""The trust state as it was published, and what status lists say of manifests that this database does not have."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Integer, LargeBinary, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel.db import Base, UtcDateTime


class StatusBeyond(Base):
    """The status (0 to 2) of an index whose manifest the witness alone knows: it was issued after the backup that was brought back."""

    __tablename__ = "status_beyond"
    __table_args__ = (CheckConstraint("value BETWEEN 0 AND 2", name="value"),)

    status_list: Mapped[int] = mapped_column(ForeignKey("status_list.number"), primary_key=True)
    status_index: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    value: Mapped[int] = mapped_column(SmallInteger)


class PublishedTrust(Base):
    """A file of the published trust state as it was published: root pin, certificates, record of keys, keyset. The highest `seq` counts."""

    __tablename__ = "published_trust"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
