"""Outages, wrong PINs, hanging calls and exchanged tokens: which error the caller gets, how fast, and that recovery is automatic."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pkcs11 import exceptions as p11

from hsm import HSM, HSMCredential, HSMError, HSMKeyChanged, HSMUnavailable
from hsm.keys import SIGNING_PLAN
from hsm.module import STALE, Module
from hsm.session import TokenSession
from hsm.softhsm import put_back
from tests.hsm.token_access import DIGEST, answer_of, refusal, sound, within
from tests.support.programs import program
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.softhsm import PIN, SoftHSM

EC_PLAN = tuple(plan for plan in SIGNING_PLAN if plan.label in ("manifest-sign", "health-test"))


# --- the token goes away ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outage_token(softhsm: SoftHSM) -> HSM:
    """Return a token with two signing keys for tests of outages."""
    return softhsm.token("gone", EC_PLAN)


def test_a_token_that_goes_away_is_unavailable_and_recovers_by_itself(softhsm: SoftHSM, outage_token: HSM) -> None:
    before = outage_token.sign("manifest-sign", DIGEST)
    with softhsm.away():
        end = time.monotonic() + 2.5  # longer than one restart and the breaker's pause
        while time.monotonic() < end:
            asked = time.monotonic()
            assert 0 < answer_of(refusal(lambda: outage_token.sign("manifest-sign", DIGEST))) <= 30
            assert time.monotonic() - asked < 1.0
            time.sleep(0.05)
        assert not outage_token.check().ok
        assert outage_token.check().last_error
    back = time.monotonic()
    after = within(5.0, lambda: outage_token.sign("manifest-sign", DIGEST))
    assert time.monotonic() - back < 3.0
    assert sound(outage_token.public_key("manifest-sign"), before)
    assert sound(outage_token.public_key("manifest-sign"), after)
    assert outage_token.check().ok


def test_many_threads_survive_an_outage(softhsm: SoftHSM, outage_token: HSM) -> None:
    """The threads see only HSMUnavailable, the library restarts at most once a second, and signing works afterwards."""
    outage_token.sign("manifest-sign", DIGEST)
    restarts, end = outage_token.module.restarts, time.monotonic() + 4.0
    seen: list[HSMError] = []

    def busy() -> None:
        while time.monotonic() < end:
            error = refusal(lambda: outage_token.sign("manifest-sign", DIGEST))
            if error:
                seen.append(error)
                time.sleep(0.01)

    def outage() -> None:
        time.sleep(0.5)
        with softhsm.away():
            time.sleep(1.5)

    run_simultaneously([busy] * 6 + [outage])
    assert seen
    assert {type(error) for error in seen} == {HSMUnavailable}
    assert outage_token.module.restarts - restarts <= 4
    assert sound(outage_token.public_key("manifest-sign"), outage_token.sign("manifest-sign", DIGEST))


def test_closing_while_the_token_is_away_raises_nothing(softhsm: SoftHSM, outage_token: HSM) -> None:
    """Closing also works after a failed restart has left the library uninitialised."""
    outage_token.sign("manifest-sign", DIGEST)
    with softhsm.away():
        assert isinstance(refusal(lambda: outage_token.sign("manifest-sign", DIGEST)), HSMUnavailable)
        outage_token.close()
        outage_token.close()
        assert isinstance(refusal(lambda: outage_token.sign("manifest-sign", DIGEST)), HSMUnavailable)
        assert isinstance(refusal(lambda: outage_token.module.has_token(outage_token.config)), HSMUnavailable)
        outage_token.close()
    assert outage_token.sign("manifest-sign", DIGEST)


def test_every_operation_is_unavailable_while_the_token_is_away(softhsm: SoftHSM, outage_token: HSM) -> None:
    fresh = HSM(outage_token.config)
    with softhsm.away():
        for act in (
            lambda: fresh.public_key("manifest-sign"),
            lambda: fresh.seal("seal-kek", b"x", b""),
            lambda: fresh.hmac("token-mac", b"x"),
            lambda: fresh.derive_open_key(1, bytes(8)),
            lambda: fresh.open_sealed("seal-kek", bytes(40), b""),
            fresh.keys,
            fresh.labels,
            lambda: fresh.module.has_token(fresh.config),
        ):
            assert isinstance(refusal(act), HSMUnavailable)


def test_a_token_that_does_not_exist_does_not_disturb_the_others(softhsm: SoftHSM, outage_token: HSM) -> None:
    absent = HSM(softhsm.config("nowhere"))
    for _ in range(6):  # more failures than open its breaker
        assert isinstance(refusal(lambda: absent.sign("manifest-sign", DIGEST)), HSMUnavailable)
        assert outage_token.sign("manifest-sign", DIGEST)


def test_a_missing_library_or_lock_file_is_reported_as_unavailable(softhsm: SoftHSM, tmp_path: Path) -> None:
    nothing = HSM(replace(softhsm.config("gone"), module_path=str(tmp_path / "no.so")))
    assert answer_of(refusal(lambda: nothing.sign("manifest-sign", DIGEST))) == 30.0
    (tmp_path / "file").write_text("")
    locked = HSM(replace(softhsm.config("gone"), lock_file=tmp_path / "file" / "hsm.lock"))
    assert answer_of(refusal(lambda: locked.sign("manifest-sign", DIGEST))) == 30.0


def test_a_process_killed_while_it_logs_in_does_not_destroy_the_token(softhsm: SoftHSM, outage_token: HSM) -> None:
    """SoftHSM truncates and rewrites its token file at every login."""
    before = outage_token.sign("manifest-sign", DIGEST)
    outage_token.close()
    for file in softhsm.tokens.glob("*/token.object"):
        file.write_bytes(b"")  # what such a kill leaves
    after = outage_token.sign("manifest-sign", DIGEST)
    assert sound(outage_token.public_key("manifest-sign"), before)
    assert sound(outage_token.public_key("manifest-sign"), after)


def test_the_copy_of_a_token_file_follows_it_and_takes_the_place_of_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tokens" / "one" / "token.object"
    file.parent.mkdir(parents=True)
    (tmp_path / "conf").write_text(f"log.level = ERROR\ndirectories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "conf"))
    for data in (b"first", b"second, with another PIN"):
        file.write_bytes(data)
        put_back()
        file.write_bytes(b"")
        put_back()
        assert file.read_bytes() == data
    monkeypatch.delenv("SOFTHSM2_CONF")
    file.write_bytes(b"")
    put_back()  # not SoftHSM: nothing is known of its files
    assert file.read_bytes() == b""


# --- the PIN ---------------------------------------------------------------------------------------------------------


def test_a_wrong_pin_is_tried_once_for_fifty_requests(softhsm: SoftHSM, outage_token: HSM) -> None:
    asked: list[str] = []

    def pin() -> str:
        asked.append("000000")
        time.sleep(0.05)  # the other threads wait for this prompt
        return asked[-1]

    token = HSM(softhsm.config("gone", pin=pin))
    errors = run_simultaneously([lambda: refusal(lambda: token.sign("manifest-sign", DIGEST))] * 10)
    errors += [refusal(lambda: token.sign("manifest-sign", DIGEST)) for _ in range(40)]
    assert len(errors) == 50
    assert {type(error) for error in errors} == {HSMCredential}
    assert asked == ["000000"]
    assert "000000" not in "".join(map(str, errors))
    assert not token.check().ok
    outage_token.close()  # the library starts again, so that the right PIN is tried
    assert outage_token.sign("manifest-sign", DIGEST)


@pytest.mark.parametrize("answer", [p11.PinLocked, p11.PinExpired, p11.PinInvalid, p11.PinLenRange])
def test_a_locked_pin_is_latched_too(softhsm: SoftHSM, answer: type[p11.PKCS11Error]) -> None:
    """SoftHSM never locks a PIN, so the test raises the answer of a token that does."""
    config, calls = softhsm.config("gone"), [0]

    def locked(_: TokenSession) -> None:
        calls[0] += 1
        raise answer

    module = Module.at(config.module_path)
    for _ in range(5):
        with pytest.raises(HSMCredential, match=answer.__name__):
            module.call(config, locked)
    assert calls == [1]


# --- calls that hang -------------------------------------------------------------------------------------------------


def _hang(release: threading.Event) -> None:
    release.wait(10)


def test_a_hanging_call_is_given_up_in_time_and_others_continue(softhsm: SoftHSM, outage_token: HSM) -> None:
    token, release = HSM(replace(outage_token.config, call_timeout=0.3)), threading.Event()
    token.sign("manifest-sign", DIGEST)
    try:
        asked = time.monotonic()
        error = refusal(lambda: token.run(lambda _: _hang(release)))
        assert isinstance(error, HSMUnavailable)
        assert "did not answer within 0.3 s" in str(error)
        assert 0.3 <= time.monotonic() - asked < 1.0
        assert token.sign("manifest-sign", DIGEST)
    finally:
        release.set()


def test_calls_that_keep_hanging_open_the_breaker(outage_token: HSM) -> None:
    token, release = HSM(replace(outage_token.config, call_timeout=0.2)), threading.Event()
    token.sign("manifest-sign", DIGEST)
    try:
        for _ in range(3):
            assert "did not answer" in str(refusal(lambda: token.run(lambda _: _hang(release))))
        asked = time.monotonic()
        assert answer_of(refusal(lambda: token.sign("manifest-sign", DIGEST))) == 1.0
        assert time.monotonic() - asked < 0.05  # refused at once
    finally:
        release.set()
    assert within(3.0, lambda: token.sign("manifest-sign", DIGEST))


def test_a_pin_prompt_that_hangs_does_not_block_its_caller(softhsm: SoftHSM, outage_token: HSM) -> None:
    release = threading.Event()

    def pin() -> str:
        release.wait(10)
        return PIN

    token = HSM(replace(outage_token.config, pin=pin, call_timeout=0.3))
    try:
        assert isinstance(refusal(lambda: token.sign("manifest-sign", DIGEST)), HSMUnavailable)
    finally:
        release.set()
    assert within(3.0, lambda: token.sign("manifest-sign", DIGEST))


# --- answers of other libraries --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [p11.DeviceRemoved, p11.SessionCount, p11.SessionHandleInvalid, p11.UserNotLoggedIn, p11.FunctionFailed, p11.PKCS11Error]
)
def test_a_call_is_retried_once_after_an_error_that_a_restart_may_cure(outage_token: HSM, answer: type[p11.PKCS11Error]) -> None:
    calls: list[int] = []

    def once(_: TokenSession) -> str:
        calls.append(1)
        if len(calls) == 1:
            raise answer
        return "well"

    outage_token.sign("manifest-sign", DIGEST)
    restarts = outage_token.module.restarts
    assert outage_token.module.call(outage_token.config, once) == "well"
    assert (len(calls), outage_token.module.restarts) == (2, restarts + 1)


@pytest.mark.parametrize("answer", STALE)
@pytest.mark.parametrize(("times", "restarted"), [(1, 0), (2, 1)])
def test_a_handle_that_became_void_is_searched_anew_before_the_library_is_restarted(
    outage_token: HSM, answer: type[p11.PKCS11Error], times: int, restarted: int
) -> None:
    sessions: list[TokenSession] = []

    def void(session: TokenSession) -> str:
        sessions.append(session)
        if len(sessions) <= times:
            raise answer
        return "well"

    outage_token.sign("manifest-sign", DIGEST)
    restarts = outage_token.module.restarts
    assert outage_token.module.call(outage_token.config, void) == "well"
    assert outage_token.module.restarts == restarts + restarted
    assert len(set(map(id, sessions))) == times + 1  # no session that knew the handle was used again


def test_threads_that_fail_together_share_one_restart(outage_token: HSM) -> None:
    """The sessions of all workers die at the same moment: the first worker restarts the library, the others use the new one."""
    failed, barrier = threading.local(), threading.Barrier(4)

    def once(_: TokenSession) -> str:
        if not hasattr(failed, "already"):
            failed.already = barrier.wait(5)
            raise p11.SessionHandleInvalid
        return "well"

    outage_token.sign("manifest-sign", DIGEST)
    restarts = outage_token.module.restarts
    assert run_simultaneously([lambda: outage_token.module.call(outage_token.config, once)] * 4) == ["well"] * 4
    assert outage_token.module.restarts == restarts + 1


def test_an_error_that_a_restart_does_not_cure_is_unavailable(outage_token: HSM) -> None:
    def never(_: TokenSession) -> None:
        raise p11.DeviceError

    for _ in range(2):
        assert isinstance(refusal(lambda: outage_token.module.call(outage_token.config, never)), HSMUnavailable)


def test_every_error_of_the_library_is_mapped_to_an_hsm_error(outage_token: HSM) -> None:
    """Each exception of python-pkcs11 is tried, also within the second after a restart, in which no other restart is made."""
    kinds = [kind for kind in vars(p11).values() if isinstance(kind, type) and issubclass(kind, p11.PKCS11Error)]
    assert len(kinds) > 60
    for kind in kinds:

        def fail(_: TokenSession, kind: type[p11.PKCS11Error] = kind) -> None:
            raise kind

        config = replace(outage_token.config, token_label="gone")
        outage_token.module._breakers.clear()
        outage_token.module._refused.clear()
        assert refusal(lambda fail=fail, config=config: outage_token.module.call(config, fail)) is not None  # type: ignore[misc]  # a loop's lambda


# --- another token ---------------------------------------------------------------------------------------------------


def _replaced(softhsm: SoftHSM, token: HSM) -> HSM:
    """Replace a token by one of the same label with other keys."""
    token.close()
    subprocess.run([program("softhsm2-util"), "--delete-token", "--token", token.config.token_label], check=True, capture_output=True)
    return softhsm.token(token.config.token_label, EC_PLAN)


def test_a_token_that_comes_back_with_another_key_is_refused(softhsm: SoftHSM) -> None:
    token = softhsm.token("exchanged", EC_PLAN)
    pinned = token.public_key("manifest-sign")
    other = _replaced(softhsm, token)
    with pytest.raises(HSMKeyChanged, match="manifest-sign"):
        token.sign("manifest-sign", DIGEST)
    assert token.public_key("manifest-sign") == pinned != other.public_key("manifest-sign")
    assert other.sign("manifest-sign", DIGEST)


def test_a_health_check_detects_another_key(softhsm: SoftHSM) -> None:
    token = softhsm.token("unhealthy", EC_PLAN)
    token.sign("health-test", DIGEST)
    _replaced(softhsm, token)
    health = token.check()
    assert not health.ok
    assert "health-test" in health.last_error


def test_a_key_of_the_token_must_equal_the_pinned_public_key(softhsm: SoftHSM, signing_token: HSM) -> None:
    token = HSM(signing_token.config)
    token.pin_key("manifest-sign", signing_token.public_key("status-sign"))
    assert isinstance(refusal(lambda: token.sign("manifest-sign", DIGEST)), HSMKeyChanged)
    assert isinstance(refusal(lambda: token.pin_key("manifest-sign", signing_token.public_key("manifest-sign"))), HSMKeyChanged)


# --- health and guard ------------------------------------------------------------------------------------------------


def test_a_good_health_check_is_remembered_and_a_bad_one_is_not(softhsm: SoftHSM, outage_token: HSM) -> None:
    token = HSM(outage_token.config)
    with softhsm.away():
        assert not token.check().ok
    assert within(3.0, lambda: token.sign("health-test", DIGEST))
    first = token.check()
    assert (first.ok, first.last_error) == (True, "")
    assert first.generation >= 1
    with softhsm.away():
        assert token.check() is first


def test_the_guard_runs_in_the_callers_thread_before_anything_else(softhsm: SoftHSM) -> None:
    class Forbidden(Exception):
        pass

    where: list[int] = []

    def guard() -> None:
        where.append(threading.get_ident())
        raise Forbidden

    asked: list[str] = []
    token = HSM(softhsm.config("gone", pin=lambda: asked.append("asked") or PIN), guard)  # type: ignore[func-returns-value]  # None, then PIN
    generation = token.module.generation
    for act in (
        lambda: token.sign("manifest-sign", DIGEST),
        lambda: token.hmac("token-mac", b""),
        lambda: token.derive_open_key(1, bytes(8)),
        lambda: token.seal("seal-kek", b"", b""),
        lambda: token.open_sealed("seal-kek", b"", b""),
        lambda: token.run(lambda _: None),
        lambda: token.public_key("manifest-sign"),
        lambda: token.private_key("manifest-sign").public_key(),
        token.keys,
        token.labels,
        token.check,
    ):
        with pytest.raises(Forbidden):
            act()
    assert set(where) == {threading.get_ident()}
    assert (asked, token.module.generation) == ([], generation)


def test_an_exception_of_the_callers_own_function_is_raised_unchanged(outage_token: HSM) -> None:
    restarts = outage_token.module.restarts
    with pytest.raises(ZeroDivisionError):
        outage_token.run(lambda _: 1 // 0)
    assert outage_token.module.restarts == restarts
