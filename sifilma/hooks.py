"""What acts upward, against the layers, registered once at start-up (DOMAIN.md, rule 13)."""

from __future__ import annotations

from sifilma.activation import bulk, revocation, standing
from sifilma.destruction import document as berita_acara
from sifilma.handover import document as bast
from sifilma.personalisation import refused
from sifilma.reports import notices


def register() -> None:
    """Attach every hook; safe to call twice."""
    revocation.register_hooks()
    standing.register_hooks()
    notices.register_hooks()
    bulk.register_kind()
    refused.register_kind()
    bast.register_paper()
    berita_acara.register_paper()
