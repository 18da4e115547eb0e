"""Wrap a private key of the HSM as a private key of `cryptography`, whose X.509, CSR, CRL and CMS builders accept it."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from hsm.errors import HSMMisuse


class Signer(Protocol):
    """What signs with a named key, and knows its public half: `hsm.HSM`."""

    def sign(self, label: str, digest: bytes) -> bytes:
        """64 bytes r ‖ s over a 32-byte digest."""
        ...

    def public_key(self, label: str) -> ec.EllipticCurvePublicKey:
        """Return the public half, as pinned by `HSM.public_key`."""
        ...


class HSMPrivateKey(ec.EllipticCurvePrivateKey):
    """A P-256 private key that signs in the HSM. Operations that need the key's value raise HSMMisuse."""

    def __init__(self, hsm: Signer, label: str) -> None:
        self._hsm, self._label = hsm, label

    @property
    def curve(self) -> ec.EllipticCurve:
        """Return P-256, the only curve the HSM's keys use."""
        return ec.SECP256R1()

    @property
    def key_size(self) -> int:
        """Return 256, the key's size in bits."""
        return 256

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half, as pinned by `HSM.public_key`."""
        return self._hsm.public_key(self._label)

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Return a DER-encoded ECDSA signature with SHA-256.

        `data` is the message, or its 32-byte digest where the algorithm is Prehashed. Raise HSMMisuse for any other hash.
        """
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, utils.Prehashed):
            digest = bytes(data)
        elif isinstance(algorithm, hashes.SHA256):
            hasher = hashes.Hash(algorithm)
            hasher.update(data)
            digest = hasher.finalize()
        else:
            raise HSMMisuse("this key signs with SHA-256 only")
        raw = self._hsm.sign(self._label, digest)
        # PKCS#11 answers r ‖ s (64 bytes); X.509 and CMS carry the DER form.
        return utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Raise HSMMisuse: the key's attributes allow signing only."""
        raise HSMMisuse("this key may only sign")

    def private_numbers(self) -> NoReturn:
        """Raise HSMMisuse: the key is not extractable."""
        raise HSMMisuse("the key never leaves the HSM")

    def private_bytes(
        self,
        encoding: serialization.Encoding = serialization.Encoding.PEM,
        format: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
        encryption_algorithm: serialization.KeySerializationEncryption | None = None,
    ) -> NoReturn:
        """Raise HSMMisuse: the key is not extractable."""
        raise HSMMisuse("the key never leaves the HSM")

    # The interface of `cryptography` demands copies. The key in the HSM has none, so a copy is the same object.
    def __copy__(self) -> HSMPrivateKey:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> HSMPrivateKey:
        return self
