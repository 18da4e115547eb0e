"""The circuit breaker, the gate and the worker threads of the HSM module, each alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from hsm import HSMUnavailable
from hsm.breaker import Breaker
from hsm.gate import Gate
from hsm.workers import MAX_LOST, Workers
from tests.hsm.token_access import refusal
from tests.support.simultaneous_calls import run_simultaneously

# --- breaker ---------------------------------------------------------------------------------------------------------


class Stopwatch:
    """A monotonic clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stopwatch() -> Stopwatch:
    return Stopwatch()


def test_a_breaker_opens_after_three_failures_and_probes_once_a_second(stopwatch: Stopwatch) -> None:
    breaker = Breaker(now=stopwatch)
    for _ in range(3):
        breaker.check()
        breaker.failed()
    assert isinstance(refusal(breaker.check), HSMUnavailable)
    stopwatch.now += 1.0
    breaker.check()  # the probe: one call a second is let through
    assert isinstance(refusal(breaker.check), HSMUnavailable)
    breaker.failed()
    stopwatch.now += 0.9
    assert isinstance(refusal(breaker.check), HSMUnavailable)


def test_one_answer_closes_the_breaker(stopwatch: Stopwatch) -> None:
    breaker = Breaker(now=stopwatch)
    for _ in range(5):
        breaker.failed()
    stopwatch.now += 1.0
    breaker.check()
    breaker.succeeded()
    assert [refusal(breaker.check) for _ in range(10)] == [None] * 10


def test_failures_with_answers_between_them_do_not_open_the_breaker(stopwatch: Stopwatch) -> None:
    breaker = Breaker(now=stopwatch)
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
        assert refusal(breaker.check) is None


# --- gate ------------------------------------------------------------------------------------------------------------


def test_a_shut_gate_lets_nobody_in_until_it_opens() -> None:
    gate, log = Gate(), []
    assert gate.shut(0.1)

    def enter() -> None:
        with gate.entered(5.0):
            log.append("in")

    def opening() -> None:
        time.sleep(0.2)
        log.append("open")
        gate.open()

    run_simultaneously([enter, enter, opening])
    assert log == ["open", "in", "in"]


def test_waiting_for_a_shut_gate_ends_at_its_timeout() -> None:
    gate = Gate()
    gate.shut(0.1)
    with pytest.raises(HSMUnavailable, match="restarted"), gate.entered(0.1):
        raise AssertionError
    assert not gate.shut(0.1)  # nor does a second thread that would shut the gate wait for ever


def test_a_gate_that_cannot_be_drained_opens_again() -> None:
    gate = Gate()
    with gate.entered(0.1):
        assert not gate.shut(0.1)
        with gate.entered(0.1):
            pass
    assert gate.shut(0.1)


# --- workers ---------------------------------------------------------------------------------------------------------


def _hung(workers: Workers, release: threading.Event, timeout: float = 0.05) -> None:
    with pytest.raises(HSMUnavailable):
        workers.run(lambda: release.wait(10), timeout)


def _lose(workers: Workers, release: threading.Event) -> None:
    """Make the pool lose one more thread.

    A call that is given up before a thread has begun it costs no thread; in that case another call hangs.
    """
    lost = workers._lost
    for _ in range(100):
        _hung(workers, release, 0.01)
        if workers._lost > lost:
            break
    assert workers._lost == lost + 1


def test_results_and_failures_come_back_to_their_callers() -> None:
    workers = Workers(2)

    def of(number: int) -> int:
        return workers.run(lambda: number * number, 5.0)

    assert run_simultaneously([lambda number=number: of(number) for number in range(40)]) == [number * number for number in range(40)]  # type: ignore[misc]  # a loop's lambda
    with pytest.raises(KeyError):
        workers.run(lambda: dict[str, str]()["x"], 5.0)
    assert workers.run(lambda: None, 5.0) is None
    workers.stop()


def test_threads_that_hang_are_replaced_and_end_later() -> None:
    workers, release = Workers(2), threading.Event()
    before = set(threading.enumerate())
    for _ in range(4):
        _hung(workers, release)
    assert workers.run(lambda: "well", 5.0) == "well"
    started = set(threading.enumerate()) - before
    release.set()
    workers.stop()
    _until(lambda: not [thread for thread in started if thread.is_alive()])
    assert workers._lost == 0


def test_calls_given_up_while_still_queued_cost_no_thread() -> None:
    workers, release = Workers(2), threading.Event()
    before = set(threading.enumerate())
    hung = [threading.Thread(target=_hung, args=(workers, release, 0.6)) for _ in range(2)]
    for thread in hung:
        thread.start()
    time.sleep(0.1)
    for _ in range(6):
        _hung(workers, release, 0.02)
    assert (workers._started, workers._lost) == (2, 0)
    for thread in hung:
        thread.join()
    assert (workers._started, workers._lost) == (0, 2)
    assert workers.run(lambda: "well", 5.0) == "well"
    started = set(threading.enumerate()) - before
    release.set()
    workers.stop()
    _until(lambda: not [thread for thread in started if thread.is_alive()])


def test_too_many_lost_threads_are_reported_and_recover_when_the_library_answers() -> None:
    workers, release = Workers(2), threading.Event()
    for _ in range(MAX_LOST):
        _lose(workers, release)
    error = refusal(lambda: workers.run(lambda: "x", 1.0))
    assert isinstance(error, HSMUnavailable)
    assert error.retry_after == 30.0
    release.set()
    _until(lambda: workers._lost == 0)
    assert workers.run(lambda: "well", 5.0) == "well"
    workers.stop()


def test_a_thread_that_cannot_start_is_not_counted() -> None:
    workers = Workers(2)
    former = threading.stack_size(1 << 50)  # bytes: no system has them, so that no thread can start
    try:
        refused = [refusal(lambda: workers.run(lambda: "x", 0.2)) for _ in range(3)]
    finally:
        threading.stack_size(former)
    assert [type(error) for error in refused] == [HSMUnavailable] * 3
    assert (workers._started, workers._lost) == (0, 0)
    assert workers.run(lambda: "well", 5.0) == "well"
    workers.stop()


def test_a_call_that_ends_at_its_deadline_loses_no_thread() -> None:
    """The race between a caller that gives up and a worker that has just ended is run many times."""
    workers, late = Workers(2), 0
    for _ in range(300):
        late += refusal(lambda: workers.run(lambda: time.sleep(0.002), 0.00205)) is not None
    _until(lambda: workers._lost == 0)
    assert workers._started <= 2
    assert workers.run(lambda: "well", 5.0) == "well"
    workers.stop()


def _until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
