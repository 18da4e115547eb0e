"""The secrets of a training installation: made at random, kept in its home, readable by its account alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from config.loading import SECRETS_DIR, load_settings, read_settings
from config.settings import Settings
from config.soundness import FOR_A_WHILE, STRENGTH
from sifilma.kernel.installation import claim_home


def settings_with_secrets() -> Settings:
    """Return the settings. For practice, make first what secrets are missing, unless the operator keeps them in a folder of their own.

    Raise SettingsError as `load_settings` does.
    """
    settings = read_settings().settings
    if settings.env == "training" and not os.environ.get(SECRETS_DIR):
        claim_home(settings)
        _make(settings)
    return load_settings()


def _make(settings: Settings) -> None:
    folder = settings.home / "secrets"
    folder.mkdir(exist_ok=True, mode=0o700)
    for name in STRENGTH.keys() - FOR_A_WHILE:
        if not settings.optional_secret(name):
            _write(folder / f"sifilma_{name}", secrets.token_hex(32))


def _write(path: Path, value: str) -> None:
    """Write a file of mode 0600. FileExistsError where there is one: another command made it in the same moment."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(value + "\n")
