"""The bare handler: the same HSM calls and as many statements through psycopg in one transaction, with nothing around them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

import psycopg

from hsm import HSM, TokenConfig
from hsm.token import Operations

READS = 3
WRITES = 6
_local = threading.local()
_hsm: HSM | None = None
_lock = threading.Lock()


def _token() -> HSM:
    global _hsm
    with _lock:
        if _hsm is None:
            from pathlib import Path

            lock = Path(os.environ["SIFILMA_HOME"]) / "bare.lock"
            _hsm = HSM(TokenConfig(os.environ["BARE_MODULE"], "sifilma", lambda: "123456", lock))
    return _hsm


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["SIFILMA_DATABASE_URL"])
    return _local.connection  # type: ignore[no-any-return]  # a thread-local has no types


def _work(do: Operations, uid: bytes, sealed: bytes) -> bytes:
    do.hmac("token-mac", uid)
    key = do.derive_open_key(1, uid)
    signature = do.sign("manifest-sign", hashlib.sha256(key).digest())
    do.open_sealed("seal-kek", sealed, b"bare")
    return signature


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """WSGI."""
    if environ["PATH_INFO"] == "/livez":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"alive"]
    body = json.loads(environ["wsgi.input"].read())
    sealed = _sealed()
    signature = _token().run(lambda do: _work(do, bytes.fromhex(body["sam_uid"]), sealed))
    connection = _connection()
    with connection.transaction(), connection.cursor() as cursor:
        for _ in range(READS):
            cursor.execute("SELECT id, uid, state, function, seq FROM card WHERE uid = %s", (body["sam_uid"],)).fetchone()
        for _ in range(WRITES):
            cursor.execute("INSERT INTO bare_row (id, uid, body, at) VALUES (%s, %s, %s, now())", (uuid4(), body["sam_uid"], signature))
    start_response("201 Created", [("Content-Type", "application/json")])
    return [json.dumps({"id": str(uuid4())}).encode()]


def _sealed() -> bytes:
    if not hasattr(_local, "sealed"):
        _local.sealed = _token().seal("seal-kek", bytes(32), b"bare")
    return _local.sealed  # type: ignore[no-any-return]  # a thread-local has no types
