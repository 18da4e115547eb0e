"""Export the log as a file that a stranger can verify without this software: one JSON object per line.

The first line is `{"log": {origin, size, keys}}` with the keys as SubjectPublicKeyInfo in base64. Then follows a line per leaf,
`{"leaf": text}`; the UTF-8 bytes of `text` are hashed. A checkpoint follows the last leaf it covers:
`{"checkpoint": note}`. The file holds no personal data (see `sifilma.audit.leaf`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from sifilma.audit import note
from sifilma.audit.leaf import leaf_bytes
from sifilma.audit.models import LogCheckpoint
from sifilma.audit.store import ENTRY, LEAF, LogBroken, log_size, rows_by
from sifilma.kernel.context import Context

CHUNK = 1000


def lines(ctx: Context, origin: str, keys: Sequence[ec.EllipticCurvePublicKey]) -> Iterator[str]:
    """Yield the lines, each with its newline. `ctx` needs a unit of work of its own, which is restarted between chunks.

    Raise LogBroken if an entry is missing; `verify` then reports more.
    """
    ctx.uow.begin_read()
    size = log_size(ctx.session)
    yield _line({"log": {"origin": origin, "size": size, "keys": [base64.b64encode(note.spki(key)).decode() for key in keys]}})
    for low in range(0, size, CHUNK):
        yield from _stretch(ctx, range(low, min(low + CHUNK, size)))
        ctx.uow.restart_read()


def _stretch(ctx: Context, places: range) -> Iterator[str]:
    leaves = rows_by(ctx.session, LEAF, "seq", places)
    entries = rows_by(ctx.session, ENTRY, "id", [leaf["entry_id"] for leaf in leaves.values() if leaf is not None])
    signed = select(LogCheckpoint.size, LogCheckpoint.note).where(LogCheckpoint.size > places.start, LogCheckpoint.size <= places.stop)
    notes = {row.size: row.note for row in ctx.session.execute(signed)}
    for seq in places:
        leaf = leaves.get(seq)
        entry = entries.get(leaf["entry_id"]) if leaf is not None else None
        if entry is None:
            raise LogBroken(f"The entry at place {seq} of the log is gone.")
        yield _line({"leaf": leaf_bytes(seq, entry).decode()})
        if seq + 1 in notes:
            yield _line({"checkpoint": notes[seq + 1]})


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
