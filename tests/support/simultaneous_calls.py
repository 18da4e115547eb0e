"""Calls that run at the same time: many from one moment, or one during the transaction of another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
MOMENT = 1.0
"""Seconds in which a background call reaches the lock it must wait for."""


def start_in_background(call: Callable[[], T]) -> Callable[[], T]:
    """Run the call in a thread while the transaction of the caller is open.

    Waits at most MOMENT seconds for it: a call that needs a lock of the caller's transaction does not end before that is committed.
    Returns a function that waits for the thread (at most 30 s) and returns the call's result; IndexError if the call failed.
    """
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join(timeout=MOMENT)

    def ended() -> T:
        thread.join(timeout=30)
        return results[0]

    return ended


def run_simultaneously(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run every call in a thread of its own, released together by a barrier.

    Returns the results that are not None, in the order of the calls. Raises the first failure in the caller's thread.
    """
    barrier = threading.Barrier(len(calls))
    results: list[T | None] = [None] * len(calls)
    failures: list[BaseException] = []

    def run(index: int) -> None:
        try:
            barrier.wait(timeout=30)
            results[index] = calls[index]()
        except BaseException as failure:  # noqa: BLE001  # raised again in the test's own thread
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    if failures:
        raise failures[0]
    return [result for result in results if result is not None]
