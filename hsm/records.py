"""What a key was when it was recorded at the ceremony, and in what a key on the token differs from that."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hsm.keys import READ_BACK, KeyInfo, KeyKind

METHODS: dict[KeyKind, str] = {
    KeyKind.EC_SIGN: "SHA-256 of the SubjectPublicKeyInfo; and a signature over a fresh digest verifies",
    KeyKind.AES_SEAL: "AES-GCM over a fixed text under an IV of zeros; SHA-256 of that, 8 bytes",
    KeyKind.AES_CMAC: "AES-CMAC over a fixed text; SHA-256 of that, 8 bytes",
    KeyKind.HMAC: "HMAC-SHA-256 over a fixed text; SHA-256 of that, 8 bytes",
}
"""How the check value of a kind of key is made. None of them tells anything about a secret key (`TokenSession.check_value`)."""
GENERATED = "generated on this token"
SHARED = "generated on this token and carried to another one"
CARRIED = "carried here from another token"


@dataclass(frozen=True)
class KeyRecord:
    """One key as it was read back when it was recorded.

    `id` is the CKA_ID in hex, `kind` the name of a KeyKind. `form` has the attributes of `keys.FORM`, `attributes` those of
    `keys.READ_BACK`; None is an attribute that the token did not report. `check` is the check value in hex, made by `method`. A record of
    an installation that only knows check values has neither form nor attributes.
    """

    label: str
    kind: str
    check: str
    method: str
    id: str = ""
    form: Mapping[str, str | None] = field(default_factory=dict)
    attributes: Mapping[str, bool | None] = field(default_factory=dict)
    origin: str = ""

    @property
    def is_whole(self) -> bool:
        """Return whether it says more than the check value."""
        return bool(self.attributes)

    @property
    def is_carried(self) -> bool:
        """Return whether another token holds the same key."""
        return self.origin in (SHARED, CARRIED)

    def differences(self, found: KeyInfo) -> Iterator[str]:
        """Yield in what a key that was read back differs, in words that name attributes."""
        if not self.is_whole:
            return
        if found.id.hex() != self.id:
            yield f"ID is {found.id.hex()}, not {self.id}"
        now: dict[str, Mapping[str, Any]] = {"form": found.form, "attributes": found.attributes}
        for part, before in (("form", self.form), ("attributes", self.attributes)):
            for name, value in before.items():
                if now[part].get(name) != value:
                    yield f"{name} is {_word(now[part].get(name))}, not {_word(value)}"

    def as_json(self) -> dict[str, Any]:
        """Return the members in which it is stored."""
        return asdict(self)


def of_info(info: KeyInfo, check: str) -> KeyRecord:
    """Return the record of a key that was read back, with its check value."""
    local = info.attributes.get("LOCAL")
    born = local and all(info.attributes.get(name) for name in ("NEVER_EXTRACTABLE", "ALWAYS_SENSITIVE"))
    return KeyRecord(
        label=info.label,
        kind=info.kind.name,
        check=check,
        method=METHODS[info.kind],
        id=info.id.hex(),
        form={name: info.form.get(name) for name in info.wanted_form},
        attributes={name: info.attributes.get(name) for name in READ_BACK},
        origin=GENERATED if born else SHARED if local else CARRIED,
    )


def check_of(public: ec.EllipticCurvePublicKey) -> str:
    """Return the check value of an EC key, 64 hex digits."""
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def of_check(label: str, kind: KeyKind, check: str) -> KeyRecord:
    """Return what an installation knows that recorded check values alone."""
    return KeyRecord(label, kind.name, check, METHODS[kind])


def _word(value: Any) -> str:
    return "not reported" if value is None else str(value)
