"""What the application holds of the outside world: clock, HSM, file store. Made lazily, replaced in tests."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask, current_app

from config.settings import Settings
from hsm import HSM, TokenConfig
from sifilma.documents.store import DiskStore, FileStore
from sifilma.kernel.clock import Clock
from sifilma.kernel.db import db
from sifilma.kernel.unit_of_work import assert_no_transaction
from sifilma.regions.place import PlaceCheck, place_check


def attach(app: Flask, settings: Settings, clock: Clock, hsm: HSM | None) -> None:
    """Register the ports of this application."""
    app.extensions["sifilma.settings"] = settings
    app.extensions["sifilma.clock"] = clock
    app.extensions["sifilma.hsm"] = hsm or signing_token(settings)
    app.extensions["sifilma.files"] = DiskStore(settings.files)


def settings() -> Settings:
    """The settings in force."""
    return current_app.extensions["sifilma.settings"]  # type: ignore[no-any-return]  # Flask keeps extensions untyped


def hsm() -> HSM:
    """The signing token."""
    return current_app.extensions["sifilma.hsm"]  # type: ignore[no-any-return]  # Flask keeps extensions untyped


def clock() -> Clock:
    """The clock."""
    return current_app.extensions["sifilma.clock"]  # type: ignore[no-any-return]  # Flask keeps extensions untyped


def close_database() -> None:
    """Give every connection of this process back."""
    db.engine.dispose()


def files() -> FileStore:
    """The file store."""
    return current_app.extensions["sifilma.files"]  # type: ignore[no-any-return]  # Flask keeps extensions untyped


def places() -> PlaceCheck:
    """The geofence: an imported boundary layer, else village points."""
    return place_check(settings().home)


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
