"""Implement a circuit breaker: it refuses calls at once after repeated failures and lets one probe through per second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from hsm.errors import HSMUnavailable


class Breaker:
    """Opens after `threshold` failures in a row. While it is open, one call may probe every `pause` seconds.

    Without it every request would wait for the call's time-out while the HSM is away, and the web server would run out of threads.
    """

    def __init__(self, threshold: int = 3, pause: float = 1.0, now: Callable[[], float] = time.monotonic) -> None:
        self._threshold, self._pause, self._now = threshold, pause, now
        self._lock = threading.Lock()
        self._failures = 0
        self._next_probe = 0.0

    def check(self) -> None:
        """Return while the breaker is closed or this call may probe. Raise HSMUnavailable otherwise."""
        # Read without the lock: this runs before every HSM call, and a value that is stale by one failure does no harm.
        if self._failures < self._threshold:
            return
        with self._lock:
            now = self._now()
            if now < self._next_probe:
                raise HSMUnavailable("the HSM has failed repeatedly; it is probed every second", self._pause)
            # Moved forward before the probe answers, so that other callers are refused and do not hang on the same outage.
            self._next_probe = now + self._pause

    def succeeded(self) -> None:
        """Record that the HSM answered a call: the breaker closes."""
        if self._failures:
            with self._lock:
                self._failures = 0

    def failed(self) -> None:
        """Record that the HSM did not answer a call."""
        with self._lock:
            self._failures += 1
            self._next_probe = self._now() + self._pause
