"""Runs `sifilma up` and, twice, `sifilma demo`: the first ten minutes of the README."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import demonstration
from tests.support.demonstration import environment
from tests.support.programs import ROOT


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a demonstration that is served."""
    with demonstration.served(tmp_path_factory.mktemp("demo") / "var") as made:
        yield made.home


def play(home: Path) -> str:
    command = [sys.executable, "-m", "sifilma", "demo"]
    done = subprocess.run(command, cwd=ROOT, env=environment(home), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    return done.stdout


def test_the_demonstration_runs_twice_and_its_files_are_verified_by_other_programs(served: Path) -> None:
    first = play(served)
    for scene in ("--- magetan ---", "--- bangli ---", "--- mandiri ---", "--- transferred_head ---"):
        assert scene in first
    for word in (
        "a wrong token is refused",
        "manifest 1 is superseded",
        "the card is destroyed",
        "Verified OK",
        "VALID card",
        "is revoked",
        "a remainder of 1",
        "the suspension is answered, the card is active",
        "receives what came → partly_received",
        "SPKT → lost",
        "the card stays damaged",
        "the bell of bangli.kepala rings",
        "has passed on",
    ):
        assert word in first, word
    assert first.count("$ jose jws ver") >= 4
    made = served / "demo"
    assert len(list(made.glob("*.jws"))) >= 5
    # Of the second act: a broken card goes back, its replacement comes, and a card for a misplaced reader.
    assert len(list(made.glob("BAST-*.pdf"))) == 4 + 3
    assert len(list(made.glob("BA-SELISIH-*.pdf"))) == 1
    assert len(list(made.glob("BA-*PEMUSNAHAN*.pdf"))) == 1
    assert (made / "accounts.json").stat().st_mode & 0o077 == 0
    assert "Everything went as it should" in play(served)
    looked = subprocess.run(
        [sys.executable, "-m", "sifilma", "fsck"],
        cwd=ROOT,
        env=environment(served),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "invariants hold" in looked.stdout


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"SIFILMA_ENV": "demo", "SIFILMA_DATABASE_URL": "postgresql://db/x"}, "SIFILMA_ENV=demo is refused"),
        ({"SIFILMA_ENV": "demo", "SIFILMA_THREADS": "many"}, "SIFILMA_THREADS cannot be used"),
    ],
)
def test_the_start_is_refused_with_one_sentence_for_wrong_settings(settings: dict[str, str], sentence: str, tmp_path: Path) -> None:
    lines = refused(tmp_path, settings)
    assert len(lines) == 1
    assert sentence in lines[0]


def test_production_is_refused_with_a_sentence_for_each_setting_that_is_not_real(tmp_path: Path) -> None:
    lines = refused(tmp_path, {"SIFILMA_ENV": "production", "SIFILMA_THREADS": "many"})
    assert all(line.startswith("sifilma: SIFILMA_") and line.endswith(".") for line in lines)
    named = {line.split()[1] for line in lines}
    assert named == {
        "SIFILMA_THREADS", "SIFILMA_ISSUER", "SIFILMA_PUBLIC_URL", "SIFILMA_SECRET_KEY", "SIFILMA_HSM_PIN", "SIFILMA_DATABASE_URL",
        "SIFILMA_HSM_MODULE", "SIFILMA_HTTPS", "SIFILMA_TRUSTED_PROXIES",
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def refused(home: Path, settings: dict[str, str]) -> list[str]:
    """What `sifilma serve` says before it ends with 1."""
    command = [sys.executable, "-m", "sifilma", "serve"]
    done = subprocess.run(command, cwd=ROOT, env=environment(home) | settings, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    return done.stderr.strip().splitlines()
