"""Units without a card are kept apart, so that forms and lists offer them without looking at all others."""

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None
WORKING = sa.text("condition = 'working'")


def upgrade() -> None:
    op.create_table(
        "free_unit",
        *(sa.Column(name, sa.Uuid(), nullable=False) for name in ("unit_id", "organisation_id", "model_id")),
        sa.Column("function", sa.String(2), nullable=False),
        sa.Column("hardware_number", sa.String(40), nullable=False),
        sa.Column("condition", sa.String(20), nullable=False),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_free_unit_unit_id")),
        sa.PrimaryKeyConstraint("unit_id", name=op.f("pk_free_unit")),
    )
    op.execute(
        "INSERT INTO free_unit (unit_id, organisation_id, model_id, function, hardware_number, condition)"
        " SELECT u.id, u.organisation_id, u.model_id, u.function, u.hardware_number, u.state FROM unit u WHERE NOT EXISTS"
        " (SELECT 1 FROM card c WHERE c.unit_id = u.id AND c.state NOT IN ('damaged', 'locked', 'revoked', 'destroyed')) ORDER BY u.id"
    )
    op.create_index(op.f("ix_free_unit_organisation_id_unit_id"), "free_unit", ["organisation_id", "unit_id"])
    columns = {"working": ["organisation_id", "function", "hardware_number"], "of_model": ["model_id", "function", "organisation_id"]}
    for name, those in columns.items():
        op.create_index(f"ix_free_unit_{name}", "free_unit", those, sqlite_where=WORKING, postgresql_where=WORKING)
