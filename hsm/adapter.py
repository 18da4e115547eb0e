"""A private key that lives in the HSM, in the shape `cryptography` expects: X.509, CSR, CRL, CMS, PDF."""

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
        """The public half."""
        ...


class HSMPrivateKey(ec.EllipticCurvePrivateKey):
    """Signs in the HSM; everything that would need the key itself is refused."""

    def __init__(self, hsm: Signer, label: str) -> None:
        self._hsm, self._label = hsm, label

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return ec.SECP256R1()

    @property
    def key_size(self) -> int:
        """256 bits."""
        return 256

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._hsm.public_key(self._label)

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """A DER signature with SHA-256 (of the data, or of a digest given as Prehashed)."""
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
        return utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Refused: the key may only sign."""
        raise HSMMisuse("this key may only sign")

    def private_numbers(self) -> NoReturn:
        """Refused: the key never leaves the HSM."""
        raise HSMMisuse("the key never leaves the HSM")

    def private_bytes(
        self,
        encoding: serialization.Encoding = serialization.Encoding.PEM,
        format: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
        encryption_algorithm: serialization.KeySerializationEncryption | None = None,
    ) -> NoReturn:
        """Refused: the key never leaves the HSM."""
        raise HSMMisuse("the key never leaves the HSM")

    def __copy__(self) -> HSMPrivateKey:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> HSMPrivateKey:
        return self
