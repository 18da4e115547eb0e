"""Invariants of idempotency keys: a completed key has its answer."""

from __future__ import annotations

from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot


@in_snapshot("idempotency-answer", "An idempotency key is stored with its answer, or is still under way.")
def answer(now: Snapshot) -> Found:
    """Check stored answers. A key that a crash left without an answer is taken over by the next attempt."""
    yield from now.find(
        "idempotency_key",
        "SELECT id, status FROM idempotency_key WHERE status <> 0 AND (status NOT BETWEEN 200 AND 299 OR (status <> 204"
        " AND (media_type = '' OR length(body) = 0)))",
        "is done with status {status} and has no answer",
    )
    yield from now.find(
        "idempotency_key",
        "SELECT id FROM idempotency_key WHERE status = 0 AND (media_type <> '' OR length(body) > 0)",
        "is not done, and has an answer",
    )
    yield from now.find(
        "idempotency_key",
        "SELECT MIN(id) AS id, COUNT(*) AS times FROM idempotency_key GROUP BY actor, key HAVING COUNT(*) > 1",
        "was claimed {times} times by one actor",
    )
