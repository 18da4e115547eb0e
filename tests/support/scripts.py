"""The project's scripts, as modules."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from tests.support.programs import ROOT


def load(name: str) -> ModuleType:
    """The module of `scripts/NAME.py`: the folder is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
