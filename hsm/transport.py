"""Carry secret keys from one HSM to the other, so that both hold the same. No key is in clear outside an HSM at any moment.

The second token makes an RSA key pair for this, whose private half only unwraps. The security officer of the first one takes the public
half as trusted; the keys may be wrapped under such a key and under no other. Once a key is on both it is closed on both: it can never be
extracted again, and nobody changes its attributes. Then the key pair is destroyed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from pkcs11 import MGF, Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass

from hsm.errors import HSMKeyAmbiguous, HSMKeyChanged, HSMMisuse
from hsm.keys import KeyKind, KeyPlan
from hsm.session import TokenSession
from hsm.token import HSM, Operations

LABEL = "transport"
BITS = 3072
MAKING = 60.0
"""Seconds that a token may take to make the key pair: it searches primes."""
_OAEP = (Mechanism.SHA_1, MGF.SHA1, None)  # SoftHSM takes no other hash; OAEP needs no hash without collisions
_UNWRAPPED: dict[Attribute, Any] = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.MODIFIABLE: False,
    Attribute.WRAP: False,
    Attribute.UNWRAP: False,
    Attribute.DERIVE: False,
}
_CLOSED: dict[Attribute, Any] = {Attribute.EXTRACTABLE: False, Attribute.MODIFIABLE: False}


@dataclass(frozen=True)
class TransportKey:
    """The public half of the key pair that the second token made."""

    modulus: bytes
    exponent: bytes

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of its SubjectPublicKeyInfo, which people compare."""
        numbers = RSAPublicNumbers(int.from_bytes(self.exponent, "big"), int.from_bytes(self.modulus, "big"))
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return hashlib.sha256(numbers.public_key().public_bytes(serialization.Encoding.DER, form)).hexdigest()


def carry(first: HSM, second: HSM, plans: Sequence[KeyPlan], officer_pin: str, agree: Callable[[str], None] = lambda _print: None) -> None:
    """Have both tokens hold the keys of `plans`; what is on the first one and can leave it is taken, else it is made there.

    `agree` is given the fingerprint of the transport key before the officer trusts it, and raises to stop. A call that broke off can be
    repeated. Raise HSMMisuse for a key that is closed on the first token and not on the second, and HSMKeyChanged if the keys differ in the
    end.
    """
    first, second = first.direct(), second.direct()
    waiting = [plan for plan in plans if not second.run(partial(_there, plan))]
    try:
        if waiting:
            key = _slowly(second, _make_transport_key)
            agree(key.fingerprint)
            first.module.as_officer(first.config, officer_pin, lambda session: _trust(session, key))
            for plan in waiting:
                wrapped = first.run(partial(_wrap, plan))
                second.run(partial(_unwrap, plan, wrapped))
    finally:  # what a call that broke off left, too
        for token in (first, second):
            token.run(_forget_transport_key)
    for plan in plans:
        first.run(partial(_close, plan))
        made = [token.run(partial(_check_value, plan)) for token in (first, second)]
        if made[0] != made[1]:
            raise HSMKeyChanged(f"{plan.label} is another key on {second.label} than on {first.label}")


def _slowly(token: HSM, function: Callable[[Operations], TransportKey]) -> TransportKey:
    return token.module.call(token.config, lambda session: function(Operations(session, token)), MAKING)


def _check_value(plan: KeyPlan, do: Operations) -> str:
    return do.check_value(plan.label)


def _there(plan: KeyPlan, do: Operations) -> bool:
    return do.session.exists(plan)


def _transport(session: Any, object_class: ObjectClass | None = None) -> list[Any]:
    wanted = {Attribute.LABEL: LABEL} | ({} if object_class is None else {Attribute.CLASS: object_class})
    return list(session.get_objects(wanted))


def _make_transport_key(do: Operations) -> TransportKey:
    session = do.session.raw
    _destroy(_transport(session))
    public, _ = session.generate_keypair(
        KeyType.RSA,
        BITS,
        label=LABEL,
        store=True,
        capabilities=MechanismFlag.UNWRAP,
        public_template={Attribute.ENCRYPT: False, Attribute.VERIFY: False, Attribute.WRAP: False},
        private_template={
            Attribute.UNWRAP: True,
            Attribute.DECRYPT: False,
            Attribute.SIGN: False,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
        },
    )
    return TransportKey(bytes(public[Attribute.MODULUS]), bytes(public[Attribute.PUBLIC_EXPONENT]))


def _trust(session: Any, key: TransportKey) -> None:
    _destroy(_transport(session))
    session.create_object(
        {
            Attribute.CLASS: ObjectClass.PUBLIC_KEY,
            Attribute.KEY_TYPE: KeyType.RSA,
            Attribute.MODULUS: key.modulus,
            Attribute.PUBLIC_EXPONENT: key.exponent,
            Attribute.LABEL: LABEL,
            Attribute.TOKEN: True,
            Attribute.PRIVATE: False,  # the officer cannot make a private object
            Attribute.TRUSTED: True,
            Attribute.WRAP: True,
            Attribute.ENCRYPT: False,
            Attribute.VERIFY: False,
        }
    )


def _wrap(plan: KeyPlan, do: Operations) -> bytes:
    if not do.session.exists(plan):
        do.session.generate(plan)
    key = _one(do.session, plan)
    if not key[Attribute.EXTRACTABLE]:
        raise HSMMisuse(f"{plan.label} was made to stay on its token: rotate it, the next version is carried")
    [trusted] = _transport(do.session.raw, ObjectClass.PUBLIC_KEY)
    return bytes(trusted.wrap_key(key, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=_OAEP))


def _unwrap(plan: KeyPlan, wrapped: bytes, do: Operations) -> None:
    if do.session.exists(plan):
        return
    seals = plan.kind is KeyKind.AES_SEAL
    [private] = _transport(do.session.raw, ObjectClass.PRIVATE_KEY)
    private.unwrap_key(
        ObjectClass.SECRET_KEY,
        KeyType.GENERIC_SECRET if plan.kind is KeyKind.HMAC else KeyType.AES,
        wrapped,
        mechanism=Mechanism.RSA_PKCS_OAEP,
        mechanism_param=_OAEP,
        label=plan.label,
        id=plan.id,
        store=True,
        capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT if seals else MechanismFlag.SIGN | MechanismFlag.VERIFY,
        template=_UNWRAPPED | {Attribute.ENCRYPT: seals, Attribute.DECRYPT: seals, Attribute.SIGN: not seals, Attribute.VERIFY: not seals},
    )


def _close(plan: KeyPlan, do: Operations) -> None:
    """Close a key: only a copy can have the attributes, so the copy takes its place. A call that broke off left both."""
    found = list(do.session.raw.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: plan.label}))
    closed = [key for key in found if not key[Attribute.EXTRACTABLE]]
    if len(closed) > 1:
        raise HSMKeyAmbiguous(f"{len(closed)} keys are called {plan.label}")
    still_open = [key for key in found if key[Attribute.EXTRACTABLE]]
    if not closed:
        still_open[0].copy(_CLOSED)
    _destroy(still_open)
    do.session.forget(plan.label)


def _one(session: TokenSession, plan: KeyPlan) -> Any:
    [key] = session.raw.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: plan.label})
    return key


def _forget_transport_key(do: Operations) -> None:
    _destroy(_transport(do.session.raw))


def _destroy(objects: Sequence[Any]) -> None:
    for one in objects:
        one.destroy()
