"""Many at once, or one while another is half done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
MOMENT = 1.0


def start_in_background(call: Callable[[], T]) -> Callable[[], T]:
    """Start the call in a thread of its own and give it a moment, while the caller's transaction is open; what it gave, once it ends."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join(timeout=MOMENT)

    def ended() -> T:
        thread.join(timeout=30)
        return results[0]

    return ended


def run_simultaneously(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run every call in a thread of its own, all let go at the same moment; what each gave, in order. A failure is raised here."""
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
