"""The request cycle: the request's id, its unit of work, its Context and its Idempotency-Key."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable

import structlog
from flask import Response, current_app, g, request

from sifilma.kernel import idempotency
from sifilma.kernel.actor import Actor
from sifilma.kernel.addresses import client_address
from sifilma.kernel.context import Context
from sifilma.kernel.db import db
from sifilma.kernel.errors import SifilmaError
from sifilma.kernel.ids import uuid7
from sifilma.kernel.unit_of_work import UnitOfWork
from sifilma.resources import resources
from sifilma.web.links import API
from sifilma.web.operations import Policy, policy_of

log = structlog.get_logger()
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
# Other values could bring foreign text into log lines.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def open_request() -> None:
    """Give the request its id and bind it to every log line. A well-formed `X-Request-Id` of the caller is used."""
    offered = request.headers.get("X-Request-Id", "")
    g.request_id = offered if _REQUEST_ID.fullmatch(offered) else str(uuid7())
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def open_unit() -> UnitOfWork:
    """Return the request's unit of work. It reads until the view is run."""
    unit = unit_of_work()
    if unit is None:
        unit = g.uow = UnitOfWork(db.sessionmaker)
        unit.begin_read()
    return unit


def unit_of_work() -> UnitOfWork | None:
    """Return the unit of work, or None: requests for health checks and static files have none."""
    found: UnitOfWork | None = g.get("uow")
    return found


def policy() -> Policy | None:
    """Return the policy with which this request's view is marked."""
    return policy_of(current_app.view_functions.get(request.endpoint or ""))


def remote_address() -> str:
    """Return the client's address in its one spelling, empty if there is none. No other place reads `request.remote_addr`."""
    return client_address(request.remote_addr)


def bearer() -> str | None:
    """Return the key of an `Authorization: Bearer` header, None if there is no such header.

    Another scheme is not ours: a proxy or a browser may send one for a server in front. The scheme's case does not matter (RFC 9110,
    section 11.1).
    """
    scheme, _, key = request.headers.get("Authorization", "").strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def context() -> Context:
    """Return the Context for the services called in this request."""
    actor: Actor = g.get("actor") or Actor(ip=remote_address())
    held = resources()
    return Context(open_unit(), held.clock, actor, g.get("request_id", ""), held.watch, g.setdefault("warnings", []))


def begin_view() -> Response | None:
    """Run just before the view. Return the stored answer of a repeated call, or None after opening the transaction the view needs."""
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
    # Only the API's answers are stored: a replayed redirect of a page would lack its Location.
    if not key or not found.idempotent or who is None or not request.path.startswith(API):
        return None
    unit = open_unit()
    # The claim runs in a transaction of its own.
    unit.end_read()
    mine = idempotency.Claim(str(who), key, idempotency.fingerprint(request.method, request.full_path, _body()))
    g.idempotency = mine  # from here on `close_request` releases it, even if the answer to the claim's commit is lost
    try:
        stored = idempotency.claim(context(), mine, resources().settings.request_deadline)
    except SifilmaError:  # another request has the key
        g.idempotency = None
        raise
    if stored is None:
        return None
    g.idempotency = None
    return Response(stored.body, stored.status, content_type=stored.media_type, headers={"Idempotency-Replayed": "true"})


def _body() -> bytes:
    """Return the bytes that identify what was sent.

    For a form these are its parts. Its body has been consumed by now, and its boundary differs each time the same form is sent.
    """
    return json.dumps(form_parts()).encode() if request.mimetype in FORMS else request.get_data(cache=True)


def form_parts(left_out: Callable[[str], bool] = lambda _: False) -> list[list[str]]:
    """Return the fields and files of this request's form that identify it, files by their SHA-256 (hex)."""
    parts = [["text", name, text] for name, text in request.form.items(multi=True) if not left_out(name)]
    for name, file in request.files.items(multi=True):
        parts.append(["file", name, file.filename or "", hashlib.file_digest(file.stream, "sha256").hexdigest()])  # type: ignore[arg-type]  # a file
        file.stream.seek(0)  # the view reads it again
    return parts


def close_request(_error: BaseException | None) -> None:
    """Release the idempotency key of an act that did not happen, and return the connection to the pool.

    A fault here only delays the next call with this key. It must not take the place of the answer, which is made already.
    """
    unit = unit_of_work()
    if unit is None:
        return
    try:
        claimed = g.get("idempotency")
        if claimed is not None:
            idempotency.release(context(), claimed)
    except Exception as fault:  # noqa: BLE001  # as above
        log.error("idempotency key not released", error=type(fault).__name__)
    finally:
        unit.close()
