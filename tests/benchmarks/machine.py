"""Measures the present speed of this machine against the machine of the reference figures."""

from __future__ import annotations

import hashlib
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

REFERENCE_VERIFY_US = 45.0


def slowness() -> float:
    """Return how much slower this machine is (1.0: as fast as the reference), by the CPU of ES256 verifications, best of ten rounds."""
    key = ec.generate_private_key(ec.SECP256R1())
    message = hashlib.sha256(b"calibration").digest()
    signature, public = key.sign(message, ec.ECDSA(hashes.SHA256())), key.public_key()
    rounds = []
    for _ in range(10):
        before = time.process_time()
        for _ in range(500):
            public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        rounds.append((time.process_time() - before) / 500 * 1e6)
    return min(rounds) / REFERENCE_VERIFY_US
