"""What a verifier remembers from one call to the next: the highest version of a keyset that each root has signed before its eyes.

A keyset does not expire. Without this memory whoever hands over an older one brings a revoked key back.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from manifests.keyset import KeysetRefused, verify_keyset
from manifests.verifier import Expectations


def highest(path: Path, root_sha256: str) -> int:
    """Return the highest version seen of a root's keyset, 0 if there is no file yet. Raise ValueError for a file that is none of ours.

    An empty or damaged file is refused: to take it as new would forget what it held.
    """
    return _read(path).get(root_sha256, 0)


def remember(path: Path, expected: Expectations) -> None:
    """Remember the version of the keyset of these expectations, if it verifies and is newer. The file is replaced as a whole.

    Raise OSError if it cannot be written, and ValueError as `highest` does.
    """
    try:
        version = verify_keyset(expected.keyset, expected.root_sha256, expected.min_keyset_version).version
    except KeysetRefused:
        return
    seen = _read(path)
    if version <= seen.get(expected.root_sha256, 0):
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w") as new:  # noqa: PTH123  # a handle, not a path
            json.dump({"keyset_versions": seen | {expected.root_sha256: version}}, new)
        Path(name).replace(path)
    except OSError:  # a full disk leaves the old file, and no part of a new one
        Path(name).unlink(missing_ok=True)
        raise


def _read(path: Path) -> dict[str, int]:
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as broken:  # lists within lists, without end
        raise ValueError(f"{path} is no file of --state") from broken
    seen = told.get("keyset_versions") if isinstance(told, dict) else None
    if not isinstance(seen, dict) or not all(type(version) is int and version >= 0 for version in seen.values()):
        raise ValueError(f"{path} is no file of --state")
    return seen
