"""Reading back: whatever is changed of a key, or put in its place, is named, and the key is used for nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pkcs11 import Attribute, KeyType, MechanismFlag
from pkcs11 import exceptions as p11
from pkcs11.util.ec import encode_named_curve_parameters

from hsm import HSM, HSMKeyAmbiguous, HSMKeyChanged, HSMKeyMissing, KeyKind, KeyPlan, ceremony
from hsm.keys import READ_BACK, SIGNING_PLAN, WANTED
from hsm.records import KeyRecord
from tests.hsm.token_access import DIGEST, put_secret, raw, refusal
from tests.support.softhsm import SoftHSM

PLANS = {plan.kind: plan for plan in SIGNING_PLAN if plan.label in ("manifest-sign", "seal-kek", "sam-master-v1", "token-mac")}
USES: dict[KeyKind, Callable[[HSM], object]] = {
    KeyKind.EC_SIGN: lambda token: token.sign("manifest-sign", DIGEST),
    KeyKind.AES_SEAL: lambda token: token.seal("seal-kek", b"x", b""),
    KeyKind.AES_CMAC: lambda token: token.derive_open_key(1, bytes(8)),
    KeyKind.HMAC: lambda token: token.hmac("token-mac", b"x"),
}
CHANGED = {"SIGN", "ENCRYPT", "DECRYPT", "WRAP", "UNWRAP", "DERIVE"}
"""What SoftHSM lets whoever has the PIN change of a key that can be changed, and the others of READ_BACK never."""


def recorded(token: HSM) -> HSM:
    """Return the token, compared from now on with its keys as they are."""
    known: dict[str, KeyRecord] = {one.label: one for one in ceremony.describe(token)}
    token.recorded = lambda: known
    return token


def put_pair(session: Any, label: str, kind: KeyType, parameter: Any, **private: bool) -> None:
    """Put a key pair under a label, with attributes that can be changed."""
    template = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True, Attribute.DERIVE: False}
    template |= {Attribute[name]: value for name, value in private.items()}
    more = {"label": label, "id": PLANS[KeyKind.EC_SIGN].id, "store": True, "private_template": template}
    if kind is KeyType.RSA:
        session.generate_keypair(kind, parameter, capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY, **more)
    else:
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters(parameter)}
        session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(**more)


def put_open(token: HSM, plan: KeyPlan) -> None:
    """Make a key as it was made before MODIFIABLE was set: whoever has the PIN can change it."""
    uses = ("SIGN", "VERIFY", "ENCRYPT", "DECRYPT", "WRAP", "UNWRAP")
    if plan.kind is KeyKind.EC_SIGN:
        closed = {"SIGN": True, "DECRYPT": False, "UNWRAP": False, "SIGN_RECOVER": False}
        raw(token, lambda on: put_pair(on, plan.label, KeyType.EC, "secp256r1", **closed))
        return
    template = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True, Attribute.DERIVE: False}
    template |= {Attribute[name]: WANTED[plan.kind].get(name, False) for name in uses}
    kind = KeyType.GENERIC_SECRET if plan.kind is KeyKind.HMAC else KeyType.AES
    able = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT if plan.kind is KeyKind.AES_SEAL else MechanismFlag.SIGN | MechanismFlag.VERIFY
    raw(token, lambda on: on.generate_key(kind, 256, id=plan.id, label=plan.label, store=True, capabilities=able, template=template))


def destroy(token: HSM, label: str) -> None:
    raw(token, lambda on: [one.destroy() for one in list(on.get_objects({Attribute.LABEL: label}))])


def change(token: HSM, label: str, name: str, value: bool) -> bool:
    """Change an attribute of the key. Return False if the token refuses that, or leaves it as it was."""

    def on(session: Any) -> bool:
        [key] = [one for one in session.get_objects({Attribute.LABEL: label}) if not one.object_class.name.startswith("PUBLIC")]
        try:
            key[Attribute[name]] = value
            return bool(key[Attribute[name]]) is value
        except p11.PKCS11Error:
            return False

    return bool(raw(token, on))


@pytest.mark.parametrize("kind", list(KeyKind), ids=lambda kind: kind.name)
def test_each_attribute_that_is_changed_is_named_and_the_key_is_used_for_nothing(softhsm: SoftHSM, kind: KeyKind) -> None:
    plan, token = PLANS[kind], softhsm.token(f"open-{kind.name.lower()}", [])
    put_open(token, plan)
    recorded(token)
    known, changed = token.recorded()[plan.label].attributes, set()
    assert token.read_back() == {}
    for name in READ_BACK:
        before = known[name]
        if before is None or not change(token, plan.label, name, not before):
            continue
        changed.add(name)
        assert f"{name} is {not before}, not {before}" in token.read_back()[plan.label]
        assert isinstance(refusal(lambda: USES[kind](token)), HSMKeyChanged)
        assert change(token, plan.label, name, before)
        assert token.read_back() == {}
        assert USES[kind](token)
    assert changed >= CHANGED & {name for name in known if known[name] is not None}


@pytest.mark.parametrize("kind", list(KeyKind), ids=lambda kind: kind.name)
def test_a_key_that_may_not_do_its_work_is_no_mistake_of_the_caller_even_before_it_is_read_back(softhsm: SoftHSM, kind: KeyKind) -> None:
    plan, token = PLANS[kind], softhsm.token(f"idle-{kind.name.lower()}", [])
    put_open(token, plan)
    recorded(token)
    assert USES[kind](token)
    assert change(token, plan.label, "ENCRYPT" if kind is KeyKind.AES_SEAL else "SIGN", value=False)
    assert isinstance(refusal(lambda: USES[kind](token)), HSMKeyChanged)


def curve(token: HSM) -> None:
    raw(token, lambda on: put_pair(on, "manifest-sign", KeyType.EC, "secp384r1", SIGN=True))


def rsa(token: HSM) -> None:
    raw(token, lambda on: put_pair(on, "manifest-sign", KeyType.RSA, 1024, SIGN=True))


def another(token: HSM) -> None:
    ceremony.create_keys(token, [PLANS[KeyKind.EC_SIGN]])


def nothing(_token: HSM) -> None:
    pass


def only_public(token: HSM) -> None:
    another(token)
    raw(
        token,
        lambda on: [one.destroy() for one in on.get_objects({Attribute.LABEL: "manifest-sign"}) if one.object_class.name == "PRIVATE_KEY"],
    )


def idle(token: HSM) -> None:
    """Put a key of the right form there that may not sign."""
    raw(token, lambda on: put_pair(on, "manifest-sign", KeyType.EC, "secp256r1", SIGN=False))


def twice(token: HSM) -> None:
    another(token)
    token.run(lambda do: do.session.generate(PLANS[KeyKind.EC_SIGN]))


@pytest.mark.parametrize(
    ("put", "told", "error"),
    [
        (curve, "EC_PARAMS is 06052b81040022", HSMKeyChanged),
        (rsa, "KEY_TYPE is RSA, not EC", HSMKeyChanged),
        (another, "another key than that of the ceremony", HSMKeyChanged),
        (nothing, "missing", HSMKeyMissing),
        (only_public, "missing", HSMKeyMissing),
        (twice, "2 keys are called manifest-sign", HSMKeyAmbiguous),
    ],
    ids=["curve", "rsa", "another", "nothing", "only-public", "twice"],
)
def test_whatever_lies_under_the_label_of_a_signing_key_is_named_and_signs_nothing(
    softhsm: SoftHSM, put: Callable[[HSM], None], told: str, error: type[Exception]
) -> None:
    token = recorded(
        softhsm.token(f"put-{put.__name__}", [plan for plan in SIGNING_PLAN if plan.label in ("manifest-sign", "health-test")])
    )
    assert token.sign("manifest-sign", DIGEST)
    destroy(token, "manifest-sign")
    put(token)
    fresh = HSM(token.config)
    fresh.recorded = token.recorded
    for one in (token, fresh):  # a process that has used the key, and one that starts
        assert isinstance(refusal(partial(one.sign, "manifest-sign", DIGEST)), error)
        assert told in one.read_back()["manifest-sign"]
        assert "manifest-sign" in one.check().last_error
        one.close()


@pytest.mark.parametrize(
    ("label", "kind", "value", "told"),
    [
        ("token-mac", KeyType.AES, bytes(32), "KEY_TYPE is AES, not GENERIC_SECRET"),
        ("token-mac", KeyType.GENERIC_SECRET, bytes(31), "VALUE_LEN is 31, not 32"),
        ("sam-master-v1", KeyType.GENERIC_SECRET, bytes(32), "KEY_TYPE is GENERIC_SECRET, not AES"),
        ("sam-master-v1", KeyType.AES, bytes(16), "VALUE_LEN is 16, not 32"),
        ("seal-kek", KeyType.DES3, bytes(24), "KEY_TYPE is DES3, not AES"),
    ],
)
def test_a_secret_key_of_another_type_or_length_under_the_label_is_named_and_makes_nothing(
    softhsm: SoftHSM, label: str, kind: KeyType, value: bytes, told: str
) -> None:
    plan = next(plan for plan in SIGNING_PLAN if plan.label == label)
    token = recorded(softhsm.token(f"of-{kind.name[:4].lower()}-{len(value)}-{label}", [plan, SIGNING_PLAN[4]]))
    assert USES[plan.kind](token)
    destroy(token, label)
    uses = {"ENCRYPT": True, "DECRYPT": True} if plan.kind is KeyKind.AES_SEAL else {"SIGN": True, "VERIFY": True}
    put_secret(token, label, value, kind=kind, **uses)
    assert isinstance(refusal(lambda: USES[plan.kind](token)), HSMKeyChanged)
    assert told in token.read_back()[label]
