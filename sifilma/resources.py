"""The resources of the application: settings, clock, HSM, file store. They are kept under one key, so that tests can replace them."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from werkzeug.routing import Map

from config.settings import Settings
from config.soundness import SOFTHSM, is_softhsm
from hsm import HSM, HSMPair, TokenConfig, softhsm
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
    """Return what signs and seals in daily work: one HSM token, or two. It refuses calls inside a database transaction."""
    if settings.second_hsm_token:
        ensure_softhsm(settings)
    first = HSM(token_config(settings, settings.hsm_token, "hsm_pin", settings.hsm_token_serial), assert_no_transaction)
    if not settings.second_hsm_token:
        return first
    return HSMPair(first, HSM(second_config(settings), assert_no_transaction), settings.hsm_patience)


def root_token(settings: Settings) -> HSM:
    """Return the HSM token of the offline root, which signs keysets and certificates only."""
    return HSM(token_config(settings, settings.root_token, "root_pin", None), assert_no_transaction)


def ensure_softhsm(settings: Settings) -> None:
    """Configure SoftHSM to keep its tokens under `home`. Do nothing for another module, or if SOFTHSM2_CONF is set."""
    if is_softhsm(settings.hsm_module) and softhsm.CONFIGURATION not in os.environ:
        os.environ[softhsm.CONFIGURATION] = str(softhsm.configure(settings.home / "softhsm"))


def token_config(settings: Settings, label: str, pin: str, serial: str | None) -> TokenConfig:
    """Return how to reach a token. `pin` is the name of the setting with its PIN.

    If SoftHSM was configured under `home` (`ensure_softhsm`), SOFTHSM2_CONF is set to that file unless the operator has set it.
    """
    soft = settings.home / "softhsm" / "softhsm2.conf"
    if soft.exists():
        os.environ.setdefault(softhsm.CONFIGURATION, str(soft.resolve()))
    named = os.environ.get(softhsm.CONFIGURATION)
    return TokenConfig(
        module_path=settings.hsm_module,
        token_label=label,
        token_serial=serial,
        pin=lambda: settings.secret(pin),
        lock_file=Path(settings.home).resolve() / "hsm.lock",
        call_timeout=settings.hsm_timeout,
        refused_makers=(SOFTHSM,) if settings.env == "production" else (),
        # Two libraries in one process read different ones, so each is told its own.
        apart=bool(settings.second_hsm_token) and settings.hsm_apart == "process" and label != settings.root_token,
        configuration=Path(named) if named and settings.second_hsm_token and is_softhsm(settings.hsm_module) else None,
    )


def second_config(settings: Settings) -> TokenConfig:
    """Return how to reach the token of the second HSM. SoftHSM gets a copy of its library, and a folder of tokens, under `home`."""
    module = settings.second_hsm_module or settings.hsm_module
    config = token_config(settings, settings.second_hsm_token, "second_hsm_pin", settings.second_hsm_token_serial)
    # A lock of its own: a start or a login that hangs at one HSM holds up nobody at the other.
    config = replace(config, module_path=module, lock_file=config.lock_file.with_name("hsm-2.lock"), configuration=None)
    if not is_softhsm(module):
        return config
    folder = settings.home / "softhsm-2"
    configuration = softhsm.configure(folder)
    return replace(config, module_path=str(softhsm.copy(Path(module), folder)), configuration=configuration)
