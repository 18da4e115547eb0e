"""The resources of the application: settings, clock, HSM, file store. They are kept under one key, so that tests can replace them."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from werkzeug.routing import Map

from config.settings import Settings
from config.soundness import SOFTHSM, is_softhsm
from hsm import HSM, TokenConfig
from sifilma.kernel.clock import Clock
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.rates import Rates, Repetitions
from sifilma.kernel.timekeeping.targets import Targets
from sifilma.kernel.timekeeping.watch import ClockWatch
from sifilma.kernel.unit_of_work import assert_no_transaction

KEY = "sifilma"
UNSTORED = 200


@dataclass(frozen=True)
class Site:
    """The public URL of this installation, and the URL rules that the paths of its pages are built with."""

    url: str
    rules: Map

    def page(self, endpoint: str, **values: object) -> str:
        """Return the full URL of a page. It needs no request."""
        return self.url + self.rules.bind("").build(endpoint, values)


@dataclass(frozen=True)
class Resources:
    """What `create_app` was given or made.

    `schema_head` is the migration that this code expects, `rules` the URL map; `watch` decides whether `clock` may be trusted.
    `rates`, `denials` and `failures` are what this process counts in its memory; `unstored` are failures that the database could not take.
    """

    settings: Settings
    clock: Clock
    hsm: HSM
    files: FileStore
    schema_head: str | None
    rules: Map
    watch: ClockWatch
    rates: Rates = field(default_factory=Rates)
    denials: Repetitions[Any] = field(default_factory=Repetitions)
    failures: Repetitions[Any] = field(default_factory=Repetitions)
    unstored: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=UNSTORED))

    @property
    def site(self) -> Site:
        """Return the site, which builds full URLs of pages."""
        return Site(self.settings.public_url, self.rules)

    @property
    def targets(self) -> Targets:
        """Return the service targets."""
        return Targets.of(self.settings)


def attach(app: Flask, held: Resources) -> None:
    """Attach resources to the application, in place of those it has."""
    app.extensions[KEY] = held


def resources(app: Flask | None = None) -> Resources:
    """Return the resources of `app`; by default of the application whose request or command runs."""
    found: Resources = (app or current_app).extensions[KEY]
    return found


def signing_token(settings: Settings) -> HSM:
    """Return the HSM token that signs and seals in daily work. It refuses calls inside a database transaction."""
    return HSM(token_config(settings, settings.hsm_token, "hsm_pin", settings.hsm_token_serial), assert_no_transaction)


def root_token(settings: Settings) -> HSM:
    """Return the HSM token of the offline root, which signs keysets and certificates only."""
    return HSM(token_config(settings, settings.root_token, "root_pin", None), assert_no_transaction)


def ensure_softhsm(settings: Settings) -> None:
    """Configure SoftHSM to keep its tokens under `home`. Do nothing for another module, or if SOFTHSM2_CONF is set."""
    folder = settings.home / "softhsm"
    configuration = folder / "softhsm2.conf"
    if not is_softhsm(settings.hsm_module) or "SOFTHSM2_CONF" in os.environ:
        return
    (folder / "tokens").mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = (
        f"directories.tokendir = {(folder / 'tokens').resolve()}",
        "objectstore.backend = file",
        "log.level = ERROR",
        "library.reset_on_fork = true",
    )
    configuration.write_text("\n".join(lines) + "\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration.resolve())


def token_config(settings: Settings, label: str, pin: str, serial: str | None) -> TokenConfig:
    """Return how to reach a token. `pin` is the name of the setting with its PIN.

    If SoftHSM was configured under `home` (`ensure_softhsm`), SOFTHSM2_CONF is set to that file unless the operator has set it.
    """
    soft = settings.home / "softhsm" / "softhsm2.conf"
    if soft.exists():
        os.environ.setdefault("SOFTHSM2_CONF", str(soft.resolve()))
    return TokenConfig(
        module_path=settings.hsm_module,
        token_label=label,
        token_serial=serial,
        pin=lambda: settings.secret(pin),
        lock_file=Path(settings.home).resolve() / "hsm.lock",
        call_timeout=settings.hsm_timeout,
        refused_makers=(SOFTHSM,) if settings.env == "production" else (),
    )
