"""The list of all themes. Importing this module registers their invariants; `fsck` checks them in this order."""

from __future__ import annotations

from sifilma.fsck import (
    accounts,
    approvals,
    batches,
    cards,
    destructions,
    documents,
    histories,
    holders,
    idempotency,
    jobs,
    log,
    manifests,
    models,
    organisations,
    regions,
    registry,
    schema_head,
    sealed,
    secrets,
    status_lists,
    tokens,
    witness,
)

THEMES = (
    schema_head, tokens, manifests, status_lists, cards, destructions, holders, batches, models, approvals, histories, log, accounts,
    organisations, secrets, idempotency, jobs, regions, documents, sealed,
    witness,
)  # fmt: skip


def invariants() -> list[registry.Invariant]:
    """Return every invariant, theme by theme."""
    return sorted(registry.invariants(), key=lambda one: [theme.__name__ for theme in THEMES].index(one.check.__module__))
