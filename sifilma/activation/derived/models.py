"""Tallies of the readers in use, of activations by day, and of the days from a letter to its manifests. A trigger notes what changes."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.activation.grid import FINEST
from sifilma.kernel import triggers
from sifilma.kernel.db import Base

ALL, MADE, OWNED = 0, 1, 2
"""Of whom a row counts: everybody's; those in machines of the maker `owner_id`; those that `owner_id` holds and `buyer_id` bought.

A row of OWNED names the maker of the machines if that is one of the two: it is among the row's of MADE too.
"""
LEVELS = (5, 8, 11, 13, FINEST)
"""Zooms of the map whose grids are tallied: a grid serves its own zoom and those between it and the one before."""
ZONES = (7, 8, 9)
"""The zones of the country, in hours before UTC."""


class ReaderChange(Base):
    """A change of a manifest's state that is not counted yet. `former_state` is empty for a new manifest.

    All that the tallies count by follows from the activation, which never changes.
    """

    __tablename__ = "reader_change"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    activation_id: Mapped[UUID]
    former_state: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))


class ReaderTally(Base):
    """How many readers stand in a cell of a grid and in a regency. Positions are 1e-7 degrees: `latitude` and `longitude` are sums.

    The four bounds and the two codes (the least and the greatest) enclose the readers: who leaves does not narrow them.
    """

    __tablename__ = "reader_tally"
    __table_args__ = (Index(None, "buyer_id", "level"),)

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    basis: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    level: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    cell_north: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    cell_east: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    regency: Mapped[str] = mapped_column(String(5), primary_key=True)
    function: Mapped[str] = mapped_column(String(2), primary_key=True)
    state: Mapped[str] = mapped_column(String(20), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    buyer_id: Mapped[UUID] = mapped_column(primary_key=True)
    maker_id: Mapped[UUID] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    latitude: Mapped[int] = mapped_column(BigInteger)
    longitude: Mapped[int] = mapped_column(BigInteger)
    south: Mapped[int]
    west: Mapped[int]
    north: Mapped[int]
    east: Mapped[int]
    first_code: Mapped[str] = mapped_column(String(13))
    last_code: Mapped[str] = mapped_column(String(13))


class ActivationTally(Base):
    """How many activations there were on a day of a zone. `day` counts from 1970-01-01."""

    __tablename__ = "activation_tally"
    __table_args__ = (Index(None, "buyer_id", "zone", "day"),)

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    basis: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    zone: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    day: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    buyer_id: Mapped[UUID] = mapped_column(primary_key=True)
    maker_id: Mapped[UUID] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(Integer)


class StageTally(Base):
    """How many cards took so many working days for a stage on their way to their first manifest, by the month of that manifest.

    `month` counts from the year 0, in the zone of service targets.
    """

    __tablename__ = "stage_tally"
    __table_args__ = (Index(None, "buyer_id", "month"),)

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    basis: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    month: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    stage: Mapped[str] = mapped_column(String(20), primary_key=True)
    days: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    buyer_id: Mapped[UUID] = mapped_column(primary_key=True)
    maker_id: Mapped[UUID] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(Integer)


class StageCalendar(Base):
    """The holidays with which the days of StageTally were counted, as the SHA-256 (hex) of their list. No row: nothing was counted yet."""

    __tablename__ = "stage_calendar"

    holidays: Mapped[str] = mapped_column(String(64), primary_key=True)


_NOTE = "INSERT INTO reader_change (activation_id, former_state, state) VALUES"
triggers.follow("reader_appears", "manifest", "INSERT", f"{_NOTE} (NEW.activation_id, '', NEW.state)")
triggers.follow("reader_changes", "manifest", "UPDATE", f"{_NOTE} (NEW.activation_id, OLD.state, NEW.state)", when="OLD.state <> NEW.state")
