"""What a process counts in its memory stays small, is exact, and costs microseconds."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from sifilma.kernel import rates
from sifilma.kernel.rates import FIRST, WINDOW, Rates, Repetitions
from tests.support.simultaneous_calls import run_simultaneously

NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Stopwatch:
    """A monotonic clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_limit_is_divided_by_the_processes_and_counts_each_caller_for_itself() -> None:
    counted = Rates()
    for caller in ("a", "b"):
        waits = [counted.excess("actor", caller, 60, 4) for _ in range(20)]
        assert waits[:15] == [0] * 15
        assert all(1 <= wait <= 4 for wait in waits[15:])
    assert counted.excess("address", "a", 60, 4) == 0
    assert [counted.excess("none", "a", 0, 4) for _ in range(1000)] == [0] * 1000


def test_parallel_requests_do_not_pass_a_limit() -> None:
    counted = Rates()
    answers = run_simultaneously([lambda: [counted.excess("actor", "a", 100, 1) for _ in range(50)]] * 8)
    assert 100 <= Counter(wait == 0 for waits in answers for wait in waits)[True] <= 103  # the bucket fills by 1.7 in a second


def test_a_request_is_counted_in_microseconds_and_few_bytes() -> None:
    counted = Rates()
    began = time.thread_time()
    for number in range(30_000):
        counted.excess("address", f"2001:db8:{number:x}::/64", 12_000, 1)
    assert (time.thread_time() - began) / 30_000 < 30e-6
    store: Any = counted._limiter("address", 12_000)._store
    assert len(store._backend.get_client()) == rates.KEYS == len(store._backend.expire_info)


def test_the_first_of_a_kind_are_recorded_and_the_others_told_once() -> None:
    clock = Stopwatch()
    seen: Repetitions[str] = Repetitions(clock)
    moments = [NOW + timedelta(seconds=number) for number in range(25)]
    assert [seen.is_first("key", "noted", moment) for moment in moments] == [True] * FIRST + [False] * 15
    assert seen.is_first("other", "noted", NOW)
    assert seen.take_ended() == []
    clock.now += WINDOW
    [ended] = seen.take_ended()  # nothing is left to tell of the other
    assert (ended.noted, ended.unrecorded, ended.since, ended.until) == ("noted", 15, moments[FIRST], moments[-1])
    assert seen.take_ended() == []
    assert seen.is_first("key", "noted", NOW)  # a new window


def test_what_is_remembered_of_repetitions_is_bounded() -> None:
    seen: Repetitions[int] = Repetitions(Stopwatch())
    for _ in range(FIRST + 1):
        seen.is_first(-1, -1, NOW)
    for number in range(rates.KEYS + 10):
        seen.is_first(number, number, NOW)
    assert len(seen._seen) <= rates.KEYS
    assert [ended.noted for ended in seen.take_ended()] == [-1]  # told before it is forgotten
