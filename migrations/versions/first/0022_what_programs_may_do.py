"""API keys have scopes, addresses, an end and their last use; reports of programs wait; public keys of units are changed by two persons.

The keys there are keep what they could do: every scope that opens anything for their organisation, from any address, for one year from now.
An entry of each says so, by nobody. Likewise an entry names the thumbprint of each public key that a unit has already: `sifilma fsck` judges
what is older than these entries by them.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op
from joserfc.jwk import ECKey
from sqlalchemy.dialects import postgresql

from sifilma.kernel.clock import SystemClock
from sifilma.kernel.ids import uuid7

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql")
OFFICE = "activations batches manifests read reports requests units"
SCOPES = {
    "province_office": OFFICE,
    "regency_office": OFFICE,
    "institution": "activations manifests read reports requests units",
    "manufacturer": "batches read reports units",
}
MEMBERS = ("kty", "crv", "x", "y")
KEY = sa.table(
    "api_key",
    sa.column("id", sa.Uuid()),
    sa.column("organisation_id", sa.Uuid()),
    sa.column("scopes", sa.String()),
    sa.column("addresses", sa.Text()),
    sa.column("expires_at", MOMENT),
)
ORGANISATION = sa.table("organisation", sa.column("id", sa.Uuid()), sa.column("kind", sa.String()))
UNIT = sa.table("unit", sa.column("id", sa.Uuid()), sa.column("organisation_id", sa.Uuid()), sa.column("public_jwk", JSON))
ENTRY = sa.table(
    "audit_entry",
    sa.column("id", sa.Uuid()),
    sa.column("at", MOMENT),
    sa.column("action", sa.String()),
    sa.column("organisation_id", sa.Uuid()),
    sa.column("object_kind", sa.String()),
    sa.column("object_id", sa.String()),
    sa.column("request_id", sa.String()),
    sa.column("ip", sa.String()),
    sa.column("data", JSON),
    sa.column("salt", sa.LargeBinary()),
)
PENDING = sa.table("audit_pending", sa.column("entry_id", sa.Uuid()))


def upgrade() -> None:
    now = SystemClock().now()
    _card_reports()
    _unit_keys()
    _api_keys(now)
    _write_public_keys_down(now)


def _stateful() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
    )


def _reference(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    if to == "audit_entry":
        return sa.ForeignKeyConstraint(
            [column], ["audit_entry.id"], name=op.f(f"fk_{table}_{column}"), initially="DEFERRED", deferrable=True
        )
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}"))


def _card_reports() -> None:
    op.create_table(
        "card_report",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("api_key_id", sa.Uuid(), nullable=False),
        sa.Column("suspension_id", sa.Uuid(), nullable=False),
        sa.Column("condition", sa.String(10), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("reported_at", MOMENT, nullable=False),
        sa.Column("decided_by_person", sa.Uuid(), nullable=True),
        *_stateful(),
        sa.CheckConstraint("state IN ('pending', 'confirmed', 'withdrawn')", name=op.f("ck_card_report_state")),
        sa.CheckConstraint("condition IN ('damaged', 'locked', 'lost')", name=op.f("ck_card_report_condition")),
        sa.CheckConstraint("state = 'pending' OR decided_by_person IS NOT NULL", name=op.f("ck_card_report_decided")),
        *(
            _reference("card_report", column, to)
            for column, to in (
                ("card_id", "card"),
                ("organisation_id", "organisation"),
                ("api_key_id", "api_key"),
                ("suspension_id", "card_suspension"),
                ("decided_by_person", "person"),
                ("act_id", "audit_entry"),
            )
        ),
        sa.UniqueConstraint("suspension_id", name=op.f("uq_card_report_suspension_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_report")),
    )
    op.create_index(op.f("ix_card_report_card_id"), "card_report", ["card_id"])
    op.create_index(op.f("ix_card_report_organisation_id_id"), "card_report", ["organisation_id", "id"])
    op.create_index(op.f("ix_card_report_state"), "card_report", ["state"])
    pending = sa.text("state = 'pending'")
    op.create_index("uq_card_report_pending", "card_report", ["card_id"], unique=True, sqlite_where=pending, postgresql_where=pending)


def _unit_keys() -> None:
    op.create_table(
        "unit_key_change",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("by_organisation_id", sa.Uuid(), nullable=False),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("proposed_at", MOMENT, nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("proposed_by_person", sa.Uuid(), nullable=True),
        sa.Column("decided_by_person", sa.Uuid(), nullable=True),
        *_stateful(),
        sa.CheckConstraint("state IN ('delivered', 'proposed', 'executed', 'rejected')", name=op.f("ck_unit_key_change_state")),
        sa.CheckConstraint(
            "state NOT IN ('proposed', 'executed') OR proposed_by_person IS NOT NULL", name=op.f("ck_unit_key_change_proposed")
        ),
        *(
            _reference("unit_key_change", column, to)
            for column, to in (
                ("organisation_id", "organisation"),
                ("by_organisation_id", "organisation"),
                ("api_key_id", "api_key"),
                ("proposed_by_person", "person"),
                ("decided_by_person", "person"),
                ("act_id", "audit_entry"),
            )
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unit_key_change")),
    )
    op.create_index(op.f("ix_unit_key_change_organisation_id_id"), "unit_key_change", ["organisation_id", "id"])
    op.create_index(op.f("ix_unit_key_change_by_organisation_id_id"), "unit_key_change", ["by_organisation_id", "id"])
    op.create_index(op.f("ix_unit_key_change_state"), "unit_key_change", ["state"])
    op.create_table(
        "unit_key",
        sa.Column("change_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("jwk", JSON, nullable=False),
        _reference("unit_key", "change_id", "unit_key_change"),
        _reference("unit_key", "unit_id", "unit"),
        sa.UniqueConstraint("change_id", "unit_id", name=op.f("uq_unit_key_change_id_unit_id")),
        sa.PrimaryKeyConstraint("change_id", "position", name=op.f("pk_unit_key")),
    )
    op.create_index(op.f("ix_unit_key_unit_id"), "unit_key", ["unit_id"])
    # In one statement that both databases understand: no table of units is rebuilt.
    kind = sa.Uuid().compile(dialect=op.get_bind().dialect)
    op.execute(f"ALTER TABLE unit ADD COLUMN key_change_id {kind} CONSTRAINT fk_unit_key_change_id REFERENCES unit_key_change (id)")


def _api_keys(now: datetime) -> None:
    op.add_column("api_key", sa.Column("scopes", sa.String(200), nullable=True))
    op.add_column("api_key", sa.Column("addresses", sa.Text(), nullable=True))
    op.add_column("api_key", sa.Column("expires_at", MOMENT, nullable=True))
    op.add_column("api_key", sa.Column("last_used_at", MOMENT, nullable=True))
    op.add_column("api_key", sa.Column("last_used_ip", sa.String(45), nullable=True))
    op.execute("UPDATE api_key SET addresses = '', last_used_ip = ''")
    bind, until = op.get_bind(), (now + timedelta(days=365)).replace(microsecond=0)
    owner = sa.select(KEY.c.id, KEY.c.organisation_id, ORGANISATION.c.kind).join(ORGANISATION, ORGANISATION.c.id == KEY.c.organisation_id)
    for row in bind.execute(owner.order_by(KEY.c.id)).all():
        scopes = SCOPES.get(row.kind, "read")
        bind.execute(sa.update(KEY).where(KEY.c.id == row.id).values(scopes=scopes, expires_at=_stored(until)))
        facts = {"scopes": scopes, "addresses": "", "expires": int(until.timestamp())}
        _record(now, "api_key.keep", "api_key", row.id, row.organisation_id, facts)
    with op.batch_alter_table("api_key") as batch:
        for column, kind in (("scopes", sa.String(200)), ("addresses", sa.Text()), ("expires_at", MOMENT), ("last_used_ip", sa.String(45))):
            batch.alter_column(column, existing_type=kind, nullable=False)


def _write_public_keys_down(now: datetime) -> None:
    bind = op.get_bind()
    for row in bind.execute(sa.select(UNIT).where(UNIT.c.public_jwk.is_not(None)).order_by(UNIT.c.id)).all():
        if not isinstance(row.public_jwk, dict):
            continue
        kept = {name: row.public_jwk[name] for name in MEMBERS if name in row.public_jwk}
        if kept != row.public_jwk and len(kept) == len(MEMBERS):
            bind.execute(sa.update(UNIT).where(UNIT.c.id == row.id).values(public_jwk=kept))
        _record(now, "unit.key_keep", "unit", row.id, row.organisation_id, {"thumbprint": _thumbprint(kept)})


def _thumbprint(jwk: dict[str, Any]) -> str:
    try:
        return str(ECKey.import_key(jwk).thumbprint())
    except Exception:  # noqa: BLE001  # whatever stands there instead of a key
        return ""


def _record(now: datetime, action: str, kind: str, object_id: Any, organisation_id: Any, facts: dict[str, Any]) -> None:
    """An act by nobody; it waits for the log like every entry."""
    bind, entry = op.get_bind(), uuid7()
    values = {"id": entry, "at": _stored(now), "action": action, "organisation_id": organisation_id, "object_kind": kind}
    more = {"object_id": str(object_id), "request_id": f"migration-{revision}", "ip": "", "data": facts, "salt": secrets.token_bytes(16)}
    bind.execute(sa.insert(ENTRY).values(**values, **more))
    bind.execute(sa.insert(PENDING).values(entry_id=entry))


def _stored(moment: datetime) -> datetime:
    """SQLite stores no zone."""
    return moment.replace(tzinfo=None) if op.get_context().dialect.name == "sqlite" else moment
