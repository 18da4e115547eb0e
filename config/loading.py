"""Read the settings from environment and files, and refuse the start with everything that is wrong, all at once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config.settings import Settings, SettingsError
from config.soundness import Finding, completed, findings, variable

SECRETS_DIR = "SIFILMA_SECRETS_DIR"


@dataclass(frozen=True)
class Reading:
    """The settings as they were read, and what is wrong. Where a value cannot be used, its setting has the default.

    `unusable`: values that are of no use at all. `findings`: what this kind of installation refuses or doubts.
    """

    settings: Settings
    unusable: tuple[Finding, ...]
    findings: tuple[Finding, ...]

    @property
    def refusals(self) -> list[str]:
        """Return the sentences that refuse the start."""
        return [finding.text for finding in (*self.unusable, *self.findings) if finding.refused]


def read_settings(**overrides: object) -> Reading:
    """Read the settings whatever is wrong with them. `overrides` take precedence over environment and files."""
    folder = os.environ.get(SECRETS_DIR)
    settings, unusable = _read(Path(folder) if folder else None, overrides)
    own = settings.home / "secrets"
    if settings.env == "training" and not folder and own.is_dir():  # what `sifilma up` made
        settings, unusable = _read(own, overrides)
    settings = completed(settings)
    return Reading(settings, tuple(unusable), tuple(findings(settings)))


def load_settings(**overrides: object) -> Settings:
    """Read and check the settings. Raise SettingsError with a sentence for each one that refuses the start."""
    reading = read_settings(**overrides)
    _refuse(reading.refusals)
    return reading.settings


def load_to_look(**overrides: object) -> Settings:
    """Read the settings for a command that only looks: what would refuse the start does not keep an operator from looking.

    Raise SettingsError for values that cannot be used at all.
    """
    reading = read_settings(**overrides)
    _refuse(finding.text for finding in reading.unusable)
    return reading.settings


def _refuse(sentences: Iterable[str]) -> None:
    if told := "\n".join(sentences):
        raise SettingsError(told)


def _read(folder: Path | None, overrides: dict[str, object]) -> tuple[Settings, list[Finding]]:
    unusable: list[Finding] = []
    if folder is not None and (why := _unreadable(folder)):
        unusable.append(Finding("secret_key", f"{SECRETS_DIR} {why}."))
        folder = None
    replaced: dict[str, Any] = {}
    while True:
        try:
            return Settings(_secrets_dir=folder, **{**overrides, **replaced}), unusable  # type: ignore[call-arg]  # pydantic-settings' own argument
        except ValidationError as wrong:
            for error in wrong.errors(include_url=False, include_input=False, include_context=False):
                name = str(error["loc"][0])
                if name not in replaced:
                    unusable.append(Finding(name, f"{variable(name)} cannot be used: {error['msg'].rstrip('.')}."))
                replaced[name] = Settings.model_fields[name].default


def _unreadable(folder: Path) -> str:
    """Return why the secrets in a folder cannot be read, or an empty text."""
    try:
        for path in folder.iterdir():
            if path.name.lower().startswith("sifilma_") and path.is_file():
                path.read_text()
    except (OSError, ValueError) as fault:
        return f"cannot be read ({type(fault).__name__}): {getattr(fault, 'filename', None) or folder}"
    return ""
