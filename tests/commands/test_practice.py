"""A training installation makes secrets of its own; a real one is never given any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from config.loading import load_settings
from config.settings import SettingsError
from config.soundness import FOR_A_WHILE, STRENGTH
from sifilma.commands.practice import settings_with_secrets

MADE = STRENGTH.keys() - FOR_A_WHILE


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The home of a training installation that is to be made; nothing else is set."""
    for name in [name for name in os.environ if name.startswith("SIFILMA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SIFILMA_ENV", "training")
    monkeypatch.setenv("SIFILMA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_practice_makes_its_secrets_once_and_no_other_account_can_read_them(training: Path) -> None:
    made = settings_with_secrets()
    files = sorted((training / "secrets").iterdir())
    assert [path.name for path in files] == sorted(f"sifilma_{name}" for name in MADE)
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (training / "secrets").stat().st_mode & 0o777 == 0o700
    again = settings_with_secrets()
    assert {name: again.secret(name) for name in MADE} == {name: made.secret(name) for name in MADE}
    assert len({made.secret(name) for name in MADE}) == len(MADE)
    assert load_settings() == again  # what `serve` and `worker` read


def test_practice_keeps_to_secrets_that_the_operator_gives(training: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("SIFILMA_SECRETS_DIR", str(folder))
    with pytest.raises(SettingsError, match="SIFILMA_SECRET_KEY is not set"):
        settings_with_secrets()
    assert not (training / "secrets").exists()


def test_no_real_installation_gets_secrets_made(training: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIFILMA_ENV", "production")
    with pytest.raises(SettingsError, match="SIFILMA_SECRET_KEY is not set"):
        settings_with_secrets()
    assert not training.exists()
