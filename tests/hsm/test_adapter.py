"""OpenSSL verifies certificates, requests and revocation lists that are signed in the token."""

from __future__ import annotations

import copy
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

from hsm import HSM, HSMMisuse
from hsm.adapter import HSMPrivateKey
from tests.hsm.token_access import DIGEST
from tests.support.programs import program

NOW = datetime.now()
SHA256 = ec.ECDSA(hashes.SHA256())


@pytest.fixture
def key(signing_token: HSM) -> HSMPrivateKey:
    return signing_token.private_key("document-sign")


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(subject: str, public: ec.EllipticCurvePublicKey, issuer: str, key: HSMPrivateKey, *, ca: bool) -> x509.Certificate:
    built = x509.CertificateBuilder(
        _name(issuer), _name(subject), public, x509.random_serial_number(), NOW - timedelta(days=1), NOW + timedelta(days=30)
    )
    return built.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True).sign(key, hashes.SHA256())


def _pem(folder: Path, name: str, of: x509.Certificate | x509.CertificateSigningRequest | x509.CertificateRevocationList) -> str:
    path = folder / f"{name}.pem"
    path.write_bytes(of.public_bytes(serialization.Encoding.PEM))
    return str(path)


def _openssl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("openssl"), *arguments], capture_output=True, text=True, check=False)


def test_openssl_verifies_a_chain_signed_in_two_tokens(tmp_path: Path, root_token: HSM, key: HSMPrivateKey) -> None:
    root = root_token.private_key("root")
    anchor = _pem(tmp_path, "root", _certificate("Root", root.public_key(), "Root", root, ca=True))
    leaf = _pem(tmp_path, "leaf", _certificate("Leaf", key.public_key(), "Root", root, ca=False))
    impostor = _pem(tmp_path, "impostor", _certificate("Leaf", key.public_key(), "Root", key, ca=False))
    done = _openssl("verify", "-CAfile", anchor, leaf)
    assert (done.returncode, done.stdout) == (0, f"{leaf}: OK\n"), done.stderr
    assert _openssl("verify", "-CAfile", anchor, impostor).returncode != 0


def test_openssl_verifies_a_request_and_a_revocation_list(tmp_path: Path, root_token: HSM, key: HSMPrivateKey) -> None:
    request = x509.CertificateSigningRequestBuilder(_name("Leaf")).sign(key, hashes.SHA256())
    assert "verify OK" in _openssl("req", "-verify", "-noout", "-in", _pem(tmp_path, "request", request)).stderr
    root = root_token.private_key("root")
    anchor = _pem(tmp_path, "root", _certificate("Root", root.public_key(), "Root", root, ca=True))
    built = x509.CertificateRevocationListBuilder(_name("Root"), NOW - timedelta(days=1), NOW + timedelta(days=1))
    done = _openssl("crl", "-noout", "-CAfile", anchor, "-in", _pem(tmp_path, "crl", built.sign(root, hashes.SHA256())))
    assert "verify OK" in done.stderr


def test_a_text_and_its_digest_are_signed_with_the_same_key(key: HSMPrivateKey) -> None:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(b"text")
    key.public_key().verify(key.sign(b"text", SHA256), b"text", SHA256)
    signature = key.sign(digest.finalize(), ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    key.public_key().verify(signature, b"text", SHA256)


def test_the_adapter_describes_its_key(key: HSMPrivateKey) -> None:
    assert (key.key_size, key.curve.name) == (256, "secp256r1")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert copy.copy(key) is copy.deepcopy(key) is key


def test_an_operation_that_needs_the_private_value_is_refused(key: HSMPrivateKey) -> None:
    for act in (key.private_numbers, key.private_bytes, lambda: key.exchange(ec.ECDH(), key.public_key())):
        with pytest.raises(HSMMisuse):
            act()


@pytest.mark.parametrize("algorithm", [ec.ECDSA(hashes.SHA384()), ec.ECDSA(hashes.SHA1())])
def test_other_hashes_are_refused(key: HSMPrivateKey, algorithm: ec.ECDSA) -> None:
    with pytest.raises(HSMMisuse, match="SHA-256 only"):
        key.sign(b"text", algorithm)


def test_a_digest_of_another_hash_is_refused(key: HSMPrivateKey) -> None:
    with pytest.raises(HSMMisuse, match="not 48"):
        key.sign(DIGEST + bytes(16), ec.ECDSA(utils.Prehashed(hashes.SHA384())))
