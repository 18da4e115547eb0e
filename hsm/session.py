"""The operations of one session on a token. One thread uses a session at a time. Key handles are cached as long as the session lives."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11 import exceptions as p11
from pkcs11.mechanisms import GCMParams
from pkcs11.util.ec import encode_named_curve_parameters

from hsm.errors import HSMKeyAmbiguous, HSMKeyChanged, HSMKeyMissing, HSMMisuse
from hsm.keys import FORM, READ_BACK, KeyInfo, KeyKind, KeyPlan, kind_of, secret_kind

IV = 12  # bytes: the length that SP 800-38D, section 5.2.1.1, recommends for GCM
TAG = 16  # bytes
CHECK_TEXT = b"SI-FILMA check value"  # neither as long as what a token's MAC is made of nor as what a card's key is derived from
_CLASS = {KeyKind.EC_SIGN: ObjectClass.PRIVATE_KEY}  # all other kinds are secret keys
_USES = {
    "ecdsa": (KeyKind.EC_SIGN, "sign"),
    "hmac": (KeyKind.HMAC, "sign"),
    "cmac": (KeyKind.AES_CMAC, "sign"),
    "seal": (KeyKind.AES_SEAL, "encrypt"),
    "open": (KeyKind.AES_SEAL, "decrypt"),
}
"""Each use of a key: the kind of key that its mechanism takes, and the operation."""


class TokenSession:
    """A PKCS#11 session with its key handles. Searching a key costs more than signing with it, so each is searched once."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._handles: dict[tuple[str, ObjectClass], Any] = {}
        self._ready: dict[tuple[str, str], Any] = {}
        self.compared: set[str] = set()
        """The labels of keys that were compared with their check values."""

    @property
    def raw(self) -> Any:
        """Return the session of python-pkcs11."""
        return self._session

    def sign(self, label: str, digest: bytes) -> bytes:
        """Sign a 32-byte digest with CKM_ECDSA and return 64 bytes r ‖ s. Raise HSMMisuse for any other length.

        SoftHSM signs input of any length without an error, so the length is checked here.
        """
        if len(digest) != 32:
            raise HSMMisuse(f"a SHA-256 digest has 32 bytes, not {len(digest)}")
        signature: bytes = self._able(label, "ecdsa")(digest, mechanism=Mechanism.ECDSA)
        return signature

    def hmac(self, label: str, message: bytes) -> bytes:
        """Return the HMAC of `message` by CKM_SHA256_HMAC, 32 bytes."""
        mac: bytes = self._able(label, "hmac")(message, mechanism=Mechanism.SHA256_HMAC)
        return mac

    def cmac(self, label: str, message: bytes) -> bytes:
        """Return the CMAC of `message` by CKM_AES_CMAC, 16 bytes."""
        mac: bytes = self._able(label, "cmac")(message, mechanism=Mechanism.AES_CMAC)
        return mac

    def seal(self, label: str, plaintext: bytes, associated_data: bytes) -> bytes:
        """Encrypt with CKM_AES_GCM under a random IV and return IV (12 bytes) ‖ ciphertext ‖ tag (16 bytes).

        Raise HSMMisuse if the module took another IV than this one: what it made could not be opened again.
        """
        iv = os.urandom(IV)
        encrypt = self._able(label, "seal")
        given = gcm(iv, associated_data)
        sealed: bytes = encrypt(plaintext, mechanism=Mechanism.AES_GCM, mechanism_param=given)
        require_own_iv(iv, given.nonce, len(sealed) - len(plaintext))
        return iv + sealed

    def open_sealed(self, label: str, sealed: bytes, associated_data: bytes, iv: int = IV) -> bytes:
        """Return the plaintext of what begins with an IV of so many bytes. Raise HSMMisuse when sealed or associated data were changed."""
        decrypt = self._able(label, "open")
        param = gcm(sealed[:iv], associated_data)
        try:
            plaintext: bytes = decrypt(sealed[iv:], mechanism=Mechanism.AES_GCM, mechanism_param=param)
        except (p11.GeneralError, p11.EncryptedDataInvalid):
            # SoftHSM answers a wrong tag with either error, but an outage with GeneralError too: only if the key works is the data wrong.
            self.sign_of_life(label)
            raise HSMMisuse("sealed data or its associated data were changed") from None
        return plaintext

    def sign_of_life(self, label: str) -> None:
        """Encrypt one byte with the key. A PKCS11Error shows that the key cannot be used any more, so the sealed data is not to blame."""
        encrypt = self._able(label, "seal")
        encrypt(b"\x00", mechanism=Mechanism.AES_GCM, mechanism_param=gcm(os.urandom(IV), b""))

    def public_key(self, label: str) -> ec.EllipticCurvePublicKey:
        """Return the public half of an EC key, read from CKA_EC_POINT. Raise HSMKeyChanged if it is not a P-256 point."""
        try:
            point: bytes = self._key(label, ObjectClass.PUBLIC_KEY)[Attribute.EC_POINT]
        except (p11.AttributeTypeInvalid, p11.AttributeSensitive):  # an RSA key, for example
            raise HSMKeyChanged(f"{label} is no P-256 key") from None
        # Tokens give the point as a DER OCTET STRING (04 41, then 65 bytes, as PKCS#11 demands) or as the bare 65 bytes.
        raw = point[2:] if len(point) == 67 else point
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
        except ValueError:
            raise HSMKeyChanged(f"{label} is no P-256 key") from None

    def info(self, plan: KeyPlan) -> KeyInfo:
        """Return one key with its form and the attributes in READ_BACK. Attributes that the token does not report are left out."""
        key = self._key(plan.label, _CLASS.get(plan.kind, ObjectClass.SECRET_KEY))
        read = _attributes(key, ("ID", *READ_BACK, *FORM[plan.kind]))
        attributes = {name: bool(read[name]) for name in READ_BACK if name in read}
        form = {name: _SHOWN[name](read[name]) for name in FORM[plan.kind] if name in read}
        return KeyInfo(plan.label, bytes(read["ID"]), plan.kind, attributes, form, plan.carried)

    def forget(self, label: str) -> None:
        """Have a key searched anew at its next use: a handle that is kept does not show that another key has got its label."""
        for object_class in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY, ObjectClass.SECRET_KEY):
            self._handles.pop((label, object_class), None)
        self._ready = {pair: method for pair, method in self._ready.items() if pair[0] != label}

    def find(self, label: str) -> KeyPlan | None:
        """Return the plan that a key of this label has, or None for a label that no key of this project has."""
        kind = kind_of(label)
        return None if kind is None else KeyPlan(label, kind, b"")

    def check_value(self, label: str) -> str:
        """Return a secret key's check value: 8 bytes (16 hex digits) that the token makes of a fixed text with the key.

        They tell equal keys from different ones and nothing about a key. No other use of a key gives it this text. Raise HSMMisuse for a
        label that no secret key has.
        """
        kind = secret_kind(label)
        if kind is KeyKind.AES_SEAL:  # GCM is all it may do: one text under one IV, which a random IV equals once in 2^96
            param = gcm(bytes(IV), CHECK_TEXT)
            made = self._able(label, "seal")(CHECK_TEXT, mechanism=Mechanism.AES_GCM, mechanism_param=param)
            require_own_iv(bytes(IV), param.nonce, len(made) - len(CHECK_TEXT))  # another IV each time would be another check value
        elif kind is KeyKind.AES_CMAC:
            made = self.cmac(label, CHECK_TEXT)
        elif kind is KeyKind.HMAC:
            made = self.hmac(label, CHECK_TEXT)
        else:
            raise HSMMisuse(f"{label} is no secret key of this project")
        return hashlib.sha256(made).hexdigest()[:16]

    def labels(self) -> list[tuple[str, bytes, str]]:
        """Return label, CKA_ID and class of every private and secret key on the token, sorted."""
        found: list[tuple[str, bytes, str]] = []
        for object_class in (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY):
            keys = list(self._session.get_objects({Attribute.CLASS: object_class}))
            found.extend((str(key.label), bytes(key.id), object_class.name) for key in keys)
        return sorted(found)

    def exists(self, plan: KeyPlan) -> bool:
        """Return whether the key exists, by a new search. Raise HSMKeyAmbiguous if several keys have its label."""
        self.forget(plan.label)
        try:
            self._key(plan.label, _CLASS.get(plan.kind, ObjectClass.SECRET_KEY))
        except (p11.NoSuchKey, HSMKeyMissing):
            return False
        return True

    def generate(self, plan: KeyPlan) -> None:
        """Generate the key on the token. The template states every attribute, because the defaults differ between HSMs."""
        if plan.kind is KeyKind.EC_SIGN:
            self._generate_ec(plan)
        else:
            self._generate_secret(plan)

    def destroy(self, label: str) -> None:
        """Destroy a key, both halves of a pair, for good. Nothing happens if there is none."""
        for object_class in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY, ObjectClass.SECRET_KEY):
            for found in list(self._session.get_objects({Attribute.CLASS: object_class, Attribute.LABEL: label})):
                found.destroy()
        self.forget(label)

    def _key(self, label: str, object_class: ObjectClass) -> Any:
        handle = self._handles.get((label, object_class))
        if handle is None:
            found = list(self._session.get_objects({Attribute.CLASS: object_class, Attribute.LABEL: label}))
            if not found:
                raise self._missing(label)
            if len(found) > 1:
                raise HSMKeyAmbiguous(f"{len(found)} keys are called {label}")
            handle = self._handles[label, object_class] = found[0]
        return handle

    def _missing(self, label: str) -> Exception:
        """Return HSMKeyMissing if the token shows other private objects, else NoSuchKey.

        A token that went away looks empty to a search. NoSuchKey makes the module restart the library and search once more.
        """
        others = list(self._session.get_objects({Attribute.PRIVATE: True}))
        return HSMKeyMissing(f"no key is called {label}") if others else p11.NoSuchKey()

    def _able(self, label: str, use: str) -> Any:
        """Return the key's method for a use. Raise HSMMisuse for a use that no key of this label has: that is the caller's mistake.

        Raise HSMKeyChanged for a key of another type, length or curve than the use takes, with some of which tokens sign all the same, and
        for one whose attributes forbid the use: python-pkcs11 then leaves the method out.
        """
        method = self._ready.get((label, use))
        if method is None:  # once in a session: the handle stays the same object
            kind, operation = _USES[use]
            key = self._key(label, _CLASS.get(kind, ObjectClass.SECRET_KEY))
            if kind_of(label) not in (kind, None):  # the caller's mistake, and no other key on the token
                raise HSMMisuse(f"{label} may not {operation}")
            self._require_form(label, key, kind)
            method = getattr(key, operation, None)
            if method is None:  # so it was when it was searched; it may have been put right since
                self.forget(label)
                method = getattr(self._key(label, _CLASS.get(kind, ObjectClass.SECRET_KEY)), operation, None)
            if method is None:
                self.forget(label)
                raise (HSMMisuse if kind_of(label) is None else HSMKeyChanged)(f"{label} on the token may not {operation}")
            self._ready[label, use] = method
        return method

    def _require_form(self, label: str, key: Any, kind: KeyKind) -> None:
        for name, value in _attributes(key, tuple(FORM[kind])).items():
            if _SHOWN[name](value) not in FORM[kind][name]:
                self.forget(label)
                raise HSMKeyChanged(f"{label} is no key of the kind {kind}: its {name} is {_SHOWN[name](value)}")

    def _generate_ec(self, plan: KeyPlan) -> None:
        # `local`: the curve is needed for the template only and is not stored as an object on the token.
        parameters = self._session.create_domain_parameters(
            KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
        )
        parameters.generate_keypair(
            id=plan.id,
            label=plan.label,
            store=True,
            capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
            public_template={Attribute.VERIFY: True, Attribute.ENCRYPT: False, Attribute.WRAP: False, Attribute.DERIVE: False} | _CLOSED,
            private_template=_PRIVATE
            | {Attribute.SIGN: True, Attribute.SIGN_RECOVER: False, Attribute.DECRYPT: False, Attribute.UNWRAP: False},
        )

    def _generate_secret(self, plan: KeyPlan) -> None:
        seals = plan.kind is KeyKind.AES_SEAL
        self._session.generate_key(
            KeyType.GENERIC_SECRET if plan.kind is KeyKind.HMAC else KeyType.AES,
            256,
            id=plan.id,
            label=plan.label,
            store=True,
            capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT if seals else MechanismFlag.SIGN | MechanismFlag.VERIFY,
            template=_PRIVATE
            | (_OPEN if plan.carried else {})
            | {
                Attribute.ENCRYPT: seals,
                Attribute.DECRYPT: seals,
                Attribute.SIGN: not seals,
                Attribute.VERIFY: not seals,
                Attribute.WRAP: False,
                Attribute.UNWRAP: False,
            },
        )


