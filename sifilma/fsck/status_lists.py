"""Invariants of status lists: the published ones agree with the manifests, and every index belongs to one token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from manifests.keyset import Keyset
from manifests.status import StatusRefused, StatusValue, parse_status
from sifilma.activation.models import ManifestState
from sifilma.activation.trust import keyset
from sifilma.activation.trust import published as published_trust
from sifilma.activation.trust.status_list import VALUES
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Broken, Snapshot, broken

_LAST = (
    "SELECT p.number AS id, p.seq, p.jws, p.changes, l.changes AS present FROM published_status_list p JOIN status_list l"
    " ON l.number = p.number WHERE p.seq = (SELECT MAX(q.seq) FROM published_status_list q WHERE q.number = p.number)"
)


@in_snapshot("status-index", "Every status index is reserved once, with a token, and none is given out twice.")
def index(now: Snapshot) -> Found:
    """Compare the next free index of each list with the number of its tokens."""
    yield from now.find(
        "status_list",
        "SELECT l.number AS id, l.next_index, l.size, COUNT(t.id) AS tokens FROM status_list l"
        " LEFT JOIN token t ON t.status_list = l.number GROUP BY l.number, l.next_index, l.size, l.moved"
        " HAVING COUNT(t.id) + l.moved <> l.next_index OR l.next_index > l.size",
        "has given out {next_index} of {size} indexes to {tokens} tokens",
    )
    yield from now.find(
        "status_list",
        "SELECT status_list AS id, status_index, COUNT(*) AS times FROM token GROUP BY status_list, status_index HAVING COUNT(*) > 1",
        "has given index {status_index} to {times} tokens",
    )


@in_snapshot("trust-stored", "The stored keyset, record of keys and root are those that the root of the newest ceremony signed.")
def trust(now: Snapshot) -> Found:
    """Verify what a node takes from the database where its folder is empty."""
    context = now.context()
    try:
        for name, says in published_trust.unusable(context.session):
            yield broken("published_trust", name, says)
    finally:
        context.uow.close()


@in_snapshot("status-signed", "Every published status list verifies in a program that is not ours, and is the one it says.")
def signed(now: Snapshot) -> Found:
    """Verify with joserfc and the status keys of the keyset, and compare number and sequence with the row."""
    published = keyset.load(now.settings).keyset
    for row in now.rows("SELECT number AS id, seq, jws FROM published_status_list"):
        fault = _signature_fault(published, row)
        if fault:
            yield broken("status_list", row.id, f"publication {row.seq} {fault}")


def _signature_fault(published: Keyset, row: Any) -> str:
    try:
        parts, listed = parse_status(row.jws.encode())
        key = published.find(parts.kid, "status")
        if key is None:
            return "is signed by no status key of the keyset"
        jws.deserialize_compact(row.jws, ECKey.import_key(dict(key.jwk.model_dump())), algorithms=["ES256"])
    except (StatusRefused, JoseError):
        return "does not verify"
    return "" if (listed.list, listed.seq) == (row.id, row.seq) else "says another number or sequence than its row"


@in_snapshot("status-agrees", "A published status list agrees with the manifests; what it revoked stays revoked.")
def agrees(now: Snapshot) -> Found:
    """Compare all values if nothing has changed since the publication, else only that nothing revoked is valid again."""
    for row in now.rows(_LAST):
        listed = _entries(row.jws)
        if listed is not None:
            yield from _disagreements(now, row, listed)


def _entries(line: str) -> dict[int, StatusValue] | None:
    """Return the entries of a publication that are not VALID, or None if it cannot be read (`status-signed` reports it)."""
    try:
        return parse_status(line.encode())[1].entries()
    except ValueError:
        return None


def _disagreements(now: Snapshot, row: Any, listed: dict[int, StatusValue]) -> Iterator[Broken]:
    is_current = row.changes == row.present
    beyond = {one.status_index for one in now.rows("SELECT status_index FROM status_beyond WHERE status_list = :number", number=row.id)}
    for manifest in now.rows("SELECT id, status_index, state FROM manifest WHERE status_list = :number", number=row.id):
        says = listed.get(manifest.status_index, StatusValue.VALID)
        right = VALUES.get(ManifestState(manifest.state), StatusValue.VALID)
        if says is StatusValue.SUSPENDED and manifest.status_index in beyond:
            continue  # what only the witness knows waits for people
        if says is not right and (is_current or says is StatusValue.REVOKED):
            words = f"is {manifest.state}, but status list {row.id} says {says.name.lower()} at index {manifest.status_index}"
            yield broken("manifest", manifest.id, words)
