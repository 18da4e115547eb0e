"""Two HSMs: whatever happens to one, the other goes on at once, and the first comes back by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pkcs11 import Attribute, KeyType, ObjectClass

import hsm.pair
from hsm import HSM, HSMKeyMissing, HSMMisuse, HSMPair, HSMUnavailable, ceremony, transport
from hsm.keys import SIGNING_PLAN, Exact, carried_plan, master_plan, version_plan
from hsm.records import KeyRecord
from tests.hsm.test_read_back import another, curve, idle, nothing, rsa, twice
from tests.hsm.token_access import DIGEST, put_secret, raw, refusal, sound, within, within_seconds
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.softhsm import PIN, SO_PIN, SoftHSM

MAC, KEK = Exact("token-mac-v2"), Exact("seal-kek-v2")
CARRIED = [carried_plan(plan) for plan in (version_plan("token-mac", 2), version_plan("seal-kek", 2), master_plan(2))]
SPARE = bytes(range(32))
OWN = tuple(plan for plan in SIGNING_PLAN if plan.label in ("manifest-sign", "health-test"))


class Twins:
    """Two HSMs with their keys carried and recorded. `pins` are those that the service knows."""

    def __init__(self, base: Path) -> None:
        self.stores = {name: SoftHSM(base / name, apart=True) for name in ("a", "b")}
        self.pins = dict.fromkeys(self.stores, PIN)
        self.records: dict[str, dict[str, KeyRecord]] = {}
        self.told: list[str] = []
        first, second = (store.token(name, OWN) for name, store in self.stores.items())
        ceremony.create_keys(first, [master_plan(1)])
        transport.carry(first, second, CARRIED, SO_PIN)
        self.records = {token.label: {one.label: one for one in ceremony.describe(token)} for token in (first, second)}

    def pair(self, patience: float = 0.3, *, apart: bool = False) -> HSMPair:
        """Return a new object for both, as a process has it that starts; `apart`, each is behind a process of its own."""
        self.told.clear()
        self.pins.update(a=PIN, b=PIN)
        pair = HSMPair(self._token("a", apart=apart), self._token("b", apart=apart), patience)
        pair.away, pair.back = lambda label, _reason: self.told.append(f"{label} out"), lambda label: self.told.append(f"{label} back")
        return pair

    def _token(self, name: str, *, apart: bool) -> HSM:
        token = HSM(replace(self.stores[name].config(name, pin=lambda: self.pins[name]), apart=apart))
        token.recorded = lambda: self.records[name]
        token.close()
        return token


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    """Return two HSMs apart from those of other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport, "BITS", 2048)  # a shorter one is made in less time
        return Twins(tmp_path_factory.mktemp("pair"))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "BITS", 2048)
    monkeypatch.setattr(hsm.pair, "PROBE_EVERY", 0.2)


@pytest.fixture
def pair(twins: Twins) -> Iterator[HSMPair]:
    """Yield both as one, with nothing out."""
    pair = twins.pair()
    yield pair
    pair.close()


def work(pair: HSM) -> str:
    """Do what an activation does, and return which HSM did it."""

    def on(token: HSM) -> str:
        assert sound(token.public_key("manifest-sign"), token.sign("manifest-sign", DIGEST))
        return token.label

    pair.derive_open_key(2, bytes(8))
    pair.hmac(MAC, b"request")
    return pair.through(on)


def test_what_one_hsm_made_the_other_opens_and_each_signs_with_a_key_of_its_own(pair: HSMPair) -> None:
    first, second = pair.tokens
    assert second.open_sealed(KEK, first.seal(KEK, b"data key", b"whose"), b"whose") == b"data key"
    assert first.hmac(MAC, b"request") == second.hmac(MAC, b"request")
    assert first.derive_open_key(2, bytes(8)) == second.derive_open_key(2, bytes(8))
    assert first.public_key("manifest-sign") != second.public_key("manifest-sign")
    for token in pair.tokens:
        carried = token.keys(tuple(CARRIED))
        assert [info.faults for info in carried] == [[]] * 3
        assert not any(info.attributes["EXTRACTABLE"] or info.is_open for info in carried)
        assert all(label != transport.LABEL for label, _, _ in token.labels())
    assert [pair.tokens[0].recorded()[MAC].origin, pair.tokens[1].recorded()[MAC].origin] == [
        "generated on this token and carried to another one",
        "carried here from another token",
    ]


