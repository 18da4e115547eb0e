"""Work that waits for something else than the database (the HSM), in parts, several at a time where that is faster."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sifilma.kernel import deadline

T = TypeVar("T")
Made = TypeVar("Made")
PART = 50
"""Items of one part: one call to the HSM, which has a time-out and keeps others waiting."""
TRIED = 10
"""Items by which one finds out whether the work waits."""
AT_A_TIME = 4
"""Parts under way at a time: as many as a process has sessions on its token (`hsm/workers.py`)."""
BUSY = 0.33
"""Share of a processor from which on a process computes: threads that compute take turns in Python, and each turn costs."""


def in_parts(work: Callable[[Sequence[T]], Sequence[Made]], items: Sequence[T]) -> list[Made]:
    """Return what is made of the items, in their order: of one part after the other, and as soon as the work waits of several at a time.

    An HSM in the network is waited for. A token in software computes in this process: four threads took longer for it than one, and 1.6
    times the processor.

    `work` must not touch the session; its waits end with the caller's deadline. Raise what it raises, after the parts that are under way
    have ended.
    """
    made, done, part = list[Made](), 0, PART if len(items) <= PART else TRIED
    while done < len(items):
        began, used = time.monotonic(), time.process_time()
        made += work(items[done : done + part])
        share = (time.process_time() - used) / max(time.monotonic() - began, 1e-9)
        done, part = done + part, PART
        if share < BUSY and len(items) - done > PART:
            return made + _at_a_time(work, items[done:])
    return made


def _at_a_time(work: Callable[[Sequence[T]], Sequence[Made]], items: Sequence[T]) -> list[Made]:
    left = deadline.remaining()
    until = None if left is None else time.monotonic() + left

    def limited(part: Sequence[T]) -> Sequence[Made]:
        if until is None:
            return work(part)
        with deadline.limit(until - time.monotonic()):  # a deadline belongs to a thread
            return work(part)

    parts = [items[start : start + PART] for start in range(0, len(items), PART)]
    with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="parts") as pool:
        return [one for made in pool.map(limited, parts) for one in made]