def gcm(iv: bytes, associated_data: bytes) -> GCMParams:
    """Return the parameters of CKM_AES_GCM with a tag of 16 bytes, for an IV of any length: python-pkcs11 takes none over 12 bytes."""
    made = GCMParams(bytes(IV), associated_data, 8 * TAG)
    made.nonce = bytes(bytearray(iv))  # bytes of its own: a module may write the IV that it took into them
    return made


def require_own_iv(given: bytes, taken: bytes, longer: int) -> None:
    """Raise HSMMisuse unless a module sealed with the IV that it was given.

    Modules that insist on an IV of their own answer it after the tag, so that the output is `longer` than the plaintext by more than the
    tag, or write it over the one they were given.
    """
    if longer != TAG or taken != given:
        raise HSMMisuse("the HSM sealed with an IV of its own: seal-kek needs a module that takes the IV it is given")


_SHOWN: dict[str, Callable[[Any], str]] = {
    "KEY_TYPE": lambda value: value.name,
    "EC_PARAMS": lambda value: bytes(value).hex(),
    "VALUE_LEN": str,
}


def _attributes(key: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return attributes of a key by name, in one call. Those that the token does not report are left out."""
    try:
        found = key.get_attributes([Attribute[name] for name in names])
    except (p11.AttributeTypeInvalid, p11.AttributeSensitive, p11.FunctionFailed):  # a token that refuses all where it lacks one
        found = {}
        for name in names:
            try:
                found[Attribute[name]] = key[Attribute[name]]
            except (p11.AttributeTypeInvalid, p11.AttributeSensitive):
                continue
    read = {name: found[Attribute[name]] for name in names if Attribute[name] in found}
    if not read.get("VALUE_LEN", 1):  # of a key that was unwrapped SoftHSM does not know it
        del read["VALUE_LEN"]
    return read


# Nobody may switch a use on later: with MODIFIABLE whoever has the PIN could let seal-kek wrap, or token-mac derive.
_CLOSED: dict[Attribute, Any] = {Attribute.MODIFIABLE: False}
_PRIVATE: dict[Attribute, Any] = _CLOSED | {
    Attribute.TOKEN: True,
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.DERIVE: False,
}
# A key that goes to another HSM leaves under a key that the security officer trusts, and under no other. It is closed once it is there.
_OPEN: dict[Attribute, Any] = {Attribute.EXTRACTABLE: True, Attribute.WRAP_WITH_TRUSTED: True, Attribute.MODIFIABLE: True}
