"""Requests of any number of cards: what the database counted at every row is held by indexes, and tokens of many cards are made later.

Personalised cards get places within the quantity of their request. Nothing is made later for requests that are approved already.
"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

VALID = sa.text("state IN ('issued', 'redeemed')")
WAITING = sa.text("ended_at IS NULL")
MOMENT = sa.DateTime(timezone=True)
# The order in which results came in: ids are of their time.
PLACES = """
UPDATE personalisation_result SET place = (SELECT n.place FROM (
    SELECT id, ROW_NUMBER() OVER (PARTITION BY personalisation_request_id ORDER BY id) AS place
    FROM personalisation_result WHERE outcome = 'personalised') n WHERE n.id = personalisation_result.id)
WHERE outcome = 'personalised'
"""


def upgrade() -> None:
    op.drop_index("uq_token_open", "token")
    op.create_index(
        "uq_token_valid", "token", ["activation_request_id", "card_id"], unique=True, sqlite_where=VALID, postgresql_where=VALID
    )
    op.create_table(
        "token_issue",
        sa.Column("activation_request_id", sa.Uuid(), nullable=False),
        sa.Column("made_to", sa.Integer(), nullable=False),
        sa.Column("passed_over", sa.Integer(), nullable=False),
        sa.Column("began_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint("made_to >= 0 AND passed_over BETWEEN 0 AND made_to", name=op.f("ck_token_issue_counts")),
        sa.ForeignKeyConstraint(["activation_request_id"], ["activation_request.id"], name=op.f("fk_token_issue_activation_request_id")),
        sa.PrimaryKeyConstraint("activation_request_id", name=op.f("pk_token_issue")),
    )
    op.create_index("ix_token_issue_waiting", "token_issue", ["activation_request_id"], sqlite_where=WAITING, postgresql_where=WAITING)
    op.add_column("personalisation_result", sa.Column("place", sa.Integer(), nullable=True))
    op.execute(PLACES)
    with op.batch_alter_table("personalisation_result") as batch:
        batch.create_unique_constraint(
            op.f("uq_personalisation_result_personalisation_request_id_place"), ["personalisation_request_id", "place"]
        )
        batch.create_check_constraint(op.f("ck_personalisation_result_place"), "(outcome = 'personalised') = (place IS NOT NULL)")
        batch.create_check_constraint(op.f("ck_personalisation_result_place_from"), "place >= 1")
