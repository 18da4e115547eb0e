"""Make an installation ready, and serve it."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import partial

import click
from flask import Flask

from config.loading import load_settings
from config.settings import Settings
from config.soundness import is_softhsm
from sifilma import demo
from sifilma.activation.trust import ceremonies, keyset, published
from sifilma.app import clock_commands
from sifilma.app.asgi import Front
from sifilma.app.command_groups import upgrade_database
from sifilma.app.factory import create_app
from sifilma.app.worker_commands import keep_working
from sifilma.commands import practice
from sifilma.commands.applications import require_own, working
from sifilma.commands.supervisor import Role, Supervisor, beside, listen
from sifilma.custody.ceremonies import make
from sifilma.kernel.clock import SystemClock
from sifilma.kernel.db import db
from sifilma.kernel.installation import claim_home
from sifilma.oversight.region_imports import bring_codes
from sifilma.regions.service import is_loaded
from sifilma.resources import ensure_softhsm, resources, root_token
from sifilma.web import metrics
from sifilma.web.application import Application
from sifilma.web.command import command_context
from sifilma.witness import standing


def up(port: int | None, *, serve: bool) -> None:
    """Make everything that is missing, then serve. A second start makes nothing. Practice gets secrets of its own."""
    if port is not None:
        os.environ["SIFILMA_PORT"] = str(port)
        os.environ.setdefault("SIFILMA_PUBLIC_URL", f"http://127.0.0.1:{port}")
    settings = practice.settings_with_secrets()
    prepare(settings)
    if serve:
        app = create_app(settings)
        _serve(settings, app, beside("worker", lambda: _keep_working(app)))


def serve() -> None:
    """Serve with the settings of the environment."""
    settings = load_settings()
    _serve(settings, working(settings))


def prepare(settings: Settings) -> None:
    """Make folders, tokens, keys, keyset, database, regions and, in demo mode, accounts."""
    claim_home(settings)
    require_own(settings)
    ensure_softhsm(settings)
    upgrade_database(settings, SystemClock())
    app = create_app(settings)
    with app.app_context():
        clock_commands.accept_in_demo(settings)
        _keys(settings)
        _regions()
        if settings.is_demo:
            accounts = demo.make_accounts(settings)
            # `sifilma demo` finds the server by this note, whatever its port.
            accounts.with_name("url").write_text(settings.public_url + "\n")
            click.echo(f"demo accounts: {accounts}")
    _close(app)


def _keys(settings: Settings) -> None:
    signing, root = resources().hsm, root_token(settings)
    if is_softhsm(settings.hsm_module):
        trust = make(settings, signing, root, resources().clock.now()).trust
        with command_context() as ctx:
            if ceremonies.newest_version(ctx.session) < trust.keyset.version:
                ceremonies.record_ceremony(ctx, settings, trust)
    click.echo(f"root SPKI SHA-256: {keyset.load(settings).pin}")


def _regions() -> None:
    with command_context() as ctx:
        if not is_loaded(ctx.session):
            done = bring_codes(ctx)
            click.echo(f"regions: {done.added} codes of idn-area-data {done.version}")


def _close(app: Flask) -> None:
    """Close token and connections: the servers are other processes, and this one only waits for them."""
    with app.app_context():
        resources().hsm.close()
        db.engine.dispose()


def _keep_working(app: Application) -> None:
    """Be the worker, in a process of its own."""
    resources(app).watch.begin()
    with app.app_context():
        keep_working()


def begin_server(app: Application, share: Callable[[int], None]) -> Callable[[int], None]:
    """Return what each server process calls with its place after the fork: it reads the clock itself, reads the keys back from now on, and
    then calls `share`.
    """

    def begin(place: int) -> None:
        resources(app).watch.begin()
        resources(app).hsm.watch()
        share(place)

    return begin


def _serve(settings: Settings, app: Application, *others: Role) -> None:
    counted = metrics.sharing(settings.home)  # before the fork: all processes count in one folder

    def share(place: int) -> None:
        published.follow(settings, partial(keyset.heed_witness, settings))
        with app.app_context():
            standing.begin(db.engine)
        counted(place)

    listener = listen(settings.host, settings.port)
    front = Front(app, threads=settings.threads, seconds=settings.body_seconds, largest=settings.max_upload)
    gc.collect()
    gc.freeze()  # what there is now stays: the server processes are forked from this one and share it
    click.echo(f"SI-FILMA serves {settings.public_url}")
    Supervisor(
        front, listener, count=settings.workers, drain=settings.stop_seconds, still=settings.still_seconds, head=settings.body_seconds,
        beside=others, begin=begin_server(app, share),
    ).run()  # fmt: skip
