"""Define the keys of an installation: the purpose of each and the attributes it must have (docs/manifest.md, Trust)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache


class KeyKind(StrEnum):
    """The four kinds of key, by the operations their attributes allow. Each key has one purpose."""

    EC_SIGN = "EC P-256, sign"
    AES_SEAL = "AES-256, encrypt and decrypt"
    AES_CMAC = "AES-256, CMAC"
    HMAC = "generic secret 256, HMAC"


@dataclass(frozen=True)
class KeyPlan:
    """One key to be made at the key ceremony. `id` is its CKA_ID. One that is `carried` is the same on the tokens of two HSMs."""

    label: str
    kind: KeyKind
    id: bytes
    carried: bool = False


@dataclass(frozen=True)
class KeyInfo:
    """One key as found on the token. `attributes` and `form` are PKCS#11 attributes read back, without the CKA_ prefix.

    `form` has those of `FORM`: type and length of a secret key (bytes), type and curve (hex of its DER) of an EC key.
    """

    label: str
    id: bytes
    kind: KeyKind
    attributes: dict[str, bool]
    form: dict[str, str]
    carried: bool = False

    @property
    def faults(self) -> list[str]:
        """Return the names of attributes whose value differs from what `WANTED` and `FORM` demand. Empty for a sound key.

        An attribute that the token does not report is not a fault: HSMs leave out attributes that do not apply to a key. What proves that
        a key never left its token is not asked of one that was carried from one to another.
        """
        wanted, form = wanted_of(self.kind, carried=self.carried), FORM[self.kind]
        loose = [name for name, value in self.attributes.items() if wanted.get(name, value) != value]
        return sorted([*loose, *(name for name, value in self.form.items() if value not in form[name])])

    @property
    def is_open(self) -> bool:
        """Return whether whoever has the PIN may still change its attributes: keys made before MODIFIABLE was set are so."""
        return self.attributes.get("MODIFIABLE", False)

    @property
    def wanted_form(self) -> tuple[str, ...]:
        """Return the names of the attributes that say what this kind of key is."""
        return tuple(FORM[self.kind])


# ALWAYS_SENSITIVE, NEVER_EXTRACTABLE and LOCAL prove that the key was generated on this token and never left it.
_NEVER = {
    "EXTRACTABLE": False,
    "SENSITIVE": True,
    "ALWAYS_SENSITIVE": True,
    "NEVER_EXTRACTABLE": True,
    "LOCAL": True,
    "PRIVATE": True,
    "TOKEN": True,
    "DERIVE": False,
    "WRAP": False,
    "UNWRAP": False,
}
WANTED: dict[KeyKind, dict[str, bool]] = {
    KeyKind.EC_SIGN: _NEVER | {"SIGN": True, "DECRYPT": False, "SIGN_RECOVER": False},
    KeyKind.AES_SEAL: _NEVER | {"ENCRYPT": True, "DECRYPT": True, "SIGN": False, "VERIFY": False},
    KeyKind.AES_CMAC: _NEVER | {"ENCRYPT": False, "DECRYPT": False, "SIGN": True, "VERIFY": True},
    KeyKind.HMAC: _NEVER | {"ENCRYPT": False, "DECRYPT": False, "SIGN": True, "VERIFY": True},
}

_BIRTH = ("ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL")


def wanted_of(kind: KeyKind, *, carried: bool) -> dict[str, bool]:
    """Return the attributes that a key of this kind must have."""
    wanted = WANTED[kind]
    return {name: value for name, value in wanted.items() if name not in _BIRTH} if carried else wanted


READ_BACK = (
    "TOKEN", "PRIVATE", "SENSITIVE", "EXTRACTABLE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL", "MODIFIABLE", "SIGN", "VERIFY",
    "ENCRYPT", "DECRYPT", "WRAP", "UNWRAP", "DERIVE", "SIGN_RECOVER", "WRAP_WITH_TRUSTED",
)  # fmt: skip
"""The attributes that are read back from a key. MODIFIABLE is no fault of a key: those made before it was set stay open."""

FORM: dict[KeyKind, dict[str, tuple[str, ...]]] = {
    KeyKind.EC_SIGN: {"KEY_TYPE": ("EC",), "EC_PARAMS": ("06082a8648ce3d030107",)},  # the object identifier of P-256
    KeyKind.AES_SEAL: {"KEY_TYPE": ("AES",), "VALUE_LEN": ("32",)},
    KeyKind.AES_CMAC: {"KEY_TYPE": ("AES",), "VALUE_LEN": ("32",)},
    KeyKind.HMAC: {"KEY_TYPE": ("GENERIC_SECRET", "SHA256_HMAC"), "VALUE_LEN": ("32",)},
}
"""Attributes of a kind's form, with the values a token may report."""

