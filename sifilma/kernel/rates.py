"""What this process counts in its memory: how many requests one makes in a minute, and how often the same thing is recorded.

Nothing here asks the database. Memory is bounded: of more keys than KEYS those used longest ago are forgotten.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Generic, TypeVar

from throttled import BaseRateLimiter, MemoryStore, RateLimiterRegistry, RateLimiterType, per_min

T = TypeVar("T")
KEYS = 20_000
"""Callers remembered at a time, of each kind: about 400 bytes each."""
FIRST = 10
"""How often the same thing is recorded within WINDOW before it is only counted."""
WINDOW = 3600.0


class Rates:
    """The rates of requests, each a bucket that holds a minute's worth and fills evenly (GCRA, by the monotonic clock)."""

    def __init__(self) -> None:
        self._limiter = lru_cache(maxsize=8)(_limiter)

    def excess(self, kind: str, key: str, per_minute: int, processes: int) -> int:
        """Count one request. Return 0, or the seconds to wait if there were too many.

        `per_minute` is the limit of a node, 0 for none; each of its `processes` allows an equal part.
        """
        if per_minute == 0:
            return 0
        found = self._limiter(kind, max(1, math.ceil(per_minute / processes))).limit(key)
        return max(1, math.ceil(found.state.retry_after)) if found.limited else 0


def _limiter(_kind: str, per_minute: int) -> BaseRateLimiter:
    quota = per_min(per_minute, burst=per_minute)
    return RateLimiterRegistry.get(RateLimiterType.GCRA.value)(quota, MemoryStore(options={"MAX_SIZE": KEYS}))


@dataclass
class Repeated(Generic[T]):
    """The same thing within one window: what was noted first, how often it came, and the moments of the first and last one not recorded."""

    noted: T
    began: float
    times: int = 0
    since: datetime | None = None
    until: datetime | None = None

    @property
    def unrecorded(self) -> int:
        """Return how many were only counted."""
        return max(0, self.times - FIRST)


class Repetitions(Generic[T]):
    """Tells which of the same things to record: the first FIRST of each window. The others are counted, and told when it is over."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._seen: OrderedDict[Hashable, Repeated[T]] = OrderedDict()
        self._ended: list[Repeated[T]] = []

    def is_first(self, key: Hashable, noted: T, moment: datetime) -> bool:
        """Count one thing. Return whether it is to be recorded."""
        with self._lock:
            self._end(self._clock() - WINDOW)
            found = self._seen.setdefault(key, Repeated(noted, self._clock()))
            found.times += 1
            if found.times <= FIRST:
                return True
            found.since, found.until = found.since or moment, moment
            return False

    def take_ended(self, most: int = 5) -> list[Repeated[T]]:
        """Return at most `most` of those that were not all recorded and whose window is over, each once."""
        with self._lock:
            self._end(self._clock() - WINDOW)
            taken, self._ended = self._ended[:most], self._ended[most:]
        return taken

    def _end(self, before: float) -> None:
        """End the windows that began before a moment, and the oldest ones where there are too many. They stand in the order they began."""
        while self._seen:
            oldest = next(iter(self._seen.values()))
            if oldest.began > before and len(self._seen) < KEYS:
                return
            self._seen.popitem(last=False)
            if oldest.unrecorded and len(self._ended) < KEYS:
                self._ended.append(oldest)
