"""Certificates of models and the cases that lead to them; changes of reference data that wait for a second person."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
OPEN = sa.text("state IN ('applied', 'approved_to_test', 'tested')")


def upgrade() -> None:
    _cases()
    _approvals()
    _certificates()
    _changes()


def _stateful(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f(f"fk_{table}_act_id"), initially="DEFERRED", deferrable=True),
    ]


def _cases() -> None:
    op.create_table(
        "model_case",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("letter_number", sa.String(100), nullable=False),
        sa.Column("letter_date", sa.Date(), nullable=False),
        sa.Column("letter_document_id", sa.Uuid(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("digest", sa.String(64), nullable=True),
        sa.Column("required_approvals", sa.Integer(), nullable=False),
        sa.Column("submitted_at", MOMENT, nullable=True),
        sa.Column("verified_at", MOMENT, nullable=True),
        sa.Column("submitted_by_person", sa.Uuid(), nullable=True),
        sa.Column("submitted_by_user", sa.Uuid(), nullable=True),
        *_stateful("model_case"),
        sa.CheckConstraint(
            "state IN ('applied', 'approved_to_test', 'tested', 'certified', 'reported', 'rejected', 'cancelled')",
            name=op.f("ck_model_case_state"),
        ),
        sa.CheckConstraint("kind IN ('testing', 'certification')", name=op.f("ck_model_case_kind")),
        sa.ForeignKeyConstraint(["model_id"], ["device_model.id"], name=op.f("fk_model_case_model_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_model_case_organisation_id")),
        sa.ForeignKeyConstraint(["letter_document_id"], ["document.id"], name=op.f("fk_model_case_letter_document_id")),
        sa.ForeignKeyConstraint(["submitted_by_person"], ["person.id"], name=op.f("fk_model_case_submitted_by_person")),
        sa.ForeignKeyConstraint(["submitted_by_user"], ["user_account.id"], name=op.f("fk_model_case_submitted_by_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_case")),
    )
    op.create_index(op.f("ix_model_case_model_id"), "model_case", ["model_id"])
    op.create_index(op.f("ix_model_case_state"), "model_case", ["state"])
    op.create_index(op.f("ix_model_case_organisation_id_id"), "model_case", ["organisation_id", "id"])
    op.create_index("uq_model_case_open", "model_case", ["model_id", "kind"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)


def _approvals() -> None:
    op.create_table(
        "model_case_approval",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model_case_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["model_case_id"], ["model_case.id"], name=op.f("fk_model_case_approval_model_case_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_model_case_approval_person_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_model_case_approval_user_id")),
        sa.ForeignKeyConstraint(
            ["act_id"], ["audit_entry.id"], name=op.f("fk_model_case_approval_act_id"), initially="DEFERRED", deferrable=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_case_approval")),
        sa.UniqueConstraint("model_case_id", "person_id", "digest", name=op.f("uq_model_case_approval_model_case_id_person_id_digest")),
    )


def _certificates() -> None:
    op.create_table(
        "model_certificate",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model_case_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("number", sa.String(100), nullable=False),
        sa.Column("issuer", sa.String(200), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=False),
        sa.Column("tkdn_e2", sa.Integer(), nullable=True),
        sa.Column("tkdn_min_e2", sa.Integer(), nullable=False),
        sa.Column("legal_basis", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("kind IN ('test', 'tkdn')", name=op.f("ck_model_certificate_kind")),
        sa.CheckConstraint("issued_on <= valid_until", name=op.f("ck_model_certificate_dates")),
        sa.CheckConstraint("(kind = 'tkdn') = (tkdn_e2 IS NOT NULL)", name=op.f("ck_model_certificate_tkdn")),
        sa.CheckConstraint("tkdn_e2 IS NULL OR (tkdn_e2 >= tkdn_min_e2 AND tkdn_e2 <= 10000)", name=op.f("ck_model_certificate_tkdn_min")),
        sa.ForeignKeyConstraint(["model_case_id"], ["model_case.id"], name=op.f("fk_model_certificate_model_case_id")),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_model_certificate_document_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_certificate")),
        sa.UniqueConstraint("model_case_id", name=op.f("uq_model_certificate_model_case_id")),
    )


def _changes() -> None:
    op.create_table(
        "reference_change",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("content", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("proposed_by_person", sa.Uuid(), nullable=False),
        sa.Column("proposed_at", MOMENT, nullable=False),
        sa.Column("decided_by_person", sa.Uuid(), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        *_stateful("reference_change"),
        sa.CheckConstraint("state IN ('proposed', 'executed', 'rejected')", name=op.f("ck_reference_change_state")),
        sa.CheckConstraint("kind IN ('organisations', 'agreements', 'models')", name=op.f("ck_reference_change_kind")),
        sa.ForeignKeyConstraint(["proposed_by_person"], ["person.id"], name=op.f("fk_reference_change_proposed_by_person")),
        sa.ForeignKeyConstraint(["decided_by_person"], ["person.id"], name=op.f("fk_reference_change_decided_by_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reference_change")),
    )
    op.create_index(op.f("ix_reference_change_state"), "reference_change", ["state"])
