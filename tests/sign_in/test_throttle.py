"""Of any number of tries at the same moment no more are compared than are free; a right answer costs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from sifilma.identity.models import Throttle
from sifilma.kernel.errors import TooMany
from sifilma.sign_in import throttle
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.world import PASSWORD, Client, World, done

NAME = "magetan.kepala"
TRIES = 30


def statuses(call: Callable[[], int]) -> Counter[int]:
    """Return how often each status was answered to TRIES calls at the same moment.

    On a slow machine some find every database connection busy (503): they compared nothing, and are left out.
    """
    found = Counter(run_simultaneously([call] * TRIES))
    del found[503]
    return found


def all_free(call: Callable[[], int], status: int, free: int) -> None:
    """Call TRIES times at the same moment, then one by one: as many as are `free` get the status of a wrong try, all others 429."""
    found = statuses(call)
    assert found[status] <= free
    assert set(found) <= {status, 429}
    for _ in range(free - found[status]):
        assert call() == status
    assert call() == 429


def entries(world: World, action: str) -> int:
    """Return how many entries of an act there are: each wrong try that was compared leaves one."""
    return int(world.sql("SELECT count(*) FROM audit_entry WHERE action = :action", action=action)[0][0])


def waiting(world: World) -> Client:
    """Return a client that has given its password, not yet a code."""
    response = world.anonymous().post("/session", {"username": NAME, "password": PASSWORD})
    done(response)
    return Client(world, {"Cookie": response.headers["Set-Cookie"].partition(";")[0]})


def test_of_thirty_parallel_passwords_no_more_are_compared_than_are_free(world: World) -> None:
    wrong = {"username": NAME, "password": "salah sekali ya"}
    all_free(lambda: int(world.anonymous().post("/session", wrong).status_code), 401, 5)
    assert entries(world, "session.password_refused") == 5
    assert entries(world, "session.throttled") == 1


def test_of_thirty_parallel_guesses_of_the_present_password_no_more_are_compared_than_are_free(world: World) -> None:
    client, new = world.client(NAME), "empat ekor jangkrik di pasar"
    form = {"current": "salah sekali ya", "password": new, "repeat": new, "csrf_token": client.headers["X-CSRF-Token"]}

    def call() -> int:
        return int(client.open("POST", "/profil/kata-sandi", data=form, headers=client.headers | {"Accept": "text/html"}).status_code)

    all_free(call, 422, 5)
    assert entries(world, "session.password_refused") == 5


def test_of_thirty_parallel_codes_in_one_sign_in_five_are_compared(world: World) -> None:
    client = waiting(world)
    for _ in range(2):
        assert set(statuses(lambda: client.post("/session/otp", {"code": "000000"}).status_code)) == {401}
    assert entries(world, "session.otp_refused") == 5  # the others met a sign-in that has lapsed


def test_of_thirty_parallel_codes_of_one_account_no_more_are_compared_than_are_free(world: World) -> None:
    client = world.client(NAME)
    all_free(lambda: int(client.post("/session/step-up", {"code": "000000"}).status_code), 401, 10)
    assert entries(world, "session.otp_refused") == 10
    assert world.client(NAME).post("/session/step-up", {"code": world.code(NAME)}).status_code == 429  # the right one waits as well


def test_of_thirty_parallel_wrong_tokens_five_are_compared(world: World) -> None:
    world.active(function="R")  # the process reads its table of villages once
    ready = world.ready(function="R")
    client, body = world.client(NAME), world.activation(ready, ready.uids[0], token="A" * 10)
    for _ in range(3):
        assert set(statuses(lambda: client.post("/activations", body).status_code)) <= {409, 422}
    while client.post("/activations", body).status_code == 422:
        pass
    assert entries(world, "token.refused") == 5
    assert world.sql("SELECT tries, state FROM token WHERE state <> 'redeemed'") == [(5, "cancelled")]


def test_right_answers_use_up_no_tries(world: World) -> None:
    limits = {"password:somebody:198.51.100.1": throttle.PASSWORD, "ip:198.51.100.1": throttle.ADDRESS}
    with world.context() as ctx:
        for _ in range(101):
            slot = throttle.admit(ctx, limits)
            ctx.uow.begin_write()
            throttle.give_back(ctx.session, slot)
            ctx.uow.commit()
    assert world.sql("SELECT DISTINCT failures, blocked_until FROM throttle") == [(0, None)]
    client = world.client(NAME)
    for _ in range(12):  # more than the free tries of a second factor
        world.clock.advance(seconds=30)
        stepped = client.post("/session/step-up", {"code": world.code(NAME)})
        assert stepped.status_code == 204
        client.headers["Cookie"] = stepped.headers["Set-Cookie"].partition(";")[0]


def test_a_block_grows_with_every_failure_and_ends_with_its_window(world: World) -> None:
    limits, waits = {"otp:somebody": throttle.OTP}, []
    with world.context() as ctx:
        for _ in range(16):
            slot = throttle.admit(ctx, limits)
            if until := slot.until["otp:somebody"]:
                waits.append((until - ctx.now).total_seconds())
                with pytest.raises(TooMany) as refused:
                    throttle.admit(ctx, limits)
                assert refused.value.retry_after == waits[-1]
                world.clock.advance(seconds=round(waits[-1]))
        assert waits[:5] == [30, 60, 120, 240, 480]
        world.clock.advance(minutes=15)
        assert throttle.admit(ctx, limits).failures == {"otp:somebody": 1}


def test_the_right_answer_after_a_block_ends_the_block_that_it_began(world: World) -> None:
    limits = {"otp:somebody": throttle.OTP, "ip:somewhere": throttle.ADDRESS}
    with world.context() as ctx:
        for _ in range(10):
            throttle.admit(ctx, limits)
        with pytest.raises(TooMany):
            throttle.admit(ctx, limits)
        world.clock.advance(seconds=30)
        slot = throttle.admit(ctx, limits)
        ctx.uow.begin_write()
        throttle.give_back(ctx.session, slot)
        ctx.uow.commit()
        assert throttle.admit(ctx, limits).failures == {"otp:somebody": 11, "ip:somewhere": 11}
        row = ctx.session.get_one(Throttle, "otp:somebody")
        assert row.blocked_until == ctx.now + timedelta(seconds=60)
