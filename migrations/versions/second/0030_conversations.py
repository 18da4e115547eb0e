"""Conversations about requests, handovers and destructions. What was sent stays as it was sent: triggers hold both tables."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "conversation_message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("object_kind", sa.String(40), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "object_kind IN ('personalisation_request', 'activation_request', 'handover', 'destruction')",
            name=op.f("ck_conversation_message_object_kind"),
        ),
        sa.CheckConstraint("length(body) BETWEEN 1 AND 4000", name=op.f("ck_conversation_message_body")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_conversation_message_organisation_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_conversation_message_person_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_conversation_message_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversation_message")),
    )
    op.create_index(op.f("ix_conversation_message_object_kind_object_id_id"), "conversation_message", ["object_kind", "object_id", "id"])
    op.create_table(
        "conversation_attachment",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["conversation_message.id"], name=op.f("fk_conversation_attachment_message_id")),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_conversation_attachment_document_id")),
        sa.PrimaryKeyConstraint("message_id", "position", name=op.f("pk_conversation_attachment")),
    )
    op.create_index(op.f("ix_conversation_attachment_document_id"), "conversation_attachment", ["document_id"])
