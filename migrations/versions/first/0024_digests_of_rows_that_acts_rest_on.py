"""Rows that acts rest on have a version and a digest, which the act that made it records.

What is in place is adopted as it is found, in one act of the system. So whoever upgrades vouches for it (docs/security.md).
"""

import hashlib
import json
import secrets
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from sifilma.kernel.ids import uuid7

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql")
OPEN = sa.text("ended_at IS NULL")
AT_ONCE = 1000
TEXT, NUMBER, KEY, DAY = sa.String(), sa.Integer(), sa.Uuid(), sa.Date()
COVERED: dict[str, dict[str, sa.types.TypeEngine[Any]]] = {
    "organisation": {"kind": TEXT, "name": TEXT, "region_code": TEXT, "address": TEXT, "created_at": MOMENT},
    "person": {"identity": TEXT, "id_kind": TEXT, "id_number": TEXT, "name": TEXT, "claims": TEXT},
    "device_model": {"name": TEXT, "manufacturer_id": KEY, "function": TEXT, "created_at": MOMENT},
    "unit": {
        "organisation_id": KEY, "model_id": KEY, "hardware_number": TEXT, "function": TEXT, "pcid": TEXT, "sam_perso": TEXT,
        "public_jwk": JSON, "key_change_id": KEY, "created_at": MOMENT,
    },
    "agreement": {"organisation_id": KEY, "number": TEXT, "valid_from": DAY, "valid_until": DAY, "created_at": MOMENT},
    "card": {"uid": TEXT, "function": TEXT, "buyer_id": KEY, "personalisation_request_id": KEY, "key_version": NUMBER},
    "personalisation_result": {
        "personalisation_request_id": KEY, "card_id": KEY, "outcome": TEXT, "hardware_number": TEXT, "kcv": TEXT,
    },
    "activation": {
        "token_id": KEY, "card_id": KEY, "unit_id": KEY, "organisation_id": KEY, "activation_request_id": KEY, "manifest_id": KEY,
        "at": MOMENT, "latitude_e7": NUMBER, "longitude_e7": NUMBER, "accuracy_m": NUMBER, "source": TEXT, "address": TEXT,
        "region_code": TEXT, "region_version": TEXT, "place_outcome": TEXT, "place_distance_m": NUMBER, "place_nearest": TEXT,
        "place_source": TEXT, "place_source_sha256": TEXT, "reason": TEXT,
    },
}  # fmt: skip
VERSIONED = ("organisation", "person", "device_model", "unit", "agreement")


def _table(name: str, columns: dict[str, sa.types.TypeEngine[Any]]) -> sa.TableClause:
    return sa.table(name, *(sa.column(column, kind) for column, kind in columns.items()))


ENTRY = _table(
    "audit_entry",
    {
        "id": KEY, "at": MOMENT, "action": TEXT, "object_kind": TEXT, "object_id": TEXT, "request_id": TEXT, "ip": TEXT, "data": JSON,
        "salt": sa.LargeBinary(),
    },
)  # fmt: skip
PENDING = _table("audit_pending", {"entry_id": KEY})
DIGEST = _table("row_digest", {"kind": TEXT, "object_id": KEY, "version": NUMBER, "digest": sa.LargeBinary(), "act_id": KEY})
REGION = _table(
    "region",
    {
        "code": TEXT, "name": TEXT, "level": NUMBER, "parent_code": TEXT, "version": TEXT, "successor_code": TEXT, "valid_from": MOMENT,
        "valid_to": MOMENT,
    },
)  # fmt: skip


