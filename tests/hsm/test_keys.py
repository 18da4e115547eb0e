"""The key ceremony: what it makes, what it finds on the token, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag
from pkcs11.util.ec import encode_named_curve_parameters

from hsm import HSM, HSMKeyAmbiguous, HSMKeyChanged, HSMKeyMissing, HSMMisuse, HSMUnavailable, KeyKind, KeyPlan, ceremony
from hsm.derivation import kcv
from hsm.keys import SIGNING_PLAN, WANTED, master_plan, secret_kind
from hsm.records import of_check
from tests.hsm.token_access import DIGEST, put_secret, raw, refusal, remove, sound
from tests.support.programs import program
from tests.support.softhsm import SO_PIN, SoftHSM

EC, SEAL = SIGNING_PLAN[:1], SIGNING_PLAN[5:6]
NEVER = {"EXTRACTABLE", "DERIVE", "UNWRAP"}


def test_every_key_has_the_attributes_of_its_template(signing_token: HSM) -> None:
    keys = signing_token.keys()
    assert [(key.label, key.id, key.kind) for key in keys] == [(plan.label, plan.id, plan.kind) for plan in SIGNING_PLAN]
    for key in keys:
        assert key.faults == []
        assert {name for name in NEVER if key.attributes[name]} == set()
        assert key.attributes.keys() >= WANTED[key.kind].keys() - {"WRAP"}
        assert all(key.attributes[name] for name in ("SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL", "TOKEN", "PRIVATE"))


def test_each_kind_of_key_has_only_its_own_uses(signing_token: HSM) -> None:
    work = {"SIGN", "VERIFY", "ENCRYPT", "DECRYPT", "WRAP", "UNWRAP", "DERIVE", "SIGN_RECOVER"}
    found = signing_token.keys()
    able = {key.kind: {name for name in work if key.attributes.get(name)} for key in found}
    assert able == {
        KeyKind.EC_SIGN: {"SIGN"},
        KeyKind.AES_SEAL: {"ENCRYPT", "DECRYPT"},
        KeyKind.AES_CMAC: {"SIGN", "VERIFY"},
        KeyKind.HMAC: {"SIGN", "VERIFY"},
    }


def test_the_token_holds_only_the_keys_of_the_plan(signing_token: HSM, root_token: HSM) -> None:
    assert {label for label, _, _ in signing_token.labels()} == {plan.label for plan in SIGNING_PLAN}
    assert root_token.labels() == [("root", b"\x00\x01", "PRIVATE_KEY")]


def test_a_second_ceremony_keeps_every_key(softhsm: SoftHSM) -> None:
    token = softhsm.token("twice", SIGNING_PLAN)
    public, mac = token.public_key("manifest-sign"), token.hmac("token-mac", b"x")
    assert not ceremony.init_token(token, SO_PIN)
    ceremony.create_keys(token, SIGNING_PLAN)
    again = HSM(token.config)
    assert again.public_key("manifest-sign") == public
    assert again.hmac("token-mac", b"x") == mac
    assert len(again.labels()) == len(SIGNING_PLAN)


def test_the_next_master_key_is_added_beside_the_first(softhsm: SoftHSM) -> None:
    token = softhsm.token("masters", [master_plan(1)])
    first = kcv(token.derive_open_key(1, bytes(8)))
    ceremony.create_keys(token, [master_plan(2)])
    assert kcv(token.derive_open_key(1, bytes(8))) == first != kcv(token.derive_open_key(2, bytes(8)))
    for version in (0, 256):
        with pytest.raises(ValueError, match="1…255"):
            master_plan(version)


@pytest.mark.parametrize("name", sorted(NEVER))
def test_a_key_with_more_uses_than_its_template_is_refused(softhsm: SoftHSM, name: str) -> None:
    token = softhsm.token(f"loose-{name.lower()}", EC)
    template = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.DERIVE: False, Attribute.UNWRAP: False}
    template[Attribute[name]] = True
    abilities = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
    raw(
        token,
        lambda on: on.generate_key(
            KeyType.AES,
            256,
            id=SEAL[0].id,
            label="seal-kek",
            store=True,
            capabilities=abilities,
            template=template,
        ),
    )
    with pytest.raises(HSMMisuse, match=f"seal-kek.*{name}"):
        ceremony.create_keys(token, SEAL)


def test_an_imported_key_is_refused(softhsm: SoftHSM) -> None:
    token = softhsm.token("imported", EC)
    put_secret(token, "seal-kek", bytes(32), ENCRYPT=True, DECRYPT=True)
    error = refusal(lambda: ceremony.create_keys(token, SEAL))
    assert isinstance(error, HSMMisuse)
    assert all(name in str(error) for name in ("LOCAL", "NEVER_EXTRACTABLE", "ID"))


@pytest.mark.parametrize(
    ("label", "kind", "length", "wrong"),
    [
        ("seal-kek", KeyType.AES, 128, "VALUE_LEN"),
        ("sam-master-v1", KeyType.AES, 192, "VALUE_LEN"),
        ("token-mac", KeyType.GENERIC_SECRET, 64, "VALUE_LEN"),
        ("token-mac", KeyType.AES, 256, "KEY_TYPE"),
    ],
)
def test_a_secret_key_of_another_type_or_length_is_refused(softhsm: SoftHSM, label: str, kind: KeyType, length: int, wrong: str) -> None:
    plan = next(plan for plan in SIGNING_PLAN if plan.label == label)
    token = softhsm.token(f"form-{label}-{length}", [])
    abilities = (
        MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT if plan.kind is KeyKind.AES_SEAL else MechanismFlag.SIGN | MechanismFlag.VERIFY
    )
    able = {Attribute[name]: WANTED[plan.kind].get(name, False) for name in ("ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "WRAP", "UNWRAP")}
    template = able | {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.DERIVE: False, Attribute.PRIVATE: True}
    raw(
        token,
        lambda on: on.generate_key(kind, length, id=plan.id, label=label, store=True, capabilities=abilities, template=template),
    )
    with pytest.raises(HSMMisuse, match=rf"'{label}': \['{wrong}'\]"):
        ceremony.create_keys(token, [plan])


def test_a_signing_key_on_another_curve_is_refused_at_the_ceremony(softhsm: SoftHSM) -> None:
    token = softhsm.token("curve-read-back", [])
    private = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.DERIVE: False, Attribute.PRIVATE: True}
    private |= {Attribute.SIGN: True, Attribute.SIGN_RECOVER: False, Attribute.DECRYPT: False, Attribute.UNWRAP: False}
    raw(
        token,
        lambda on: on.create_domain_parameters(
            KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp384r1")}, local=True
        ).generate_keypair(label="manifest-sign", id=b"\x01\x01", store=True, private_template=private),
    )
    with pytest.raises(HSMMisuse, match=r"'manifest-sign': \['EC_PARAMS'\]"):
        ceremony.create_keys(token, EC)


def test_check_values_tell_keys_apart_and_an_exchanged_key_is_used_for_nothing(softhsm: SoftHSM) -> None:
    labels = ("token-mac", "seal-kek", "sam-master-v1")
    secrets = [plan for plan in SIGNING_PLAN if plan.label in labels or plan.label == "health-test"]
    token, other = softhsm.token("exchanged", secrets), softhsm.token("untouched", secrets)
    recorded, others = ({label: one.run(lambda do, label=label: do.check_value(label)) for label in labels} for one in (token, other))  # type: ignore[misc]  # mypy cannot infer the default
    assert len({*recorded.values(), *others.values()}) == 6
    assert HSM(token.config).run(lambda do: [do.check_value(label) for label in labels]) == [recorded[label] for label in labels]
    known = {label: of_check(label, secret_kind(label) or KeyKind.HMAC, value) for label, value in recorded.items()}
    token.recorded = lambda: known
    sealed = token.seal("seal-kek", b"x", b"")
    assert token.check().ok
    for label in labels:
        remove(token, label)
    token.close()
    ceremony.create_keys(token, secrets)
    token.close()
    acts: list[tuple[str, Callable[[], object]]] = [
        ("token-mac", lambda: token.hmac("token-mac", b"x")),
        ("seal-kek", lambda: token.open_sealed("seal-kek", sealed, b"")),
        ("seal-kek", lambda: token.seal("seal-kek", b"x", b"")),
        ("sam-master-v1", lambda: token.derive_open_key(1, bytes(8))),
    ]
    for label, act in acts:
        error = refusal(act)
        assert isinstance(error, HSMKeyChanged)
        assert label in str(error)
    token._health = None  # a good result of before is kept for seconds
    state = token.check()
    assert (state.ok, "another key than that of the ceremony" in state.last_error) == (False, True)


def test_a_key_of_another_type_or_length_than_its_use_takes_is_refused_though_the_token_would_take_it(softhsm: SoftHSM) -> None:
    token = softhsm.token("type", EC)
    put_secret(token, "sam-master-v1", bytes(range(16)), SIGN=True, VERIFY=True)
    assert raw(token, lambda on: on.get_key(label="sam-master-v1").sign(b"x", mechanism=Mechanism.AES_CMAC))
    put_secret(token, "token-mac", bytes(range(32)), SIGN=True, VERIFY=True)  # an AES key
    with pytest.raises(HSMKeyChanged, match="token-mac is no key of the kind generic secret 256, HMAC: its KEY_TYPE is AES"):
        token.hmac("token-mac", b"x")
    with pytest.raises(HSMKeyChanged, match="sam-master-v1 is no key of the kind AES-256, CMAC: its VALUE_LEN is 16"):
        token.derive_open_key(1, bytes(8))


def test_an_attribute_of_a_key_that_was_made_cannot_be_changed(softhsm: SoftHSM) -> None:
    token = softhsm.token("closed", SEAL)
    key = {Attribute.LABEL: "seal-kek"}
    error = refusal(lambda: raw(token, lambda on: next(iter(on.get_objects(key))).__setitem__(Attribute.WRAP, True)))
    assert isinstance(error, HSMMisuse)  # CKR_ACTION_PROHIBITED is no outage: the library is not restarted for it


def test_two_keys_with_one_label_are_refused(softhsm: SoftHSM) -> None:
    token = softhsm.token("double", EC)
    token.run(lambda do: do.session.generate(KeyPlan(EC[0].label, EC[0].kind, b"\x01\x99")))
    fresh = HSM(token.config)
    fresh.close()
    restarts = fresh.module.restarts
    for act in (lambda: fresh.sign("manifest-sign", DIGEST), lambda: ceremony.create_keys(fresh, EC), lambda: fresh.keys(EC)):
        assert isinstance(refusal(act), HSMKeyAmbiguous)
    assert fresh.module.restarts == restarts


def test_a_key_that_was_destroyed_and_made_anew_is_used_at_once_by_threads_that_knew_the_old_one(softhsm: SoftHSM) -> None:
    mac = [plan for plan in SIGNING_PLAN if plan.label in ("token-mac", "health-test")]
    token, made = softhsm.token("anew", mac), set()
    restarts = token.module.restarts
    for _ in range(3):  # well within the second in which the library is restarted once
        made |= {one := token.hmac("token-mac", b"x")}
        assert {token.hmac("token-mac", b"x") for _ in range(8)} == {one}  # each of the four threads has found the key
        ceremony.destroy(token, "token-mac")
        ceremony.create_keys(token, mac)
        assert token.hmac("token-mac", b"x") not in made
    assert token.module.restarts == restarts


def test_a_missing_key_is_named_and_does_not_disturb_others(signing_token: HSM) -> None:
    signing_token.close()
    restarts = signing_token.module.restarts
    for _ in range(10):  # more failures than open the breaker
        with pytest.raises(HSMKeyMissing, match="sam-master-v77"):
            signing_token.derive_open_key(77, bytes(8))
    assert isinstance(refusal(lambda: signing_token.public_key("nobody")), HSMKeyMissing)
    assert sound(signing_token.public_key("status-sign"), signing_token.sign("status-sign", DIGEST))
    assert signing_token.module.restarts == restarts


def test_an_empty_token_has_no_key(softhsm: SoftHSM) -> None:
    token = softhsm.token("empty", [])
    assert isinstance(refusal(lambda: token.sign("manifest-sign", DIGEST)), HSMKeyMissing)
    assert token.labels() == []


def test_a_key_deleted_by_another_program_is_reported_missing(softhsm: SoftHSM) -> None:
    token = softhsm.token("robbed", SIGNING_PLAN[:2])
    assert token.sign("manifest-sign", DIGEST)
    remove(token, "manifest-sign")
    assert isinstance(refusal(lambda: token.sign("manifest-sign", DIGEST)), HSMKeyMissing)
    assert token.sign("status-sign", DIGEST)


def test_a_key_of_another_curve_is_refused(softhsm: SoftHSM) -> None:
    token = softhsm.token("curve", EC)
    raw(
        token,
        lambda on: on.create_domain_parameters(
            KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp384r1")}, local=True
        ).generate_keypair(label="document-sign", id=b"\x01\x04", store=True),
    )
    for act in (lambda: token.public_key("document-sign"), lambda: token.sign("document-sign", DIGEST)):
        assert isinstance(refusal(act), HSMKeyChanged)


def test_a_token_can_be_chosen_by_its_serial_number(softhsm: SoftHSM) -> None:
    token = softhsm.token("serial", EC)
    serial = token.run(lambda do: do.session._session.token.serial.decode().rstrip("\x00 "))
    assert HSM(replace(token.config, token_serial=serial)).sign("manifest-sign", DIGEST)
    token.close()
    error = refusal(lambda: HSM(replace(token.config, token_serial="0" * 16)).sign("manifest-sign", DIGEST))
    assert isinstance(error, HSMUnavailable)


def test_two_tokens_of_one_label_are_refused(softhsm: SoftHSM) -> None:
    token = softhsm.token("twin", EC)
    softhsm.init_token("twin")
    token.close()
    assert isinstance(refusal(lambda: token.sign("manifest-sign", DIGEST)), HSMKeyAmbiguous)


def test_a_token_that_cannot_be_made_is_reported(softhsm: SoftHSM, tmp_path: Path) -> None:
    token = HSM(softhsm.config("never"))
    assert not token.module.has_token(token.config)
    with pytest.raises(HSMUnavailable, match="cannot be run: FileNotFoundError"):
        ceremony.init_token(token, SO_PIN, str(tmp_path / "no-tool"))
    with pytest.raises(HSMUnavailable, match="could not make the token"):
        ceremony.init_token(token, "1", program("softhsm2-util"))
