"""Orders to issue manifests anew: a token and an activation may be made for one, without a request and a place of their own.

Tokens and activations of before were asked for by a holder.
"""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
VALID = "state IN ('issued', 'redeemed') AND reissue_id IS NULL"
OF_REISSUE = "reissue_id IS NOT NULL"
CARRIED = "stated_by IS NOT NULL"
GOING = "ended_at IS NULL"
WAITING = "outcome = 'waiting'"


def upgrade() -> None:
    _make_orders()
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no table is altered while a check on its rows waits
    op.drop_index("uq_token_valid", "token")
    with op.batch_alter_table("token") as batch:
        batch.add_column(sa.Column("reissue_id", sa.Uuid(), nullable=True))
        batch.create_foreign_key(op.f("fk_token_reissue_id"), "reissue", ["reissue_id"], ["id"])
    _index("uq_token_valid", "token", ["activation_request_id", "card_id"], VALID, unique=True)
    _index("uq_token_reissue", "token", ["reissue_id", "card_id"], OF_REISSUE, unique=True)
    with op.batch_alter_table("activation") as batch:
        batch.add_column(sa.Column("stated_by", sa.Uuid(), nullable=True))
        batch.create_foreign_key(op.f("fk_activation_stated_by"), "activation", ["stated_by"], ["id"])
        batch.drop_constraint(op.f("ck_activation_source"), type_="check")
        batch.create_check_constraint(op.f("ck_activation_source"), "source IN ('device', 'map', 'typed', 'carried')")
        batch.create_check_constraint(op.f("ck_activation_stated_by"), "(source = 'carried') = (stated_by IS NOT NULL)")
    _index("ix_activation_stated_by", "activation", ["stated_by"], CARRIED)


def _make_orders() -> None:
    op.create_table(
        "reissue",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kid", sa.String(43), nullable=False),
        sa.Column("label", sa.String(40), nullable=False),
        sa.Column("cause", sa.String(12), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("began_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("cause IN ('compromised', 'replaced')", name=op.f("ck_reissue_cause")),
        sa.CheckConstraint("total >= 0", name=op.f("ck_reissue_total")),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_reissue_act_id"), initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reissue")),
    )
    _index("ix_reissue_going", "reissue", ["id"], GOING)
    op.create_table(
        "reissue_card",
        *(sa.Column(name, sa.Uuid(), nullable=False) for name in ("reissue_id", "manifest_id", "card_id", "organisation_id")),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("new_manifest_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("outcome IN ('waiting', 'carried', 'passed_over')", name=op.f("ck_reissue_card_outcome")),
        sa.CheckConstraint("(outcome = 'carried') = (new_manifest_id IS NOT NULL)", name=op.f("ck_reissue_card_carried")),
        sa.CheckConstraint("(outcome = 'passed_over') = (reason <> '')", name=op.f("ck_reissue_card_reason")),
        *(
            sa.ForeignKeyConstraint([name], [key], name=op.f(f"fk_reissue_card_{name}"))
            for name, key in (
                ("reissue_id", "reissue.id"),
                ("manifest_id", "manifest.id"),
                ("card_id", "card.id"),
                ("organisation_id", "organisation.id"),
                ("new_manifest_id", "manifest.id"),
            )
        ),
        sa.PrimaryKeyConstraint("reissue_id", "manifest_id", name=op.f("pk_reissue_card")),
        sa.UniqueConstraint("reissue_id", "card_id", name=op.f("uq_reissue_card_reissue_id_card_id")),
        sa.UniqueConstraint("new_manifest_id", name=op.f("uq_reissue_card_new_manifest_id")),
    )
    op.create_index(op.f("ix_reissue_card_organisation_id_manifest_id"), "reissue_card", ["organisation_id", "manifest_id"])
    _index("ix_reissue_card_waiting", "reissue_card", ["reissue_id", "manifest_id"], WAITING)
    for name in ("manifest_id", "card_id"):
        op.create_index(op.f(f"ix_reissue_card_{name}"), "reissue_card", [name])


def _index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
