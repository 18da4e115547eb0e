"""UIDs to be found by a part, units without a card, and how many cards there are of each holder, buyer, model and state.

Triggers write all of them.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.cards.models import TIES
from sifilma.kernel import triggers
from sifilma.kernel.db import Base


class CardUid(Base):
    """The UID of a card once more, to be found by a part of it: each activation would write the index again if it were on `card`."""

    __tablename__ = "card_uid"
    __table_args__ = (Index("ix_card_uid_part", "uid", postgresql_using="gin", postgresql_ops={"uid": "gin_trgm_ops"}),)

    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"), primary_key=True)
    uid: Mapped[str] = mapped_column(String(16))


_WORKING = text("condition = 'working'")


class FreeUnit(Base):
    """A unit without a living card: a holder has hundreds of thousands of units, and offers the few that are free.

    What is read of the unit stands here once more, to be sorted and chosen by. `condition` is the unit's.
    """

    __tablename__ = "free_unit"
    __table_args__ = (
        Index(None, "organisation_id", "unit_id"),
        *(
            Index(f"ix_free_unit_{name}", *columns, sqlite_where=_WORKING, postgresql_where=_WORKING)
            for name, columns in (
                ("working", ("organisation_id", "function", "hardware_number")),
                ("of_model", ("model_id", "function", "organisation_id")),
            )
        ),
    )

    unit_id: Mapped[UUID] = mapped_column(ForeignKey("unit.id"), primary_key=True)
    organisation_id: Mapped[UUID]
    model_id: Mapped[UUID]
    function: Mapped[str] = mapped_column(String(2))
    hardware_number: Mapped[str] = mapped_column(String(40))
    condition: Mapped[str] = mapped_column(String(20))


NOBODY = UUID(int=0)
"""In the place of a holder and a buyer: of all; in that of a model: in no machine."""


class CardTally(Base):
    """How many cards of a holder and a buyer are in machines of a model and in a state, as of the changes that the worker has added up.

    The rows of NOBODY count the cards of all.
    """

    __tablename__ = "card_tally"
    __table_args__ = (Index(None, "buyer_id"), Index(None, "model_id", "holder_id"))

    holder_id: Mapped[UUID] = mapped_column(primary_key=True)
    buyer_id: Mapped[UUID] = mapped_column(primary_key=True)
    model_id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(20), primary_key=True)
    count: Mapped[int] = mapped_column(Integer)


class CardTallyChange(Base):
    """A change that is not added up yet. Acts insert these, and never wait for each other as they would for a row of the tally."""

    __tablename__ = "card_tally_change"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    holder_id: Mapped[UUID]
    buyer_id: Mapped[UUID]
    unit_id: Mapped[UUID | None]
    state: Mapped[str] = mapped_column(String(20))
    amount: Mapped[int] = mapped_column(Integer)


_CHANGE = "INSERT INTO card_tally_change (holder_id, buyer_id, unit_id, state, amount) VALUES"
_NOW = "(NEW.holder_id, NEW.buyer_id, NEW.unit_id, NEW.state, 1)"
triggers.follow("card_uid_kept", "card", "INSERT", "INSERT INTO card_uid (card_id, uid) VALUES (NEW.id, NEW.uid)")
triggers.immutable("card_uid")
triggers.follow("card_tally_birth", "card", "INSERT", f"{_CHANGE} {_NOW}")
triggers.follow(
    "card_tally_step",
    "card",
    "UPDATE",
    f"{_CHANGE} (OLD.holder_id, OLD.buyer_id, OLD.unit_id, OLD.state, -1), {_NOW}",
    when="OLD.state <> NEW.state OR OLD.holder_id <> NEW.holder_id OR OLD.unit_id IS DISTINCT FROM NEW.unit_id",
)

_COPIED = ("model_id", "function", "hardware_number")
_UNIT = f"INSERT INTO free_unit (unit_id, organisation_id, {', '.join(_COPIED)}, condition)"
_COPY = f"{{row}}.id, {{row}}.organisation_id, {', '.join(f'{{row}}.{name}' for name in _COPIED)}, {{row}}.state"
triggers.follow("unit_free_at_birth", "unit", "INSERT", f"{_UNIT} VALUES ({_COPY.format(row='NEW')})")
triggers.follow(
    "unit_free_changes",
    "unit",
    "UPDATE",
    f"UPDATE free_unit SET {', '.join(f'{name} = NEW.{name}' for name in _COPIED)}, condition = NEW.state WHERE unit_id = NEW.id",  # noqa: S608  # constants
    when=" OR ".join(f"OLD.{name} <> NEW.{name}" for name in (*_COPIED, "state")),
)
for _event, _moved in (("INSERT", ""), ("UPDATE", "OLD.unit_id IS DISTINCT FROM NEW.unit_id AND ")):
    triggers.follow(
        f"unit_taken_{_event.lower()}",
        "card",
        _event,
        "DELETE FROM free_unit WHERE unit_id = NEW.unit_id",
        when=f"NEW.unit_id IS NOT NULL AND {_moved}NEW.{TIES}",
    )
triggers.follow(
    "unit_left",
    "card",
    "UPDATE",
    # Another card may have moved in by the same statement.
    f"{_UNIT} SELECT {_COPY.format(row='u')} FROM unit u WHERE u.id = OLD.unit_id"  # noqa: S608  # constants
    f" AND NOT EXISTS (SELECT 1 FROM card c WHERE c.unit_id = u.id AND c.{TIES})"
    " AND NOT EXISTS (SELECT 1 FROM free_unit f WHERE f.unit_id = u.id)",
    when=f"OLD.unit_id IS NOT NULL AND (OLD.unit_id IS DISTINCT FROM NEW.unit_id OR (OLD.state <> NEW.state AND NOT NEW.{TIES}))",
)
