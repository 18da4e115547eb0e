"""The request cycle: identity of the request, unit of work, Context, Idempotency-Key."""

from __future__ import annotations

import hashlib
import json
import re

import structlog
from flask import Response, current_app, g, request

from sifilma.kernel import idempotency
from sifilma.kernel.actor import Actor
from sifilma.kernel.context import Context
from sifilma.kernel.db import db
from sifilma.kernel.ids import uuid7
from sifilma.kernel.unit_of_work import UnitOfWork
from sifilma.resources import resources
from sifilma.web.operations import Policy, policy_of

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def open_request() -> None:
    """Give the request its id (the caller's `X-Request-Id` where it is well formed) and bind it to every log line."""
    offered = request.headers.get("X-Request-Id", "")
    g.request_id = offered if _REQUEST_ID.fullmatch(offered) else str(uuid7())
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def open_unit() -> UnitOfWork:
    """The request's unit of work, reading until the view is run."""
    if "uow" not in g:
        g.uow = UnitOfWork(db.sessionmaker)
        g.uow.begin_read()
    return g.uow  # type: ignore[no-any-return]  # g is untyped


def unit_of_work() -> UnitOfWork | None:
    """The unit of work if this request has one: health checks and static files do not."""
    found: UnitOfWork | None = g.get("uow")
    return found


def policy() -> Policy | None:
    """What the view of this request says about itself."""
    return policy_of(current_app.view_functions.get(request.endpoint or ""))


def context() -> Context:
    """What services are given in this request."""
    actor: Actor = g.get("actor") or Actor(ip=request.remote_addr or "")
    return Context(open_unit(), resources().clock, actor, g.get("request_id", ""))


def begin_view() -> Response | None:
    """Just before the view: answer a repeated call from memory, else open the transaction the view needs."""
    found = policy()
    if found is None:
        return None
    unit = open_unit()
    if request.method in SAFE:
        return None
    answer = _claim_key(found)
    if answer is None and not found.reads_first:
        unit.begin_write()
    return answer


def _claim_key(found: Policy) -> Response | None:
    key = request.headers.get("Idempotency-Key")
    actor: Actor = g.actor
    who = actor.user_id or actor.api_key_id
    if not key or not found.idempotent or who is None:
        return None
    unit = open_unit()
    unit.end_read()
    print_ = idempotency.fingerprint(request.method, request.full_path, _body())
    stored = idempotency.claim(context(), str(who), key, print_)
    if stored is None:
        g.idempotency = (str(who), key)
        return None
    return Response(stored.body, stored.status, content_type=stored.media_type, headers={"Idempotency-Replayed": "true"})


def _body() -> bytes:
    """What was sent. Of a form its parts: its text has been read by now, and its boundary differs between two sendings of the same."""
    if request.mimetype not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return request.get_data(cache=True)
    parts = [["text", name, text] for name, text in request.form.items(multi=True)]
    for name, file in request.files.items(multi=True):
        parts.append(["file", name, file.filename or "", hashlib.file_digest(file.stream, "sha256").hexdigest()])  # type: ignore[arg-type]  # a file
        file.stream.seek(0)
    return json.dumps(parts).encode()


def close_request(_error: BaseException | None) -> None:
    """Give back the connection, and the idempotency key of an act that did not happen."""
    unit = unit_of_work()
    if unit is None:
        return
    try:
        claimed = g.get("idempotency")
        if claimed is not None:
            idempotency.release(context(), *claimed)
    finally:
        unit.close()
