"""The tree passes linter, formatter, type checker and import contracts; linter, type checker and contracts each catch a planted fault."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import ROOT

BIN = Path(sys.executable).parent
CODE = ("config", "hsm", "manifests", "sifilma")
COMMANDS: dict[str, list[str | Path]] = {
    "ruff check": [BIN / "ruff", "check", "."],
    "ruff format": [BIN / "ruff", "format", "--check", "--output-format", "concise", "."],
    # Writing a cache takes a quarter of the time. One that is there is used, and kept.
    "mypy": [BIN / "mypy"] if (ROOT / ".mypy_cache").exists() else [BIN / "mypy", "--cache-dir", os.devnull],
    "import contracts": [BIN / "lint-imports", "--no-logo"],
}
UPWARD = "\nfrom sifilma.cards import models as planted\n"


def _run(command: list[str | Path], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_tree_is_clean(name: str) -> None:
    done = _run(COMMANDS[name])
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"


def test_ruff_catches_a_planted_fault(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text('"""A module."""\n\nfrom unittest.mock import Mock\n\nMock()\n')
    done = _run([BIN / "ruff", "check", "--config", ROOT / "pyproject.toml", planted])
    assert done.returncode == 1
    assert "TID251" in done.stdout


def test_mypy_catches_a_planted_fault(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("def untyped(x):\n    return x\n")
    done = _run([BIN / "mypy", "--config-file", ROOT / "pyproject.toml", "--cache-dir", tmp_path / "cache", planted])
    assert done.returncode == 1
    assert "no-untyped-def" in done.stdout


def test_an_import_of_a_higher_layer_is_caught(tmp_path: Path) -> None:
    _copy_code(tmp_path)
    with (tmp_path / "sifilma/kernel/clock.py").open("a") as clock:
        clock.write(UPWARD)
    done = _run([BIN / "lint-imports", "--no-logo", "--no-cache"], tmp_path)
    assert done.returncode == 1
    assert "sifilma.kernel is not allowed to import sifilma.cards" in done.stdout


@pytest.mark.parametrize("path", ["sifilma/planted.py", "sifilma/planted/__init__.py"])
def test_a_module_that_no_layer_names_is_caught(path: str, tmp_path: Path) -> None:
    _copy_code(tmp_path)
    planted = tmp_path / path
    planted.parent.mkdir(exist_ok=True)
    planted.write_text('"""A module."""\n')
    done = _run([BIN / "lint-imports", "--no-logo", "--no-cache"], tmp_path)
    assert done.returncode == 1
    assert "sifilma.planted" in done.stdout + done.stderr


def _copy_code(folder: Path) -> None:
    for package in CODE:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
