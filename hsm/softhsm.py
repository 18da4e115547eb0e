"""Put back the token file of SoftHSM that a killed process left empty.

SoftHSM truncates and rewrites `token.object` at every login. A process that is killed at that instant leaves it empty, and with it the
token and all its keys are lost. A real HSM keeps no such file, and nothing is done there.
"""

from __future__ import annotations

import os
from pathlib import Path

FILE, COPY = "token.object", "token.kept"
CONFIGURATION = "SOFTHSM2_CONF"
TOKENS = "directories.tokendir"


def put_back() -> None:
    """Keep a copy of each sound token file, and put the copy in the place of an empty one. The caller holds the lock of logins.

    What cannot be read or written is left as it is: the library then says what is wrong.
    """
    folder = _folder()
    for file in sorted(folder.glob(f"*/{FILE}")) if folder else []:
        copy = file.with_name(COPY)
        try:
            held = file.read_bytes()
            kept = copy.read_bytes() if copy.exists() else b""
            if not held and kept:
                _write(file, kept)
            elif held and held != kept:
                _write(copy, held)
        except OSError:
            continue


def _folder() -> Path | None:
    """Return the folder of SoftHSM's tokens, None where SoftHSM is not configured."""
    try:
        lines = Path(os.environ.get(CONFIGURATION, "")).read_text().splitlines()
    except OSError:
        return None
    pairs = (line.partition("=") for line in lines)
    return next((Path(value.strip()) for name, _, value in pairs if name.strip() == TOKENS), None)


def _write(path: Path, data: bytes) -> None:
    """Write under another name and rename, so that no instant leaves a part of the file."""
    temporary = path.with_name(f".{path.name}.new")  # one name: a process killed here leaves a file that the next one overwrites
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
        handle.write(data)
    temporary.replace(path)
