"""What the application holds of the outside world: settings, clock, HSM, file store. Kept under one key, replaced in tests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, current_app
from werkzeug.routing import Map

from config.settings import Settings
from hsm import HSM, TokenConfig
from sifilma.kernel.clock import Clock
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.unit_of_work import assert_no_transaction

KEY = "sifilma"


@dataclass(frozen=True)
class Site:
    """Where the pages of this installation are: its public address, and the rules that its paths are built by."""

    url: str
    rules: Map

    def page(self, endpoint: str, **values: object) -> str:
        """The full address of a page; outside a request too."""
        return self.url + self.rules.bind("").build(endpoint, values)


@dataclass(frozen=True)
class Resources:
    """All that `create_app` was given or made. `schema_head` is the migration that this code expects, `rules` the map of URLs."""

    settings: Settings
    clock: Clock
    hsm: HSM
    files: FileStore
    schema_head: str | None
    rules: Map

    @property
    def site(self) -> Site:
        """Where its pages are."""
        return Site(self.settings.public_url, self.rules)


def attach(app: Flask, held: Resources) -> None:
    """Give the application its resources, or others in place of those it has."""
    app.extensions[KEY] = held


def resources(app: Flask | None = None) -> Resources:
    """The resources of an application; without one, of the application whose request or command is run."""
    found: Resources = (app or current_app).extensions[KEY]
    return found


def signing_token(settings: Settings) -> HSM:
    """The token that signs and seals in daily work."""
    return HSM(token_config(settings, settings.hsm_token, "hsm_pin", settings.hsm_token_serial), assert_no_transaction)


def root_token(settings: Settings) -> HSM:
    """The offline root: keysets and certificates only."""
    return HSM(token_config(settings, settings.root_token, "root_pin", None), assert_no_transaction)


def ensure_softhsm(settings: Settings) -> None:
    """SoftHSM, where nobody has configured it, keeps its tokens under `home`: nothing outside is touched."""
    folder = settings.home / "softhsm"
    configuration = folder / "softhsm2.conf"
    if "softhsm" not in settings.hsm_module or "SOFTHSM2_CONF" in os.environ:
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
    """How to reach a token; SoftHSM under `home` is found without any environment of the operator's."""
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
    )
