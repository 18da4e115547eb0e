"""A stated accuracy is never negative; tokens are found by the moment they lapse."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("activation") as batch:
        batch.create_check_constraint(op.f("ck_activation_accuracy"), "accuracy_m >= 0")
    op.create_index(op.f("ix_token_state_expires_at"), "token", ["state", "expires_at"])
