"""The bare handler: the HSM calls and statements of an activation through psycopg in one transaction, with nothing around them.

It has no check, no place, no refusal and no manifest: what is left is the least that an activation needs.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from hsm import HSM, TokenConfig
from hsm.token import Operations
from sifilma.activation.issuing import statements
from sifilma.kernel.ids import uuid7
from sifilma.kernel.statements.prepared import Prepared
from sifilma.sign_in.authentication import KEY_STATEMENT, secret_hash

_local = threading.local()
_token = HSM(TokenConfig(os.environ["BARE_MODULE"], "sifilma", lambda: "123456", Path(os.environ["SIFILMA_HOME"]) / "bare.lock"))


def _text(statement: Prepared) -> tuple[str, dict[str, Any]]:
    made = statement.compiled(PGDialect_psycopg())  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
    return made.text, made.literals


KEY, READ, AUDIT, COMPLETE, REDEEM, ACTIVATION, MANIFEST, CARD = map(_text, (
    KEY_STATEMENT, statements.READ, statements.INSERT_AUDIT, statements.COMPLETE, statements.REDEEM, statements.INSERT_ACTIVATION,
    statements.INSERT_MANIFEST, statements.UPDATE_CARD,
))  # fmt: skip


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["SIFILMA_DATABASE_URL"], row_factory=dict_row)
    return _local.connection


def _work(do: Operations, uid: bytes, sealed: bytes) -> bytes:
    do.hmac("token-mac", uid)
    key = do.derive_open_key(1, uid)
    signature = do.sign("manifest-sign", hashlib.sha256(key).digest())
    do.open_sealed("seal-kek", sealed, b"bare")
    return signature


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer an activation (WSGI)."""
    if environ["PATH_INFO"] == "/livez":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"alive"]
    body = json.loads(environ["wsgi.input"].read())
    signature = _token.run(lambda do: _work(do, bytes.fromhex(body["sam_uid"]), _sealed(do)))
    connection = _connection()
    with connection.transaction(), connection.cursor() as cursor:
        activation_id = _activate(cursor, body, environ["HTTP_AUTHORIZATION"].partition(" ")[2], signature)
    start_response("201 Created", [("Content-Type", "application/json")])
    return [json.dumps({"id": str(activation_id)}).encode()]


def _sealed(do: Operations) -> bytes:
    if not hasattr(_local, "sealed"):
        _local.sealed = do.seal("seal-kek", bytes(32), b"bare")
    return _local.sealed


def _run(cursor: psycopg.Cursor[Any], statement: tuple[str, dict[str, Any]], values: dict[str, Any]) -> Any:
    cursor.execute(statement[0], statement[1] | values)
    return cursor.fetchone() if cursor.description else None


def _activate(cursor: psycopg.Cursor[Any], body: dict[str, Any], key: str, signature: bytes) -> UUID:
    now = datetime.now(UTC)
    owner = _run(cursor, KEY, {"hash": secret_hash(key)})
    row = _run(cursor, READ, {
        "uid": body["sam_uid"], "organisation": owner["organisation_id"], "hardware": body["hardware_number"], "month": f"{now:%Y-%m}",
        "today": now.date(), "code": body["region_code"], "regency": body["region_code"][:5],
    })  # fmt: skip
    activation_id, manifest_id, act = uuid7(), uuid7(), uuid7()
    stamp = {"act_id": act, "changed_at": now, "changed_by": None}
    bound = {f"b_{name}": value for name, value in stamp.items()}
    _run(cursor, AUDIT, {
        "id": act, "at": now, "action": "activation.create", "user_id": None, "person_id": None, "api_key_id": owner["id"],
        "organisation_id": row["holder_id"], "object_kind": "activation", "object_id": str(activation_id), "request_id": "bare",
        "ip": "", "data": Jsonb({"card": row["uid"]}), "salt": os.urandom(16),
    })  # fmt: skip
    _run(cursor, COMPLETE, bound | {"b_request": row["request_id"], "b_count": 1})
    _run(cursor, REDEEM, bound | {"b_token": row["token_id"], "b_now": now})
    _run(cursor, ACTIVATION, {
        "id": activation_id, "token_id": row["token_id"], "card_id": row["card_id"], "unit_id": row["unit_id"],
        "organisation_id": row["holder_id"], "activation_request_id": row["request_id"], "manifest_id": manifest_id, "at": now,
        "latitude_e7": 1, "longitude_e7": 1, "accuracy_m": 1, "source": "device", "address": "-", "region_code": body["region_code"],
        "region_version": "-", "place_outcome": "PASS", "place_distance_m": 0, "place_nearest": "-", "place_source": "-",
        "place_source_sha256": "-", "reason": "", "review_state": "none", "review_note": "", "user_id": None, "api_key_id": owner["id"],
        "act_id": act,
    })  # fmt: skip
    _run(cursor, MANIFEST, stamp | {
        "id": manifest_id, "activation_id": activation_id, "card_id": row["card_id"], "organisation_id": row["holder_id"], "epoch": 1,
        "seq": row["seq"] + 1, "kid": "-", "issued_at": now, "expires_at": now, "refuse_after": now, "status_list": row["status_list"],
        "status_index": row["status_index"], "payload_hash": "-", "previous_hash": None, "data_key_id": row["data_key_id"],
        "sealed_body": signature, "state": "active", "revision": 1, "change_note": "",
    })  # fmt: skip
    _run(cursor, CARD, bound | {
        "b_card": row["card_id"], "b_revision": row["revision"], "b_seq": row["seq"] + 1, "b_unit": row["unit_id"],
        "b_unit_revision": row["unit_revision"], "b_state": "active",
    })  # fmt: skip
    return activation_id
