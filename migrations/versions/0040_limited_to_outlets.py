"""An account may be limited to outlets of its organisation, and outlets are open or closed. No account of before is limited.

Each outlet of before is open, by the audit entry that registered it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

FIRST = "SELECT d.act_id FROM row_digest d WHERE d.kind = 'outlet' AND d.object_id = outlet.id AND d.version = 1"
FACT = "SELECT e.{column} FROM audit_entry e WHERE e.id = outlet.act_id"
STEP = """
    INSERT INTO history (object_kind, object_id, from_state, to_state, at, user_id, note, act_id)
    SELECT 'outlet', id, '', state, changed_at, changed_by, change_note, act_id FROM outlet ORDER BY id
"""


def upgrade() -> None:
    op.add_column("user_account", sa.Column("outlets", sa.Text(), nullable=True))
    columns = (
        ("state", sa.String(20)),
        ("revision", sa.Integer()),
        ("changed_at", sa.DateTime(timezone=True)),
        ("change_note", sa.Text()),
        ("act_id", sa.Uuid()),
    )
    for name, kind in (*columns, ("changed_by", sa.Uuid())):
        op.add_column("outlet", sa.Column(name, kind, nullable=True))
    op.execute(f"UPDATE outlet SET state = 'open', revision = 1, change_note = '', act_id = ({FIRST})")  # noqa: S608  # constants
    op.execute(f"UPDATE outlet SET changed_at = ({FACT.format(column='at')}), changed_by = ({FACT.format(column='user_id')})")  # noqa: S608  # constants
    op.execute(STEP)
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no table is altered while a check on its rows waits
    with op.batch_alter_table("outlet") as batch:
        for name, kind in columns:
            batch.alter_column(name, existing_type=kind, nullable=False)
        batch.create_foreign_key(op.f("fk_outlet_act_id"), "audit_entry", ["act_id"], ["id"], initially="DEFERRED", deferrable=True)
        batch.create_check_constraint(op.f("ck_outlet_state"), "state IN ('open', 'closed')")
    op.create_index(op.f("ix_outlet_state"), "outlet", ["state"])
