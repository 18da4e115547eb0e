"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("object_kind", sa.String(length=40), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("ip", sa.String(length=45), nullable=False),
        sa.Column("data", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.create_index(op.f("ix_audit_entry_object_kind_object_id_id"), "audit_entry", ["object_kind", "object_id", "id"], unique=False)
    op.create_index(op.f("ix_audit_entry_organisation_id_id"), "audit_entry", ["organisation_id", "id"], unique=False)
    op.create_table(
        "document_counter",
        sa.Column("series", sa.String(length=20), nullable=False),
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("series", "year", name=op.f("pk_document_counter")),
    )
    op.create_table(
        "idempotency_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_key")),
        sa.UniqueConstraint("actor", "key", name=op.f("uq_idempotency_key_actor_key")),
    )
    op.create_table(
        "organisation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("region_code", sa.String(length=13), nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('directorate', 'province_office', 'regency_office', 'institution', 'manufacturer')", name=op.f("ck_organisation_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisation")),
        sa.UniqueConstraint("kind", "name", name=op.f("uq_organisation_kind_name")),
    )
    op.create_index(op.f("ix_organisation_region_code"), "organisation", ["region_code"], unique=False)
    op.create_table(
        "person",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("identity", sa.String(length=120), nullable=False),
        sa.Column("id_kind", sa.String(length=10), nullable=False),
        sa.Column("id_number", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("email", sa.String(length=200), nullable=False),
        sa.Column("phone", sa.String(length=30), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("identity", name=op.f("uq_person_identity")),
    )
    op.create_table(
        "region",
        sa.Column("code", sa.String(length=13), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("parent_code", sa.String(length=13), nullable=True),
        sa.Column("version", sa.String(length=20), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("successor_code", sa.String(length=13), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_region")),
    )
    op.create_index(op.f("ix_region_name"), "region", ["name"], unique=False)
    op.create_index(op.f("ix_region_parent_code_code"), "region", ["parent_code", "code"], unique=False)
    op.create_table(
        "region_source",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("version", sa.String(length=20), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_region_source")),
    )
    op.create_table(
        "status_list",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("next_index", sa.Integer(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_status_list")),
    )
    op.create_table(
        "throttle",
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_throttle")),
    )
    op.create_table(
        "agreement",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(length=100), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("valid_from <= valid_until", name=op.f("ck_agreement_dates")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_agreement_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agreement")),
        sa.UniqueConstraint("organisation_id", "number", name=op.f("uq_agreement_organisation_id_number")),
    )
    op.create_index(op.f("ix_agreement_organisation_id"), "agreement", ["organisation_id"], unique=False)
    op.create_table(
        "data_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_data_key_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_key")),
        sa.UniqueConstraint("organisation_id", "month", name=op.f("uq_data_key_organisation_id_month")),
    )
    op.create_table(
        "device_model",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("manufacturer_id", sa.Uuid(), nullable=False),
        sa.Column("function", sa.String(length=2), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["manufacturer_id"], ["organisation.id"], name=op.f("fk_device_model_manufacturer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_model")),
        sa.UniqueConstraint("name", name=op.f("uq_device_model_name")),
    )
    op.create_table(
        "history",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("object_kind", sa.String(length=40), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("from_state", sa.String(length=20), nullable=False),
        sa.Column("to_state", sa.String(length=20), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_history_act_id"), initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history")),
    )
    op.create_index(op.f("ix_history_act_id"), "history", ["act_id"], unique=False)
    op.create_index(op.f("ix_history_object_kind_object_id_id"), "history", ["object_kind", "object_id", "id"], unique=False)
    op.create_table(
        "published_status_list",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.Column("jws", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["status_list.number"], name=op.f("fk_published_status_list_number")),
        sa.PrimaryKeyConstraint("number", "seq", name=op.f("pk_published_status_list")),
    )
    op.create_table(
        "user_account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("username", sa.String(length=60), nullable=False),
        sa.Column("roles", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("totp_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("totp_last_step", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "NOT (roles LIKE '%%user_admin%%' AND roles LIKE '%%approver%%')", name=op.f("ck_user_account_admin_never_approver")
        ),
        sa.CheckConstraint("roles NOT LIKE '%%auditor%%' OR roles = 'auditor'", name=op.f("ck_user_account_auditor_alone")),
        sa.CheckConstraint("state <> 'active' OR (password_hash <> '' AND totp_sealed IS NOT NULL)", name=op.f("ck_user_account_enrolled")),
        sa.CheckConstraint("state IN ('invited', 'active', 'disabled')", name=op.f("ck_user_account_state")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_user_account_organisation_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_user_account_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("username", name=op.f("uq_user_account_username")),
    )
    op.create_index(op.f("ix_user_account_organisation_id"), "user_account", ["organisation_id"], unique=False)
    op.create_index(op.f("ix_user_account_person_id"), "user_account", ["person_id"], unique=False)
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("prefix", sa.String(length=12), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["user_account.id"], name=op.f("fk_api_key_created_by")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_api_key_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_key_key_hash")),
    )
    op.create_index(op.f("ix_api_key_organisation_id"), "api_key", ["organisation_id"], unique=False)
    op.create_table(
        "destruction",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("cause", sa.String(length=10), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("number", sa.String(length=60), nullable=True),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("executed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("method", sa.Text(), nullable=True),
        sa.Column("official_name", sa.String(length=200), nullable=True),
        sa.Column("official_id_kind", sa.String(length=10), nullable=True),
        sa.Column("official_id_number", sa.String(length=40), nullable=True),
        sa.Column("official_position", sa.String(length=200), nullable=True),
        sa.Column("legal_basis", sa.Text(), nullable=True),
        sa.Column("record_digest", sa.String(length=64), nullable=True),
        sa.Column("recorded_by_person", sa.Uuid(), nullable=True),
        sa.Column("verified_by_person", sa.Uuid(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("required_approvals", sa.Integer(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submitted_by_person", sa.Uuid(), nullable=True),
        sa.Column("submitted_by_user", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("cause IN ('damaged', 'locked', 'revoked')", name=op.f("ck_destruction_cause")),
        sa.CheckConstraint(
            "state IN ('proposed', 'approved', 'rejected', 'executed', 'verified', 'cancelled')", name=op.f("ck_destruction_state")
        ),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_destruction_act_id"), initially="DEFERRED", deferrable=True),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_destruction_organisation_id")),
        sa.ForeignKeyConstraint(["recorded_by_person"], ["person.id"], name=op.f("fk_destruction_recorded_by_person")),
        sa.ForeignKeyConstraint(["submitted_by_person"], ["person.id"], name=op.f("fk_destruction_submitted_by_person")),
        sa.ForeignKeyConstraint(["submitted_by_user"], ["user_account.id"], name=op.f("fk_destruction_submitted_by_user")),
        sa.ForeignKeyConstraint(["verified_by_person"], ["person.id"], name=op.f("fk_destruction_verified_by_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destruction")),
        sa.UniqueConstraint("number", name=op.f("uq_destruction_number")),
    )
    op.create_index(op.f("ix_destruction_organisation_id_id"), "destruction", ["organisation_id", "id"], unique=False)
    op.create_index(op.f("ix_destruction_state"), "destruction", ["state"], unique=False)
    op.create_table(
        "document",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("filename", sa.String(length=200), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("uploaded_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_document_sha256")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_document_organisation_id")),
        sa.ForeignKeyConstraint(["uploaded_by"], ["user_account.id"], name=op.f("fk_document_uploaded_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document")),
    )
    op.create_index(op.f("ix_document_organisation_id"), "document", ["organisation_id"], unique=False)
    op.create_index(op.f("ix_document_sha256"), "document", ["sha256"], unique=False)
    op.create_table(
        "handover",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(length=60), nullable=False),
        sa.Column("issuer_id", sa.Uuid(), nullable=False),
        sa.Column("receiver_id", sa.Uuid(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_by", sa.Uuid(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("state IN ('issued', 'received', 'cancelled', 'refused')", name=op.f("ck_handover_state")),
        sa.CheckConstraint("issuer_id <> receiver_id", name=op.f("ck_handover_two_parties")),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_handover_act_id"), initially="DEFERRED", deferrable=True),
        sa.ForeignKeyConstraint(["issued_by"], ["user_account.id"], name=op.f("fk_handover_issued_by")),
        sa.ForeignKeyConstraint(["issuer_id"], ["organisation.id"], name=op.f("fk_handover_issuer_id")),
        sa.ForeignKeyConstraint(["receiver_id"], ["organisation.id"], name=op.f("fk_handover_receiver_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handover")),
        sa.UniqueConstraint("number", name=op.f("uq_handover_number")),
    )
    op.create_index(op.f("ix_handover_issuer_id_id"), "handover", ["issuer_id", "id"], unique=False)
    op.create_index(op.f("ix_handover_receiver_id_id"), "handover", ["receiver_id", "id"], unique=False)
    op.create_index(op.f("ix_handover_state"), "handover", ["state"], unique=False)
    op.create_table(
        "invitation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("totp_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_invitation_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitation")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_invitation_token_hash")),
    )
    op.create_index(op.f("ix_invitation_user_id"), "invitation", ["user_id"], unique=False)
    op.create_table(
        "login_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("otp_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("otp_tries", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.String(length=40), nullable=False),
        sa.Column("ip", sa.String(length=45), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_login_session_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_session")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_login_session_token_hash")),
    )
    op.create_index(op.f("ix_login_session_user_id"), "login_session", ["user_id"], unique=False)
    op.create_table(
        "unit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("hardware_number", sa.String(length=40), nullable=False),
        sa.Column("function", sa.String(length=2), nullable=False),
        sa.Column("pcid", sa.String(length=32), nullable=True),
        sa.Column("sam_perso", sa.String(length=16), nullable=False),
        sa.Column("public_jwk", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("function IN ('R', 'RW')", name=op.f("ck_unit_function")),
        sa.CheckConstraint("pcid IS NULL OR (length(pcid) = 32 AND pcid = upper(pcid))", name=op.f("ck_unit_pcid")),
        sa.ForeignKeyConstraint(["model_id"], ["device_model.id"], name=op.f("fk_unit_model_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_unit_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unit")),
        sa.UniqueConstraint("organisation_id", "hardware_number", name=op.f("uq_unit_organisation_id_hardware_number")),
        sa.UniqueConstraint("pcid", name=op.f("uq_unit_pcid")),
    )
    op.create_index(op.f("ix_unit_hardware_number"), "unit", ["hardware_number"], unique=False)
    op.create_index(op.f("ix_unit_organisation_id"), "unit", ["organisation_id"], unique=False)
    op.create_table(
        "user_change",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("change", sa.String(length=20), nullable=False),
        sa.Column("roles", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("proposed_by_person", sa.Uuid(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by_person", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_first", sa.Boolean(), nullable=False),
        sa.CheckConstraint("state IN ('proposed', 'executed', 'rejected')", name=op.f("ck_user_change_state")),
        sa.ForeignKeyConstraint(["decided_by_person"], ["person.id"], name=op.f("fk_user_change_decided_by_person")),
        sa.ForeignKeyConstraint(["proposed_by_person"], ["person.id"], name=op.f("fk_user_change_proposed_by_person")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_user_change_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_change")),
    )
    op.create_index(op.f("ix_user_change_state"), "user_change", ["state"], unique=False)
    op.create_index(op.f("ix_user_change_user_id"), "user_change", ["user_id"], unique=False)
    op.create_table(
        "destruction_approval",
        sa.Column("destruction_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["act_id"], ["audit_entry.id"], name=op.f("fk_destruction_approval_act_id"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(["destruction_id"], ["destruction.id"], name=op.f("fk_destruction_approval_destruction_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_destruction_approval_person_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_destruction_approval_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destruction_approval")),
        sa.UniqueConstraint("destruction_id", "person_id", "digest", name=op.f("uq_destruction_approval_destruction_id_person_id_digest")),
    )
    op.create_table(
        "destruction_photo",
        sa.Column("destruction_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["destruction_id"], ["destruction.id"], name=op.f("fk_destruction_photo_destruction_id")),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_destruction_photo_document_id")),
        sa.PrimaryKeyConstraint("destruction_id", "document_id", name=op.f("pk_destruction_photo")),
    )
    op.create_table(
        "destruction_witness",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("destruction_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("id_kind", sa.String(length=10), nullable=False),
        sa.Column("id_number", sa.String(length=40), nullable=False),
        sa.Column("office", sa.String(length=200), nullable=False),
        sa.Column("job", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["destruction_id"], ["destruction.id"], name=op.f("fk_destruction_witness_destruction_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destruction_witness")),
        sa.UniqueConstraint("destruction_id", "id_kind", "id_number", name=op.f("uq_destruction_witness_destruction_id_id_kind_id_number")),
    )
    op.create_table(
        "personalisation_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("requester_id", sa.Uuid(), nullable=False),
        sa.Column("buyer_id", sa.Uuid(), nullable=False),
        sa.Column("function", sa.String(length=2), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("purchase_order_number", sa.String(length=100), nullable=False),
        sa.Column("purchase_order_document_id", sa.Uuid(), nullable=True),
        sa.Column("batch_document_id", sa.Uuid(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("letter_number", sa.String(length=100), nullable=False),
        sa.Column("letter_key", sa.String(length=100), nullable=False),
        sa.Column("letter_date", sa.Date(), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("letter_document_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("required_approvals", sa.Integer(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submitted_by_person", sa.Uuid(), nullable=True),
        sa.Column("submitted_by_user", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("function = 'R' OR required_approvals >= 2", name=op.f("ck_personalisation_request_two_approvers")),
        sa.CheckConstraint("function IN ('R', 'RW')", name=op.f("ck_personalisation_request_function")),
        sa.CheckConstraint(
            "state IN ('draft', 'returned', 'cancelled') OR digest IS NOT NULL", name=op.f("ck_personalisation_request_digest")
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'submitted', 'returned', 'approved', 'rejected', 'personalising', 'completed', 'cancelled')",
            name=op.f("ck_personalisation_request_state"),
        ),
        sa.CheckConstraint("quantity BETWEEN 1 AND 100000", name=op.f("ck_personalisation_request_quantity")),
        sa.ForeignKeyConstraint(
            ["act_id"], ["audit_entry.id"], name=op.f("fk_personalisation_request_act_id"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(["batch_document_id"], ["document.id"], name=op.f("fk_personalisation_request_batch_document_id")),
        sa.ForeignKeyConstraint(["buyer_id"], ["organisation.id"], name=op.f("fk_personalisation_request_buyer_id")),
        sa.ForeignKeyConstraint(["letter_document_id"], ["document.id"], name=op.f("fk_personalisation_request_letter_document_id")),
        sa.ForeignKeyConstraint(
            ["purchase_order_document_id"], ["document.id"], name=op.f("fk_personalisation_request_purchase_order_document_id")
        ),
        sa.ForeignKeyConstraint(["requester_id"], ["organisation.id"], name=op.f("fk_personalisation_request_requester_id")),
        sa.ForeignKeyConstraint(["submitted_by_person"], ["person.id"], name=op.f("fk_personalisation_request_submitted_by_person")),
        sa.ForeignKeyConstraint(["submitted_by_user"], ["user_account.id"], name=op.f("fk_personalisation_request_submitted_by_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_personalisation_request")),
    )
    op.create_index(op.f("ix_personalisation_request_buyer_id_id"), "personalisation_request", ["buyer_id", "id"], unique=False)
    op.create_index(op.f("ix_personalisation_request_requester_id_id"), "personalisation_request", ["requester_id", "id"], unique=False)
    op.create_index(op.f("ix_personalisation_request_state"), "personalisation_request", ["state"], unique=False)
    op.create_index(
        "uq_personalisation_request_letter",
        "personalisation_request",
        ["requester_id", "letter_key", "letter_date"],
        unique=True,
        sqlite_where=sa.text("state NOT IN ('rejected', 'cancelled')"),
        postgresql_where=sa.text("state NOT IN ('rejected', 'cancelled')"),
    )
    op.create_table(
        "activation_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("function", sa.String(length=2), nullable=False),
        sa.Column("machines", sa.Integer(), nullable=False),
        sa.Column("redeemed", sa.Integer(), nullable=False),
        sa.Column("personalisation_request_id", sa.Uuid(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("letter_number", sa.String(length=100), nullable=False),
        sa.Column("letter_key", sa.String(length=100), nullable=False),
        sa.Column("letter_date", sa.Date(), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("letter_document_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("required_approvals", sa.Integer(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submitted_by_person", sa.Uuid(), nullable=True),
        sa.Column("submitted_by_user", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("function = 'R' OR required_approvals >= 2", name=op.f("ck_activation_request_two_approvers")),
        sa.CheckConstraint("function IN ('R', 'RW')", name=op.f("ck_activation_request_function")),
        sa.CheckConstraint("kind IN ('new', 'relocation', 'renewal')", name=op.f("ck_activation_request_kind")),
        sa.CheckConstraint("state IN ('draft', 'returned', 'cancelled') OR digest IS NOT NULL", name=op.f("ck_activation_request_digest")),
        sa.CheckConstraint(
            "state IN ('draft', 'submitted', 'returned', 'approved', 'rejected', 'completed', 'expired', 'cancelled')",
            name=op.f("ck_activation_request_state"),
        ),
        sa.CheckConstraint("machines BETWEEN 1 AND 100000", name=op.f("ck_activation_request_machines")),
        sa.CheckConstraint("redeemed BETWEEN 0 AND machines", name=op.f("ck_activation_request_redeemed")),
        sa.ForeignKeyConstraint(
            ["act_id"], ["audit_entry.id"], name=op.f("fk_activation_request_act_id"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(["letter_document_id"], ["document.id"], name=op.f("fk_activation_request_letter_document_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_activation_request_organisation_id")),
        sa.ForeignKeyConstraint(
            ["personalisation_request_id"], ["personalisation_request.id"], name=op.f("fk_activation_request_personalisation_request_id")
        ),
        sa.ForeignKeyConstraint(["submitted_by_person"], ["person.id"], name=op.f("fk_activation_request_submitted_by_person")),
        sa.ForeignKeyConstraint(["submitted_by_user"], ["user_account.id"], name=op.f("fk_activation_request_submitted_by_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activation_request")),
    )
    op.create_index(op.f("ix_activation_request_organisation_id_id"), "activation_request", ["organisation_id", "id"], unique=False)
    op.create_index(op.f("ix_activation_request_state"), "activation_request", ["state"], unique=False)
    op.create_index(
        "uq_activation_request_letter",
        "activation_request",
        ["organisation_id", "letter_key", "letter_date"],
        unique=True,
        sqlite_where=sa.text("state NOT IN ('rejected', 'cancelled')"),
        postgresql_where=sa.text("state NOT IN ('rejected', 'cancelled')"),
    )
    op.create_table(
        "batch_row",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("personalisation_request_id", sa.Uuid(), nullable=False),
        sa.Column("row_no", sa.Integer(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("pcid", sa.String(length=32), nullable=False),
        sa.Column("sam_uid", sa.String(length=16), nullable=True),
        sa.Column("sam_perso", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["personalisation_request_id"], ["personalisation_request.id"], name=op.f("fk_batch_row_personalisation_request_id")
        ),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_batch_row_unit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_row")),
        sa.UniqueConstraint("personalisation_request_id", "row_no", name=op.f("uq_batch_row_personalisation_request_id_row_no")),
        sa.UniqueConstraint("personalisation_request_id", "unit_id", name=op.f("uq_batch_row_personalisation_request_id_unit_id")),
    )
    op.create_index(op.f("ix_batch_row_personalisation_request_id"), "batch_row", ["personalisation_request_id"], unique=False)
    op.create_table(
        "card",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("uid", sa.String(length=16), nullable=False),
        sa.Column("function", sa.String(length=2), nullable=False),
        sa.Column("holder_id", sa.Uuid(), nullable=False),
        sa.Column("buyer_id", sa.Uuid(), nullable=False),
        sa.Column("personalisation_request_id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=True),
        sa.Column("key_version", sa.Integer(), nullable=False),
        sa.Column("kcv", sa.String(length=6), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("function IN ('R', 'RW')", name=op.f("ck_card_function")),
        sa.CheckConstraint(
            "state IN ('registered', 'personalised', 'handed_over', 'received', 'active', 'suspended', 'lost', 'damaged', 'locked', 'revoked', 'destroyed')",
            name=op.f("ck_card_state"),
        ),
        sa.CheckConstraint("length(uid) = 16 AND uid = upper(uid)", name=op.f("ck_card_uid")),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_card_act_id"), initially="DEFERRED", deferrable=True),
        sa.ForeignKeyConstraint(["buyer_id"], ["organisation.id"], name=op.f("fk_card_buyer_id")),
        sa.ForeignKeyConstraint(["holder_id"], ["organisation.id"], name=op.f("fk_card_holder_id")),
        sa.ForeignKeyConstraint(
            ["personalisation_request_id"], ["personalisation_request.id"], name=op.f("fk_card_personalisation_request_id")
        ),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_card_unit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card")),
        sa.UniqueConstraint("uid", name=op.f("uq_card_uid")),
    )
    op.create_index(op.f("ix_card_buyer_id_id"), "card", ["buyer_id", "id"], unique=False)
    op.create_index(op.f("ix_card_holder_id_id"), "card", ["holder_id", "id"], unique=False)
    op.create_index(op.f("ix_card_personalisation_request_id"), "card", ["personalisation_request_id"], unique=False)
    op.create_index(op.f("ix_card_state"), "card", ["state"], unique=False)
    op.create_index(op.f("ix_card_unit_id"), "card", ["unit_id"], unique=False)
    op.create_index(
        "uq_card_active_unit",
        "card",
        ["unit_id"],
        unique=True,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "personalisation_approval",
        sa.Column("personalisation_request_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["act_id"], ["audit_entry.id"], name=op.f("fk_personalisation_approval_act_id"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_personalisation_approval_person_id")),
        sa.ForeignKeyConstraint(
            ["personalisation_request_id"],
            ["personalisation_request.id"],
            name=op.f("fk_personalisation_approval_personalisation_request_id"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_personalisation_approval_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_personalisation_approval")),
        sa.UniqueConstraint(
            "personalisation_request_id",
            "person_id",
            "digest",
            name=op.f("uq_personalisation_approval_personalisation_request_id_person_id_digest"),
        ),
    )
    op.create_table(
        "activation_approval",
        sa.Column("activation_request_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["act_id"], ["audit_entry.id"], name=op.f("fk_activation_approval_act_id"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(
            ["activation_request_id"], ["activation_request.id"], name=op.f("fk_activation_approval_activation_request_id")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_activation_approval_person_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_activation_approval_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activation_approval")),
        sa.UniqueConstraint(
            "activation_request_id", "person_id", "digest", name=op.f("uq_activation_approval_activation_request_id_person_id_digest")
        ),
    )
    op.create_table(
        "activation_request_card",
        sa.Column("activation_request_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["activation_request_id"], ["activation_request.id"], name=op.f("fk_activation_request_card_activation_request_id")
        ),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_activation_request_card_card_id")),
        sa.PrimaryKeyConstraint("activation_request_id", "card_id", name=op.f("pk_activation_request_card")),
    )
    op.create_index(op.f("ix_activation_request_card_card_id"), "activation_request_card", ["card_id"], unique=False)
    op.create_table(
        "card_suspension",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("former_state", sa.String(length=20), nullable=False),
        sa.Column("opened_act", sa.Uuid(), nullable=False),
        sa.Column("closed_act", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_card_suspension_card_id")),
        sa.ForeignKeyConstraint(
            ["closed_act"], ["audit_entry.id"], name=op.f("fk_card_suspension_closed_act"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(
            ["opened_act"], ["audit_entry.id"], name=op.f("fk_card_suspension_opened_act"), initially="DEFERRED", deferrable=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_suspension")),
    )
    op.create_index(op.f("ix_card_suspension_card_id"), "card_suspension", ["card_id"], unique=False)
    op.create_table(
        "destruction_card",
        sa.Column("destruction_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_destruction_card_card_id")),
        sa.ForeignKeyConstraint(["destruction_id"], ["destruction.id"], name=op.f("fk_destruction_card_destruction_id")),
        sa.PrimaryKeyConstraint("destruction_id", "card_id", name=op.f("pk_destruction_card")),
    )
    op.create_index(op.f("ix_destruction_card_card_id"), "destruction_card", ["card_id"], unique=False)
    op.create_table(
        "handover_card",
        sa.Column("handover_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("former_state", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_handover_card_card_id")),
        sa.ForeignKeyConstraint(["handover_id"], ["handover.id"], name=op.f("fk_handover_card_handover_id")),
        sa.PrimaryKeyConstraint("handover_id", "card_id", name=op.f("pk_handover_card")),
    )
    op.create_index(op.f("ix_handover_card_card_id"), "handover_card", ["card_id"], unique=False)
    op.create_table(
        "personalisation_result",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("personalisation_request_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("hardware_number", sa.String(length=40), nullable=False),
        sa.Column("kcv", sa.String(length=6), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("outcome IN ('personalised', 'failed')", name=op.f("ck_personalisation_result_outcome")),
        sa.ForeignKeyConstraint(
            ["act_id"], ["audit_entry.id"], name=op.f("fk_personalisation_result_act_id"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_personalisation_result_card_id")),
        sa.ForeignKeyConstraint(
            ["personalisation_request_id"],
            ["personalisation_request.id"],
            name=op.f("fk_personalisation_result_personalisation_request_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_personalisation_result")),
        sa.UniqueConstraint("card_id", name=op.f("uq_personalisation_result_card_id")),
    )
    op.create_index(
        op.f("ix_personalisation_result_personalisation_request_id"), "personalisation_result", ["personalisation_request_id"], unique=False
    )
    op.create_table(
        "token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("activation_request_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status_list", sa.Integer(), nullable=False),
        sa.Column("status_index", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("state IN ('issued', 'redeemed', 'expired', 'cancelled')", name=op.f("ck_token_state")),
        sa.CheckConstraint("tries BETWEEN 0 AND 5", name=op.f("ck_token_tries")),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_token_act_id"), initially="DEFERRED", deferrable=True),
        sa.ForeignKeyConstraint(["activation_request_id"], ["activation_request.id"], name=op.f("fk_token_activation_request_id")),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_token_card_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_token_organisation_id")),
        sa.ForeignKeyConstraint(["status_list"], ["status_list.number"], name=op.f("fk_token_status_list")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("status_list", "status_index", name=op.f("uq_token_status_list_status_index")),
    )
    op.create_index(op.f("ix_token_card_id_state"), "token", ["card_id", "state"], unique=False)
    op.create_index(op.f("ix_token_state"), "token", ["state"], unique=False)
    op.create_index(
        "uq_token_open",
        "token",
        ["activation_request_id", "card_id"],
        unique=True,
        sqlite_where=sa.text("state = 'issued'"),
        postgresql_where=sa.text("state = 'issued'"),
    )
    op.create_table(
        "activation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("activation_request_id", sa.Uuid(), nullable=False),
        sa.Column("manifest_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latitude_e7", sa.Integer(), nullable=False),
        sa.Column("longitude_e7", sa.Integer(), nullable=False),
        sa.Column("accuracy_m", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("region_code", sa.String(length=13), nullable=False),
        sa.Column("region_version", sa.String(length=80), nullable=False),
        sa.Column("place_outcome", sa.String(length=10), nullable=False),
        sa.Column("place_distance_m", sa.Integer(), nullable=False),
        sa.Column("place_nearest", sa.String(length=13), nullable=False),
        sa.Column("place_source", sa.String(length=80), nullable=False),
        sa.Column("place_source_sha256", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("review_state", sa.String(length=10), nullable=False),
        sa.Column("review_note", sa.Text(), nullable=False),
        sa.Column("reviewed_by", sa.Uuid(), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("place_outcome = 'PASS' OR reason <> ''", name=op.f("ck_activation_reason")),
        sa.CheckConstraint("place_outcome IN ('PASS', 'REVIEW', 'FAIL')", name=op.f("ck_activation_place_outcome")),
        sa.CheckConstraint("review_state IN ('none', 'waiting', 'accepted', 'rejected')", name=op.f("ck_activation_review_state")),
        sa.CheckConstraint("source IN ('device', 'map', 'typed')", name=op.f("ck_activation_source")),
        sa.CheckConstraint("NOT (latitude_e7 = 0 AND longitude_e7 = 0)", name=op.f("ck_activation_somewhere")),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_activation_act_id"), initially="DEFERRED", deferrable=True),
        sa.ForeignKeyConstraint(["activation_request_id"], ["activation_request.id"], name=op.f("fk_activation_activation_request_id")),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_activation_card_id")),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifest.id"], name="fk_activation_manifest_id", initially="DEFERRED", deferrable=True, use_alter=True
        ),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_activation_organisation_id")),
        sa.ForeignKeyConstraint(["reviewed_by"], ["person.id"], name=op.f("fk_activation_reviewed_by")),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name=op.f("fk_activation_token_id")),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_activation_unit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activation")),
        sa.UniqueConstraint("manifest_id", name=op.f("uq_activation_manifest_id")),
        sa.UniqueConstraint("token_id", name=op.f("uq_activation_token_id")),
    )
    op.create_index(op.f("ix_activation_activation_request_id"), "activation", ["activation_request_id"], unique=False)
    op.create_index(op.f("ix_activation_card_id_id"), "activation", ["card_id", "id"], unique=False)
    op.create_index(op.f("ix_activation_organisation_id_id"), "activation", ["organisation_id", "id"], unique=False)
    op.create_index(op.f("ix_activation_review_state_id"), "activation", ["review_state", "id"], unique=False)
    op.create_index(op.f("ix_activation_unit_id"), "activation", ["unit_id"], unique=False)
    op.create_table(
        "manifest",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("activation_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kid", sa.String(length=43), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refuse_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status_list", sa.Integer(), nullable=False),
        sa.Column("status_index", sa.Integer(), nullable=False),
        sa.Column("payload_hash", sa.String(length=43), nullable=False),
        sa.Column("previous_hash", sa.String(length=43), nullable=True),
        sa.Column("data_key_id", sa.Uuid(), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'suspended', 'superseded', 'revoked', 'expired')", name=op.f("ck_manifest_state")),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_manifest_act_id"), initially="DEFERRED", deferrable=True),
        sa.ForeignKeyConstraint(["activation_id"], ["activation.id"], name=op.f("fk_manifest_activation_id")),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_manifest_card_id")),
        sa.ForeignKeyConstraint(["data_key_id"], ["data_key.id"], name=op.f("fk_manifest_data_key_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_manifest_organisation_id")),
        sa.ForeignKeyConstraint(["status_list"], ["status_list.number"], name=op.f("fk_manifest_status_list")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manifest")),
        sa.UniqueConstraint("activation_id", name=op.f("uq_manifest_activation_id")),
        sa.UniqueConstraint("card_id", "epoch", "seq", name=op.f("uq_manifest_card_id_epoch_seq")),
        sa.UniqueConstraint("status_list", "status_index", name=op.f("uq_manifest_status_list_status_index")),
    )
    op.create_index(op.f("ix_manifest_organisation_id_id"), "manifest", ["organisation_id", "id"], unique=False)
    op.create_index(op.f("ix_manifest_state"), "manifest", ["state"], unique=False)
    op.create_index(op.f("ix_manifest_state_refuse_after"), "manifest", ["state", "refuse_after"], unique=False)
    op.create_index(
        "uq_manifest_standing",
        "manifest",
        ["card_id"],
        unique=True,
        sqlite_where=sa.text("state IN ('active', 'suspended')"),
        postgresql_where=sa.text("state IN ('active', 'suspended')"),
    )
    if op.get_bind().dialect.name != "sqlite":  # SQLite has it inline: there a table may refer to one that comes later
        op.create_foreign_key(
            "fk_activation_manifest_id", "activation", "manifest", ["manifest_id"], ["id"], initially="DEFERRED", deferrable=True
        )
    op.create_table(
        "revocation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("manifest_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("proposed_by_person", sa.Uuid(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by_person", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("state IN ('proposed', 'executed', 'rejected')", name=op.f("ck_revocation_state")),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_revocation_act_id"), initially="DEFERRED", deferrable=True),
        sa.ForeignKeyConstraint(["decided_by_person"], ["person.id"], name=op.f("fk_revocation_decided_by_person")),
        sa.ForeignKeyConstraint(["manifest_id"], ["manifest.id"], name=op.f("fk_revocation_manifest_id")),
        sa.ForeignKeyConstraint(["proposed_by_person"], ["person.id"], name=op.f("fk_revocation_proposed_by_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revocation")),
    )
    op.create_index(op.f("ix_revocation_manifest_id"), "revocation", ["manifest_id"], unique=False)
