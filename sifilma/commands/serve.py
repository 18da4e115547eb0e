"""Make an installation ready, and serve it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import click
from flask import Flask

from config.loading import load_settings
from config.settings import Settings
from hsm import ceremony
from hsm.keys import ROOT_PLAN, SIGNING_PLAN
from sifilma import demo
from sifilma.activation.trust import keyset
from sifilma.app.asgi import Front
from sifilma.app.factory import create_app
from sifilma.commands.supervisor import Supervisor, listen
from sifilma.kernel.db import db
from sifilma.oversight.region_imports import bring_codes
from sifilma.regions.service import is_loaded
from sifilma.resources import ensure_softhsm, resources, root_token
from sifilma.schema import migrate
from sifilma.web.command import command_context


def up(port: int | None, *, serve: bool) -> None:
    """Make everything that is missing, then serve. A second start makes nothing."""
    if port is not None:
        os.environ["SIFILMA_PORT"] = str(port)
        os.environ.setdefault("SIFILMA_PUBLIC_URL", f"http://127.0.0.1:{port}")
    settings = load_settings()
    prepare(settings)
    if serve:
        _run(settings)


def serve() -> None:
    """Serve with the settings of the environment."""
    _serve(load_settings())


def prepare(settings: Settings) -> None:
    """Make folders, tokens, keys, keyset, database, regions and, in demo mode, accounts."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    ensure_softhsm(settings)
    migrate.upgrade(settings.database)
    app = create_app(settings)
    with app.app_context():
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
    if "softhsm" in settings.hsm_module:
        for token, plan in ((signing, SIGNING_PLAN), (root, ROOT_PLAN)):
            ceremony.init_token(token, settings.secret("hsm_so_pin"))
            ceremony.create_keys(token, plan)
        keyset.publish(settings, signing, root, resources().clock.now())
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


def _run(settings: Settings) -> None:
    """Serve, with a worker process beside the server that ends with it."""
    worker = subprocess.Popen([sys.executable, "-m", "sifilma", "worker"])
    try:
        _serve(settings)
    finally:
        worker.terminate()
        try:
            worker.wait(timeout=10)
        except subprocess.TimeoutExpired:
            worker.kill()


def _serve(settings: Settings) -> None:
    listener = listen(settings.host, settings.port)
    front = Front(create_app(settings), threads=settings.threads, seconds=settings.body_seconds, largest=settings.max_upload)
    gc.collect()
    gc.freeze()  # what there is now stays: the server processes are forked from this one and share it
    click.echo(f"SI-FILMA serves {settings.public_url}")
    Supervisor(
        front, listener, count=settings.workers, drain=settings.stop_seconds, still=settings.still_seconds, head=settings.body_seconds
    ).run()
