"""A circuit breaker: after repeated failures calls are refused at once, and one probe a second is let through."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from hsm.errors import HSMUnavailable


class Breaker:
    """Opens after `threshold` failures in a row; every `pause` seconds one call may probe."""

    def __init__(self, threshold: int = 3, pause: float = 1.0, now: Callable[[], float] = time.monotonic) -> None:
        self._threshold, self._pause, self._now = threshold, pause, now
        self._lock = threading.Lock()
        self._failures = 0
        self._next_probe = 0.0

    def check(self) -> None:
        """Pass, or HSMUnavailable while open."""
        if self._failures < self._threshold:
            return
        with self._lock:
            now = self._now()
            if now < self._next_probe:
                raise HSMUnavailable("the HSM has failed repeatedly; it is probed every second", self._pause)
            self._next_probe = now + self._pause

    def succeeded(self) -> None:
        """A call was answered: close."""
        if self._failures:
            with self._lock:
                self._failures = 0

    def failed(self) -> None:
        """A call was not answered."""
        with self._lock:
            self._failures += 1
            self._next_probe = self._now() + self._pause
