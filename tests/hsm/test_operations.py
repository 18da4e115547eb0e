"""The token computes the same values as other software with the same keys."""

from __future__ import annotations

import hashlib
import hmac
import subprocess

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode
from pkcs11 import Attribute, KeyType

from hsm import HSM, HSMKeyMissing, HSMMisuse
from hsm.contract import Signer
from hsm.derivation import kcv
from hsm.keys import SIGNING_PLAN
from tests.hsm.token_access import DIGEST, put_secret, raw, refusal, sound
from tests.support.programs import program
from tests.support.softhsm import SoftHSM

AES_KEY = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")  # SP 800-38B, appendix D.3
UID = bytes.fromhex("30154B0104A1B2C3")


@pytest.fixture(scope="module")
def known_token(softhsm: SoftHSM) -> HSM:
    """Return a token whose secret keys the test knows."""
    token = softhsm.token("known", SIGNING_PLAN[:1])
    put_secret(token, "sam-master-v9", AES_KEY, SIGN=True, VERIFY=True)
    put_secret(token, "kek", AES_KEY, ENCRYPT=True, DECRYPT=True)
    put_secret(token, "mac", AES_KEY, kind=KeyType.GENERIC_SECRET, SIGN=True, VERIFY=True)
    return token


def test_a_signature_verifies_and_is_r_followed_by_s(signing_token: HSM) -> None:
    signature = signing_token.sign("manifest-sign", DIGEST)
    assert len(signature) == 64
    assert sound(signing_token.public_key("manifest-sign"), signature)
    assert not sound(signing_token.public_key("status-sign"), signature)


@pytest.mark.parametrize("length", [0, 31, 33, 64, 200])
def test_a_digest_of_another_length_is_never_signed(signing_token: HSM, length: int) -> None:
    with pytest.raises(HSMMisuse, match=f"not {length}"):
        signing_token.sign("manifest-sign", bytes(length))


def test_cmac_in_the_token_equals_the_published_value(known_token: HSM) -> None:
    """SP 800-38B, AES-256, example 2."""
    message = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    mac = known_token.run(lambda do: do.session.cmac("sam-master-v9", message))
    assert mac.hex() == "28a7023f452e8f82bd4bf28d8c37c35c"


def test_the_open_key_of_a_card_is_derived_by_sp_800_108(known_token: HSM) -> None:
    kdf = KBKDFCMAC(
        AES, Mode.CounterMode, length=32, rlen=4, llen=4, location=CounterLocation.BeforeFixed, label=b"SAM-OPEN", context=UID, fixed=None
    )
    assert known_token.derive_open_key(9, UID) == kdf.derive(AES_KEY)
    assert known_token.derive_open_key(9, UID[::-1]) != known_token.derive_open_key(9, UID)


@pytest.mark.parametrize("uid", [b"", UID[:7], UID + b"\x00"])
def test_a_uid_of_another_length_is_refused(signing_token: HSM, uid: bytes) -> None:
    with pytest.raises(HSMMisuse, match="8 bytes"):
        signing_token.derive_open_key(1, uid)


def test_the_key_check_value_equals_that_of_openssl() -> None:
    command = [program("openssl"), "mac", "-cipher", "AES-256-CBC", "-macopt", f"hexkey:{AES_KEY.hex()}", "CMAC"]
    mac = subprocess.run(command, input=bytes(16), capture_output=True, check=True).stdout.decode().strip()
    assert kcv(AES_KEY) == mac[:6].upper()


def test_hmac_equals_that_of_the_standard_library(known_token: HSM) -> None:
    for message in (b"", b"message", bytes(100_000)):
        assert known_token.hmac("mac", message) == hmac.digest(AES_KEY, message, hashlib.sha256)


@pytest.mark.parametrize("plaintext", [b"", b"x", bytes(1000)])
def test_token_and_software_open_what_the_other_has_sealed(known_token: HSM, plaintext: bytes) -> None:
    sealed, software = known_token.seal("kek", plaintext, b"card"), AESGCM(AES_KEY)
    assert len(sealed) == 12 + len(plaintext) + 16
    assert software.decrypt(sealed[:12], sealed[12:], b"card") == plaintext
    assert known_token.open_sealed("kek", bytes(12) + software.encrypt(bytes(12), plaintext, b"card"), b"card") == plaintext


def test_the_same_text_is_sealed_differently_each_time(signing_token: HSM) -> None:
    assert len({signing_token.seal("seal-kek", b"same", b"")[:12] for _ in range(50)}) == 50


def test_changed_sealed_data_do_not_open(signing_token: HSM) -> None:
    restarts, sealed = signing_token.module.restarts, signing_token.seal("seal-kek", b"secret", b"card 1")
    flipped = [sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :] for at in range(len(sealed))]
    for changed in (*flipped, sealed[:-1], sealed[:12], sealed[:5], b""):
        with pytest.raises(HSMMisuse):
            signing_token.open_sealed("seal-kek", changed, b"card 1")
    with pytest.raises(HSMMisuse, match="changed"):
        signing_token.open_sealed("seal-kek", sealed, b"card 2")
    assert signing_token.open_sealed("seal-kek", sealed, b"card 1") == b"secret"
    assert signing_token.module.restarts == restarts


def test_a_key_does_only_what_its_template_permits(signing_token: HSM) -> None:
    """A mistake of one caller does not restart the library, which would disturb the others."""
    before = signing_token.module.restarts
    for wrong in (
        lambda: signing_token.hmac("seal-kek", b"x"),
        lambda: signing_token.hmac("sam-master-v1", b"x"),
        lambda: signing_token.seal("sam-master-v1", b"x", b""),
        lambda: signing_token.seal("token-mac", b"x", b""),
        lambda: signing_token.open_sealed("token-mac", bytes(40), b""),
    ):
        assert isinstance(refusal(wrong), HSMMisuse)
    assert isinstance(refusal(lambda: signing_token.sign("seal-kek", DIGEST)), HSMKeyMissing)
    assert signing_token.module.restarts == before


def test_several_operations_run_in_one_call(signing_token: HSM) -> None:
    guarded: list[int] = []
    token = HSM(signing_token.config, lambda: guarded.append(1))
    mac, key, signature = token.run(lambda do: (do.hmac("token-mac", b"x"), do.derive_open_key(1, UID), do.sign("status-sign", DIGEST)))
    assert (mac, key) == (signing_token.hmac("token-mac", b"x"), signing_token.derive_open_key(1, UID))
    assert sound(signing_token.public_key("status-sign"), signature)
    assert guarded == [1]


def test_secrets_do_not_leave_the_token(known_token: HSM) -> None:
    with pytest.raises(HSMMisuse, match="AttributeSensitive"):
        raw(known_token, lambda session: session.get_key(label="kek")[Attribute.VALUE])


def test_the_token_keeps_the_contract(signing_token: HSM) -> None:
    """The type checker compares the signatures; here the port is used as such."""
    signer: Signer = signing_token
    assert sound(signer.public_key("audit-sign"), signer.sign("audit-sign", DIGEST))
    assert signing_token.open_sealed("seal-kek", signing_token.seal("seal-kek", b"x", b"y"), b"y") == b"x"
    assert len(signing_token.hmac("token-mac", b"")) == len(signing_token.derive_open_key(1, UID)) == 32
