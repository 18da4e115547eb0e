"""Invariants of models of readers and encoders: their certificates and makers."""

from __future__ import annotations

from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot


@in_snapshot("model-certificate", "A tested or certified application has a certificate of its kind; none states less TKDN than asked for.")
def certificate(now: Snapshot) -> Found:
    """Check the certificate's kind and TKDN. The certificate of a test states no percentage."""
    yield from now.find(
        "model_case",
        "SELECT m.id, m.state FROM model_case m LEFT JOIN model_certificate c ON c.model_case_id = m.id"
        " AND c.kind = CASE m.kind WHEN 'testing' THEN 'test' ELSE 'tkdn' END"
        " WHERE m.state IN ('tested', 'certified', 'reported') AND c.id IS NULL",
        "is {state} without a certificate of its kind",
    )
    yield from now.find(
        "model_certificate",
        "SELECT id, tkdn_e2, tkdn_min_e2 FROM model_certificate WHERE (kind = 'tkdn' AND (tkdn_e2 IS NULL OR tkdn_e2 < tkdn_min_e2))"
        " OR (kind = 'test' AND tkdn_e2 IS NOT NULL)",
        "states a TKDN (in hundredths of a percent) of {tkdn_e2} where {tkdn_min_e2} was the least",
    )


@in_snapshot("model-maker", "A manufacturer applies for its own models.")
def maker(now: Snapshot) -> Found:
    """Compare the applicant with the model's manufacturer."""
    return now.find(
        "model_case",
        "SELECT m.id FROM model_case m JOIN device_model d ON d.id = m.model_id WHERE d.manufacturer_id <> m.organisation_id",
        "is for a model of another manufacturer",
    )
