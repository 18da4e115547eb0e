"""Make the application: settings, extensions, blueprints, error handlers and commands. Touches neither database nor HSM."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast
from weakref import proxy

from flask_openapi3 import Info
from werkzeug.middleware.proxy_fix import ProxyFix

from config import holidays
from config.loading import load_settings
from config.settings import Settings
from hsm import HSM
from sifilma import api
from sifilma.activation.trust import key_checks, published, told
from sifilma.app import blueprints, command_groups
from sifilma.app.hooks import register as register_hooks
from sifilma.documents.file_cache import FileCache
from sifilma.documents.store import DatabaseStore
from sifilma.kernel import logging, seals
from sifilma.kernel.clock import Clock, SystemClock
from sifilma.kernel.db import db, engine_options, normalise_url, prepare_engine
from sifilma.kernel.seals import Sealer
from sifilma.kernel.timekeeping.watch import ClockWatch
from sifilma.resources import Resources, attach, resources, signing_token
from sifilma.schema import migrate
from sifilma.sign_in import current_user, request_gate
from sifilma.web import errors, headers, health
from sifilma.web.application import Application
from sifilma.witness.standing import Standing


def create_app(settings: Settings | None = None, *, clock: Clock | None = None, hsm: HSM | None = None) -> Application:
    """Return the application. Tests pass their own settings, clock or HSM; everything else is as in production."""
    settings = settings or load_settings()
    logging.configure(settings.log_level, as_json=settings.log_json)
    app = Application(
        "sifilma",
        info=Info(title="SI-FILMA", version="1", description="The life of a SAM card, from the first request to its destruction."),
        security_schemes=api.security_schemes(settings),
        validation_error_model=api.Problem,
        validation_error_callback=errors.answer_validation,
        doc_ui=False,
        static_folder=None,
    )
    app.config.update(_flask_config(settings))
    attach(app, _resources(app, settings, clock, hsm))
    with suppress(holidays.Unreadable):  # refused where the installation works; a command that only looks goes on
        holidays.read(settings.holidays_file)
    db.init_app(app)
    with app.app_context():
        published.serve_from(settings, prepare_engine(db.engine))
        own = cast(Application, proxy(app))  # the engine keeps its listeners, and db keeps the engine of an application until that goes
        standing = Standing(lambda: resources(own).settings, lambda *stated: told.judge(resources(own).settings, *stated))
        standing.attach(db.engine)
        resources(app).watch.also = standing.require
        db.sessionmaker.configure(info={seals.INFO: Sealer(settings)})
    errors.register(app)
    health.register(app)
    headers.register(app, settings)
    request_gate.register(app)
    current_user.register(app)
    api.register(app)
    blueprints.register(app)
    register_hooks()
    command_groups.register(app)
    # Only as many addresses as there are own proxies are taken from X-Forwarded-For; all others are the client's word.
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=settings.trusted_proxies)  # type: ignore[method-assign]  # Flask's way
    return app


def _resources(app: Application, settings: Settings, clock: Clock | None, hsm: HSM | None) -> Resources:
    clock, token = clock or SystemClock(), hsm or signing_token(settings)
    key_checks.attach(settings, token)
    health.measure_hsms(token)
    return Resources(
        settings=settings,
        clock=clock,
        hsm=token,
        files=DatabaseStore(FileCache(settings.file_cache, settings.file_cache_mb * 2**20) if settings.file_cache_mb else None),
        schema_head=migrate.head(),
        rules=app.url_map,
        watch=ClockWatch(clock, settings.clock_tolerance_seconds),
    )


def _flask_config(settings: Settings) -> dict[str, Any]:
    url = normalise_url(settings.database)
    return {
        "SQLALCHEMY_ENGINES": {"default": {"url": url, **engine_options(url, pool_size=settings.database_pool)}},
        "MAX_CONTENT_LENGTH": settings.max_upload,
        "MAX_FORM_MEMORY_SIZE": 2 * 1024 * 1024,
        "MAX_FORM_PARTS": 10_000,  # a box for each of thousands of cards
        "REQUEST_DEADLINE": settings.request_deadline,
        "TRAP_HTTP_EXCEPTIONS": False,
    }