SIGNING_PLAN = (
    KeyPlan("manifest-sign", KeyKind.EC_SIGN, b"\x01\x01"),
    KeyPlan("status-sign", KeyKind.EC_SIGN, b"\x01\x02"),
    KeyPlan("audit-sign", KeyKind.EC_SIGN, b"\x01\x03"),
    KeyPlan("document-sign", KeyKind.EC_SIGN, b"\x01\x04"),
    KeyPlan("health-test", KeyKind.EC_SIGN, b"\x01\x05"),
    KeyPlan("seal-kek", KeyKind.AES_SEAL, b"\x02\x01"),
    KeyPlan("token-mac", KeyKind.HMAC, b"\x03\x01"),
    KeyPlan("sam-master-v1", KeyKind.AES_CMAC, b"\x04\x01"),
)
ROOT_PLAN = (KeyPlan("root", KeyKind.EC_SIGN, b"\x00\x01"),)


MASTER = "sam-master-v"
"""The beginning of the labels of card master keys."""


ROTATED = frozenset(key.label for key in SIGNING_PLAN if key.label != "health-test" and not key.label.startswith(MASTER))
"""The roles whose keys are replaced by further versions. The first version has the role's name as its label, version N adds `-vN`."""


class Exact(str):
    """The label of one key on the token. A plain label that is a role means the version in use (`HSM.versions`)."""

    __slots__ = ()


@cache
def label_of(role: str, version: int) -> Exact:
    """Return the label of a version of a role's key."""
    return Exact(role if version == 1 else f"{role}-v{version}")


def role_of(label: str) -> tuple[str, int]:
    """Return the role and the version that a label names."""
    role, dash, number = label.rpartition("-v")
    return (role, int(number)) if dash and role in ROTATED and number.isdecimal() else (label, 1)


def version_plan(role: str, version: int) -> KeyPlan:
    """Return the plan of a version of a role's key, 2…255. Raise ValueError outside this range (one byte names it where it is stored)."""
    if role not in ROTATED or not 2 <= version <= 255:
        raise ValueError(f"there is no version {version} of {role}")
    first = next(key for key in SIGNING_PLAN if key.label == role)
    return KeyPlan(label_of(role, version), first.kind, first.id + bytes((version,)))


def carried_plan(plan: KeyPlan) -> KeyPlan:
    """Return the plan of the same key, carried to the other HSM. Raise ValueError for a signing key: each HSM has its own."""
    if plan.kind is KeyKind.EC_SIGN:
        raise ValueError(f"{plan.label} signs, and is each HSM's own")
    return replace(plan, carried=True)


def kind_of(label: str) -> KeyKind | None:
    """Return the kind of a key by its label, or None for a label that no key of this project has."""
    if label.startswith(MASTER):
        return KeyKind.AES_CMAC
    return next((key.kind for key in (*SIGNING_PLAN, *ROOT_PLAN) if key.label == role_of(label)[0]), None)


def secret_kind(label: str) -> KeyKind | None:
    """Return the kind of a secret key by its label, or None for a label that no secret key of this project has."""
    kind = kind_of(label)
    return None if kind is KeyKind.EC_SIGN else kind


def master_plan(version: int) -> KeyPlan:
    """Return the plan of the card master key of a version, 1…255. Raise ValueError outside this range (`keyver` is one byte)."""
    if not 1 <= version <= 255:
        raise ValueError("a master key version lies within 1…255")
    return KeyPlan(f"{MASTER}{version}", KeyKind.AES_CMAC, bytes((4, version)))
