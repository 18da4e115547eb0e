"""Tests that hold the statements of README.md against the repository."""

from __future__ import annotations

import re
from pathlib import Path

from sifilma.cards.models import CARD
from sifilma.kernel.lifecycle import mermaid

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_diagram_equals_the_transition_table() -> None:
    assert f"```mermaid\n{mermaid(CARD)}\n```" in README


def test_every_folder_and_file_the_readme_names_exists() -> None:
    named = re.findall(r"`((?:config|sifilma|hsm|manifests|migrations|tests)/[\w/.]*)`", README)
    assert len(named) > 8
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_readme_names_every_target_of_the_makefile_and_no_other() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:`|^    )make (\w+)", README, re.MULTILINE)) == set(targets)
