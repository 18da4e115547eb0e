"""Readers in use are tallied by regency and by cells of the map, activations by day, and cards by the model of their machine too.

What is in place is noted as changes, which the worker counts in its next rounds. Readers of a place are found by two indexes, letters, BASTs and
outlets by a part of their number or name.
"""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PARTS = (
    ("personalisation_request", "letter_key"),
    ("activation_request", "letter_key"),
    ("handover", "number"),
    ("outlet", "name"),
    ("outlet", "branch_code"),
    ("outlet", "address"),
)
NOBODY = "00000000-0000-0000-0000-000000000000"


def uuid(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid(), nullable=nullable)


def whole(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer(), nullable=False) for name in names]


def text_(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def upgrade() -> None:
    _cards()
    op.create_table(
        "reader_change",
        sa.Column("id", NUMBER, nullable=False),
        uuid("activation_id"),
        text_("former_state", 20),
        text_("state", 20),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reader_change")),
    )
    op.create_table(
        "reader_tally",
        uuid("owner_id"),
        *whole("basis", "level", "cell_north", "cell_east"),
        text_("regency", 5),
        text_("function", 2),
        text_("state", 20),
        text_("kind", 20),
        uuid("buyer_id"),
        uuid("maker_id"),
        *whole("count"),
        sa.Column("latitude", sa.BigInteger(), nullable=False),
        sa.Column("longitude", sa.BigInteger(), nullable=False),
        *whole("south", "west", "north", "east"),
        text_("first_code", 13),
        text_("last_code", 13),
        sa.PrimaryKeyConstraint(
            "owner_id", "basis", "level", "cell_north", "cell_east", "regency", "function", "state", "kind", "buyer_id", "maker_id",
            name=op.f("pk_reader_tally"),
        ),
    )  # fmt: skip
    op.create_index(op.f("ix_reader_tally_buyer_id_level"), "reader_tally", ["buyer_id", "level"])
    op.create_table(
        "activation_tally",
        uuid("owner_id"),
        *whole("basis", "zone", "day"),
        uuid("buyer_id"),
        uuid("maker_id"),
        *whole("count"),
        sa.PrimaryKeyConstraint("owner_id", "basis", "zone", "day", "buyer_id", "maker_id", name=op.f("pk_activation_tally")),
    )
    op.create_index(op.f("ix_activation_tally_buyer_id_zone_day"), "activation_tally", ["buyer_id", "zone", "day"])
    op.create_table(
        "stage_tally",
        uuid("owner_id"),
        *whole("basis", "month"),
        text_("stage", 20),
        *whole("days"),
        uuid("buyer_id"),
        uuid("maker_id"),
        *whole("count"),
        sa.PrimaryKeyConstraint("owner_id", "basis", "month", "stage", "days", "buyer_id", "maker_id", name=op.f("pk_stage_tally")),
    )
    op.create_index(op.f("ix_stage_tally_buyer_id_month"), "stage_tally", ["buyer_id", "month"])
    op.create_table("stage_calendar", text_("holidays", 64), sa.PrimaryKeyConstraint("holidays", name=op.f("pk_stage_calendar")))
    # Each manifest came, and some went: the worker counts both.
    op.execute(
        "INSERT INTO reader_change (activation_id, former_state, state) SELECT activation_id, '', 'active' FROM manifest ORDER BY id"
    )
    op.execute(
        "INSERT INTO reader_change (activation_id, former_state, state)"
        " SELECT activation_id, 'active', state FROM manifest WHERE state <> 'active' ORDER BY id"
    )
    op.create_index(op.f("ix_activation_longitude_e7_latitude_e7"), "activation", ["longitude_e7", "latitude_e7"])
    op.create_index(op.f("ix_handover_card_handover_id_position"), "handover_card", ["handover_id", "position"])
    for table, column in PARTS:
        op.create_index(f"ix_{table}_{column}_part", table, [column], postgresql_using="gin", postgresql_ops={column: "gin_trgm_ops"})
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_activation_regency", "activation", [sa.text("substr(region_code, 1, 5)"), "card_id"])


def _cards() -> None:
    op.drop_table("card_tally")
    op.drop_table("card_tally_change")
    op.create_table(
        "card_tally",
        *map(uuid, ("holder_id", "buyer_id", "model_id")),
        text_("state", 20),
        *whole("count"),
        sa.PrimaryKeyConstraint("holder_id", "buyer_id", "model_id", "state", name=op.f("pk_card_tally")),
    )
    op.create_index(op.f("ix_card_tally_buyer_id"), "card_tally", ["buyer_id"])
    op.create_index(op.f("ix_card_tally_model_id_holder_id"), "card_tally", ["model_id", "holder_id"])
    op.create_table(
        "card_tally_change",
        sa.Column("id", NUMBER, nullable=False),
        *map(uuid, ("holder_id", "buyer_id")),
        uuid("unit_id", nullable=True),
        text_("state", 20),
        *whole("amount"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_tally_change")),
    )
    nobody = f"'{NOBODY}'::uuid" if op.get_bind().dialect.name == "postgresql" else f"'{NOBODY.replace('-', '')}'"
    for owners in ("c.holder_id, c.buyer_id", f"{nobody}, {nobody}"):
        op.execute(
            "INSERT INTO card_tally (holder_id, buyer_id, model_id, state, count)"  # noqa: S608  # constants
            f" SELECT {owners}, COALESCE(u.model_id, {nobody}), c.state, COUNT(*)"
            f" FROM card c LEFT JOIN unit u ON u.id = c.unit_id GROUP BY {'1, 2, 3, 4' if 'holder' in owners else '3, 4'}"  # constants
        )
