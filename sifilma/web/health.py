"""Serve /livez, /readyz and /metrics: whether the process lives, whether it can work, and how much it does."""

from __future__ import annotations

import hmac
import shutil
import time
from collections.abc import Callable
from typing import Any

import structlog
from flask import Blueprint, Flask, Response, g, jsonify, request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from hsm import HSM, HSMError
from sifilma.kernel.db import db
from sifilma.kernel.errors import Forbidden
from sifilma.resources import resources
from sifilma.web.metrics import CLOCK_AHEAD, CLOCK_TRUSTED, HSM_USED, KEYS_DIFFERING, MEASURES, REQUESTS, SECONDS, WORKER_AGE, exposition
from sifilma.web.operations import operation
from sifilma.web.requests import bearer, remote_address
from sifilma.web.time_health import check_clock, check_worker

CHECKS: dict[str, Callable[[], dict[str, Any]]] = {}
"""Further checks of /readyz by their names, which packages above this one register. Each says `ok`."""
MIN_FREE = 64 * 1024 * 1024  # bytes on the volume of `home`
blueprint = Blueprint("health", __name__)
log = structlog.get_logger()


def register(app: Flask) -> None:
    """Attach the three routes and count every answer. Must be called before other hooks are attached: the time is measured from here."""
    app.register_blueprint(blueprint)
    app.before_request(_start)
    app.after_request(_count)


def _start() -> None:
    g.started = time.perf_counter()


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _count(response: Response) -> Response:
    # The rule and not the path: ids in paths would make a label value each.
    route = str(request.url_rule or "-")
    method = request.method if request.method in METHODS else "other"  # invented methods would make endless label values
    REQUESTS.labels(method, route, response.status_code).inc()
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    SECONDS.labels(route).observe(seconds)
    if request.blueprint != "health":
        log.info("request", method=request.method, route=route, status=response.status_code, ms=round(seconds * 1000, 1))
    return response


@blueprint.get("/livez")
@operation("public")
def livez() -> Response:
    """Answer that the process lives. Asks neither the database nor the HSM, whose outage must not get the process restarted."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
@operation("public")
def readyz() -> tuple[Response, int]:
    """Answer whether the installation can work. The status is 200 or 503.

    Database at the code's schema, a real HSM signature, free disk, signs of life of the worker, a clock that is trusted; and CHECKS.
    """
    checks = {"database": check_database(), "hsm": check_hsm(), "disk": check_disk(), "worker": check_worker(), "clock": check_clock()}
    checks |= {name: check() for name, check in CHECKS.items()}
    ready = all(check["ok"] for check in checks.values())
    status = "ready" if ready else "not ready"
    return jsonify(status=status, env=resources().settings.env, checks=checks), 200 if ready else 503


@blueprint.get("/metrics")
@operation("public")
def metrics() -> Response:
    """Return the metrics in Prometheus's text format to callers with the metrics token.

    Without a token only the loopback may read them, and not in production: a proxy on the same machine would let everybody in.
    """
    settings = resources().settings
    sent = bearer() or ""
    token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
    near = settings.env != "production" and remote_address() in ("127.0.0.1", "::1")
    allowed = hmac.compare_digest(sent.encode(), token.encode()) if token else near
    if not allowed:
        raise Forbidden()
    measure_time()
    for measure in MEASURES:
        measure()
    return Response(exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def measure_time() -> None:
    """Set the gauges of worker, clock and keys for this scrape. A worker that never gave a sign of life has the age NaN."""
    age, clock = check_worker().get("age_seconds"), check_clock()
    WORKER_AGE.set(float("nan") if age is None else age)
    CLOCK_TRUSTED.set(clock["ok"])
    CLOCK_AHEAD.set(clock.get("ahead_seconds", 0.0))
    KEYS_DIFFERING.set(len(resources().hsm.wrong))
    measure_hsms(resources().hsm)


def measure_hsms(signing: HSM) -> None:
    """Set the gauge of each HSM."""
    for token in signing.tokens:
        HSM_USED.labels(token.label).set(token.label not in signing.out)


def check_database() -> dict[str, Any]:
    """Check that the database answers and has the schema this code expects."""
    expected = resources().schema_head
    try:
        # Read only, so that SQLite takes no write lock for it.
        with db.engine.connect().execution_options(sifilma_read_only=True) as connection:
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except SQLAlchemyError as fault:
        return {"ok": False, "error": type(fault).__name__}
    return {"ok": found == expected, "schema": found, "expected": expected}


def check_hsm() -> dict[str, Any]:
    """Check that the HSM makes a signature that verifies, and that every key is what was recorded of it. One of two is enough."""
    try:
        signing = resources().hsm
        state, recorded = signing.check(), sum(len(token.recorded()) for token in signing.tokens)
    except HSMError as fault:
        return {"ok": False, "error": type(fault).__name__}
    told = {"generation": state.generation, "restarts": state.restarts, "last_error": state.last_error, "recorded_keys": recorded}
    if state.tokens:
        told["degraded"] = state.is_degraded
        told["tokens"] = {
            label: {"ok": one.ok, "restarts": one.restarts, "last_error": one.last_error} for label, one in state.tokens.items()
        }
    return {"ok": state.ok, **told}


def check_disk() -> dict[str, Any]:
    """Check that the disk has room for files."""
    settings = resources().settings
    try:
        free = shutil.disk_usage(settings.home).free
    except OSError as fault:
        return {"ok": False, "error": type(fault).__name__}
    return {"ok": free >= MIN_FREE, "free_bytes": free}
