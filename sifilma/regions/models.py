"""Region codes with the version in which they appeared. They are never deleted, because old documents keep their codes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime


class RegionSource(Base):
    """One import of codes: package, version, and SHA-256 (hex) over its files."""

    __tablename__ = "region_source"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    version: Mapped[str] = mapped_column(String(20))
    sha256: Mapped[str] = mapped_column(String(64))
    imported_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Region(Base):
    """One code. `version` is the first source version that had it. `valid_to` is set when a later version lacks it.

    `successor_code` stays empty: no source states which code replaced a closed one. idn-area-data lists the present codes only, and a code
    does not tell its predecessor. Names can be compared where this is needed.
    """

    __tablename__ = "region"
    __table_args__ = (Index(None, "parent_code", "code"), Index(None, "name"))

    code: Mapped[str] = mapped_column(String(13), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    level: Mapped[int] = mapped_column(Integer)
    parent_code: Mapped[str | None] = mapped_column(String(13))
    version: Mapped[str] = mapped_column(String(20))
    valid_from: Mapped[datetime] = mapped_column(UtcDateTime)
    valid_to: Mapped[datetime | None] = mapped_column(UtcDateTime)
    successor_code: Mapped[str | None] = mapped_column(String(13))


triggers.guard("region_keep", "region", "DELETE", "", "region: codes are never deleted")
triggers.guard("region_code_fixed", "region", "UPDATE", "OLD.code <> NEW.code", "region: a code does not change")
