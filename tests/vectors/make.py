"""Makes the vectors, always with the same bytes: `python -m tests.vectors.make`. Keys and signatures are deterministic (RFC 6979).

`index.json` holds the result of our verifier for each vector, and which independent programs nevertheless accept the signature:
they check less than a reader must (no dates, no rollback, no status), and some accept a header that our verifier refuses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from manifests import jws
from tests.vectors import keysets, lists, manifests
from tests.vectors.parts import AT, SIGNER, UID, Vector, good, kid

FOLDER = Path(__file__).parent
MADE = ("*.jws", "*.sig", "*.json")  # every file of these names comes from here


def vectors() -> list[Vector]:
    """Return every vector in the order of the index."""
    return [*manifests.vectors(), *keysets.vectors(), *lists.vectors()]


def _entry(vector: Vector) -> dict[str, Any]:
    return {
        "what": vector.what,
        "ours": vector.ours,
        "warning": vector.warning,
        "file": vector.file,
        "keyset": vector.keyset,
        "status": vector.status,
        "ask": vector.ask,
        "accepted_by": sorted(vector.accepted_by),
    }


def index() -> dict[str, Any]:
    """Return the questions and the expected answers."""
    return {
        "at": AT,
        "uid": UID,
        "root_sha256": keysets.PIN,
        "vectors": {vector.name: _entry(vector) for vector in vectors()},
        "root_changes": {
            change.name: {"what": change.what, "held": "keyset.sig", "file": f"{change.name}.sig", "root_sha256": change.new_pin}
            for change in keysets.root_changes()
        },
    }


def files() -> dict[str, bytes]:
    """Return the content of every generated file of this folder, by name."""
    made = {"good.jws": good()} | {vector.file: vector.data for vector in vectors() if vector.data is not None}
    public = [jws.jwk(SIGNER.public_key()) | {"kid": kid(SIGNER), "alg": "ES256", "use": "sig"}]
    return (
        made
        | keysets.files()
        | lists.files()
        | {
            "jwks.json": json.dumps({"keys": public}, indent=1).encode() + b"\n",
            "index.json": json.dumps(index(), indent=1, ensure_ascii=False).encode() + b"\n",
        }
    )


if __name__ == "__main__":
    for name, data in files().items():
        (FOLDER / name).write_bytes(data)
