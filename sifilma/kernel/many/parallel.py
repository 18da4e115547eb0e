"""Work that waits for something else than the database (the HSM), in parts, several at a time."""

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
AT_A_TIME = 4
"""Parts under way at a time: as many as a process has sessions on its token (`hsm/workers.py`)."""


def in_parts(work: Callable[[Sequence[T]], Sequence[Made]], items: Sequence[T]) -> list[Made]:
    """Return what is made of the items, in their order. One part is worked on by the caller's own thread, several by others.

    `work` must not touch the session; its waits end with the caller's deadline. Raise what it raises, after the parts that are under way
    have ended.
    """
    parts = [items[start : start + PART] for start in range(0, len(items), PART)]
    if len(parts) <= 1:
        return [one for part in parts for one in work(part)]
    left = deadline.remaining()
    until = None if left is None else time.monotonic() + left

    def limited(part: Sequence[T]) -> Sequence[Made]:
        if until is None:
            return work(part)
        with deadline.limit(until - time.monotonic()):  # a deadline belongs to a thread
            return work(part)

    with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="parts") as pool:
        return [one for made in pool.map(limited, parts) for one in made]