def test_a_key_leaves_its_hsm_under_the_trusted_key_only_and_once(twins: Twins, pair: HSMPair) -> None:
    first, second = pair.tokens
    transport.carry(first, second, CARRIED, SO_PIN)  # nothing is left to do
    with pytest.raises(HSMMisuse, match="sam-master-v1 was made to stay on its token"):
        transport.carry(first, second, [carried_plan(master_plan(1))], SO_PIN)
    plan, seen = carried_plan(version_plan("token-mac", 7)), list[str]()

    def stop(fingerprint: str) -> None:
        seen.append(fingerprint)
        raise HSMMisuse("not the fingerprint that the other one read")

    with pytest.raises(HSMMisuse, match="fingerprint"):
        transport.carry(first, second, [plan], SO_PIN, stop)
    first.run(lambda do: do.session.generate(plan))  # what a call that broke off may leave
    untrusted = second.run(transport._make_transport_key)
    raw(first, lambda on: on.create_object(_public(untrusted)))
    with pytest.raises(HSMUnavailable, match="KeyNotWrappable"):
        first.run(lambda do: transport._wrap(plan, do))
    within(3.0, lambda: transport.carry(first, second, [plan], SO_PIN, seen.append))
    assert len(set(seen)) == 2
    for token in pair.tokens:
        remove_key(token, plan.label)


def _public(key: transport.TransportKey) -> dict[Attribute, Any]:
    return {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.KEY_TYPE: KeyType.RSA, Attribute.MODULUS: key.modulus,
            Attribute.PUBLIC_EXPONENT: key.exponent, Attribute.LABEL: transport.LABEL, Attribute.TOKEN: True,
            Attribute.PRIVATE: False, Attribute.WRAP: True}  # fmt: skip


def remove_key(token: HSM, label: str) -> None:
    raw(token, lambda on: [one.destroy() for one in on.get_objects({Attribute.LABEL: label})])


def back_within(seconds: float, pair: HSMPair) -> None:
    """Wait until both tokens are used again. AssertionError with what is wrong with the one that is not."""
    until, first = time.monotonic() + seconds, pair.tokens[0]
    while pair.out:
        assert time.monotonic() < until, (dict(pair.out), first.module.hanging(first.config), first.module.restarts)
        time.sleep(0.02)


@pytest.mark.parametrize("fault", ["away", "hanging", "pin"])
def test_the_other_hsm_takes_over_at_once_and_the_first_comes_back_by_itself(twins: Twins, pair: HSMPair, fault: str) -> None:
    assert work(pair) == "a"
    store, slowest, done, ended = twins.stores["a"], [0.0], list[str](), threading.Event()

    def go_on() -> None:
        while not ended.is_set():
            began = time.monotonic()
            done.append(work(pair))
            slowest.append(time.monotonic() - began)
            time.sleep(0.01)

    def break_it() -> None:
        try:
            if fault == "pin":
                twins.pins["a"] = "000000"
                with store.away():
                    within_seconds(3, lambda: "a" in pair.out)
                within_seconds(5, lambda: "PinIncorrect" in str(refusal(lambda: pair.tokens[0].sign("health-test", DIGEST))))
                assert "a" in pair.out
                twins.pins["a"] = PIN
                pair.tokens[0].close()  # a PIN that was refused is not tried again before a restart
            else:
                with store.away() if fault == "away" else store.hanging():
                    within_seconds(3, lambda: "a" in pair.out)
                    time.sleep(0.5)
            back_within(20, pair)
            within_seconds(5, lambda: done[-1] == "a")
        finally:
            ended.set()

    run_simultaneously([go_on] * 4 + [break_it])
    assert set(done) == {"a", "b"}
    assert max(slowest) < 2.0
    assert twins.told == ["a out", "a back"]
    assert pair.tokens[1].module.restarts == 0


def test_a_key_that_differs_sends_the_call_to_the_other_hsm_and_puts_its_own_out(twins: Twins, pair: HSMPair) -> None:
    assert work(pair) == "a"
    known = twins.records["a"]
    twins.records["a"] = known | {MAC: KeyRecord(**(known[MAC].as_json() | {"check": "0" * 16}))}
    pair.tokens[0].close()
    assert pair.hmac(MAC, b"request")
    within_seconds(3, lambda: pair.out == {"a": f"{MAC}: another key than that of the ceremony"})
    assert pair.wrong == {f"a/{MAC}": "another key than that of the ceremony"}
    health = pair.check()
    assert (health.ok, health.is_degraded, health.tokens["a"].ok, health.tokens["b"].ok) == (True, True, False, True)
    twins.records["a"] = known
    within_seconds(3, lambda: not pair.out)