def upgrade() -> None:
    for table in VERSIONED:
        op.add_column(table, sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    _make_digests()
    _make_rounds()
    _adopt()


def _make_digests() -> None:
    op.create_table(
        "row_digest",
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_row_digest_act_id")),
        sa.PrimaryKeyConstraint("kind", "object_id", "version", name=op.f("pk_row_digest")),
    )
    op.create_index(op.f("ix_row_digest_act_id"), "row_digest", ["act_id"])


def _make_rounds() -> None:
    op.create_table(
        "row_round",
        sa.Column("walk", sa.String(40), nullable=False),
        sa.Column("after", sa.String(64), nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("walk", name=op.f("pk_row_round")),
    )
    op.create_table(
        "row_finding",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("walk", sa.String(40), nullable=False),
        sa.Column("place", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("object_id", sa.String(64), nullable=False),
        sa.Column("fault", sa.String(20), nullable=False),
        sa.Column("found_at", MOMENT, nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("ended_act", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_row_finding_act_id")),
        sa.ForeignKeyConstraint(["ended_act"], ["audit_entry.id"], name=op.f("fk_row_finding_ended_act")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_row_finding")),
    )
    open_ = {"sqlite_where": OPEN, "postgresql_where": OPEN}
    op.create_index("uq_row_finding_open", "row_finding", ["kind", "object_id", "fault"], unique=True, **open_)
    op.create_index(op.f("ix_row_finding_walk_place"), "row_finding", ["walk", "place"])


# --- adopting what is in place ---------------------------------------------------------------------------------------


def _adopt() -> None:
    """Record every row as it is found. The digest is made as `sifilma.audit.recorded` makes it; this copy stays as it is."""
    bind = op.get_bind()
    act, salt = uuid7(), secrets.token_bytes(16)
    provinces, lines = _provinces(), list[str]()
    made = list(_digests(salt))
    if not made and not provinces:
        return  # an empty database
    for kind, object_id, digest in made:
        lines.append(f"{kind} {object_id} 1 {digest}")
    data: dict[str, Any] = {"migration": revision, "count": len(made), "provinces": provinces}
    if made:
        data["rows_sha256"] = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    now = bind.scalar(sa.select(sa.func.current_timestamp(type_=MOMENT)))
    entry = {"id": act, "at": now, "action": "rows.adopt", "object_kind": "database", "object_id": "rows"}
    entry |= {"request_id": f"migration-{revision}", "ip": "", "data": data, "salt": salt}
    bind.execute(sa.insert(ENTRY).values(**entry))
    bind.execute(sa.insert(PENDING).values(entry_id=act))
    rows = [
        {"kind": kind, "object_id": object_id, "version": 1, "digest": bytes.fromhex(digest), "act_id": act}
        for kind, object_id, digest in made
    ]
    for start in range(0, len(rows), AT_ONCE):
        bind.execute(sa.insert(DIGEST), rows[start : start + AT_ONCE])


def _digests(salt: bytes) -> Iterator[tuple[str, UUID, str]]:
    for kind, columns in COVERED.items():
        table = _table(kind, {"id": KEY} | columns)
        for row in op.get_bind().execute(sa.select(table)).mappings():
            values = {name: _plain(row[name]) for name in columns}
            whole = {"kind": kind, "id": str(row["id"]), "version": 1, "row": values}
            yield kind, row["id"], hashlib.sha256(salt + _canonical(whole)).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return _moment(value).isoformat(timespec="microseconds")
    return value.isoformat() if isinstance(value, date) else value


def _moment(value: datetime) -> datetime:
    # SQLite stores no zone.
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


@cache
def _isoformat(value: datetime) -> str:
    return _moment(value).isoformat()  # 91,599 regions begin on a few days


def _canonical(value: Any) -> bytes:
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return plain.encode("utf-8", "surrogatepass")


def _provinces() -> dict[str, str]:
    found: dict[str, list[list[Any]]] = defaultdict(list)
    for *values, begins, ends in op.get_bind().execute(sa.select(REGION)):
        moments = [_isoformat(value) if value else None for value in (begins, ends)]
        found[values[0][:2]].append([*values, *moments])
    return {code: hashlib.sha256(_canonical(sorted(rows))).hexdigest() for code, rows in found.items()}