@pytest.mark.parametrize("put", [curve, rsa, another, nothing, twice, idle], ids=lambda put: put.__name__)
def test_whatever_lies_under_a_label_on_one_hsm_the_other_does_the_work(twins: Twins, put: Callable[[HSM], None]) -> None:
    pair = twins.pair()
    first = pair.tokens[0]
    try:
        within_seconds(5, lambda: work(pair) == "a")
        remove_key(first, "manifest-sign")
        put(first)
        assert [work(pair) for _ in range(5)] == ["b"] * 5
        within_seconds(5, lambda: "manifest-sign" in pair.out.get("a", ""))
        assert work(pair) == "b"
        assert pair.tokens[1].module.restarts == 0
    finally:
        pair.close()
        within(5, lambda: remove_key(first, "manifest-sign"))
        within(5, lambda: ceremony.create_keys(first, OWN))
        twins.records["a"] = {one.label: one for one in ceremony.describe(first)}
        pair.close()


def test_misuse_goes_to_nobody_else_and_a_card_of_an_old_version_waits_for_its_hsm(twins: Twins, pair: HSMPair) -> None:
    with pytest.raises(HSMMisuse):
        pair.open_sealed(KEK, bytes(40), b"")
    with pytest.raises(HSMMisuse):
        pair.sign("manifest-sign", b"short")
    assert (pair.out, pair.tokens[1].module.generation) == ({}, pair.tokens[1].module.generation)
    assert pair.derive_open_key(1, bytes(8))
    with twins.stores["a"].away():
        assert work(pair) == "b"
        with pytest.raises(HSMUnavailable, match="the other HSM is away: token a"):
            pair.derive_open_key(1, bytes(8))
        assert (work(pair), list(pair.out)) == ("b", ["a"])
    assert within(5, lambda: pair.derive_open_key(1, bytes(8)))
    with pytest.raises(HSMKeyMissing):
        pair.derive_open_key(9, bytes(8))


def test_an_hsm_whose_keys_are_not_recorded_is_not_used(twins: Twins, pair: HSMPair) -> None:
    second = pair.tokens[1]
    second.recorded = dict
    with twins.stores["a"].away(), pytest.raises(HSMUnavailable):
        work(pair)
    assert not pair.check().tokens["b"].ok


def test_a_library_that_misses_keys_after_an_outage_is_started_anew_but_not_at_every_look(
    pair: HSMPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, ended = pair.tokens[0], list[str]()
    pair.unwatch()
    monkeypatch.setattr(first, "read_back", lambda: {"manifest-sign": "missing"})
    monkeypatch.setattr(first.module, "close", lambda: ended.append("a"))
    pair.look(first)
    assert ("a" in pair.out, ended) == (True, [])  # it was not away: the key is missing
    for _ in range(3):
        pair.look(first)
    assert ended == ["a"]
    monkeypatch.undo()
    pair.look(first)
    assert pair.out == {}


def test_an_hsm_behind_a_process_that_hangs_is_given_another_process(twins: Twins) -> None:
    pair = twins.pair(patience=0.5, apart=True)
    first = pair.tokens[0]
    try:
        assert within(10, lambda: first.public_key("manifest-sign")) == first.direct().public_key("manifest-sign")
        for token in pair.tokens:
            within(10, lambda token=token: token.read_back())  # type: ignore[misc]  # a loop's lambda
        assert (work(pair), pair.read_back(), [info.faults for info in first.keys(tuple(CARRIED))]) == ("a", {}, [[]] * 3)
        assert first.open_sealed(KEK, pair.tokens[1].seal(KEK, b"data key", b"whose"), b"whose") == b"data key"
        sealed = bytes(16) + AESGCM(SPARE).encrypt(bytes(16), b"data key", b"whose")  # an HSM chose the IV
        put_secret(first.direct(), "spare", SPARE, ENCRYPT=True, DECRYPT=True)
        assert within(5, lambda: first.run(lambda do: do.session.open_sealed("spare", sealed, b"whose", 16))) == b"data key"
        assert "spare" in {label for label, _, _ in first.labels()}
        ceremony.destroy(first, "spare")  # closing a key goes this way
        assert "spare" not in {label for label, _, _ in first.labels()}
        with pytest.raises(HSMMisuse):
            pair.open_sealed(KEK, bytes(40), b"")
        with pytest.raises(HSMMisuse):
            first.run(lambda do: do.session.raw)
        before = first.module.restarts
        with twins.stores["a"].hanging():
            assert work(pair) == "b"
            assert first.module.restarts > before
            assert first.module.hanging(first.config) == 0  # nothing of it is left
        within_seconds(15, lambda: not pair.out)
        assert work(pair) == "a"
    finally:
        pair.close()
