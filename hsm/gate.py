"""A gate that every call passes. A restart or a fork closes it and waits until no call is inside."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hsm.errors import HSMUnavailable


class Gate:
    """Counts the calls inside the library.

    C_Finalize crashes SoftHSM while another thread signs (5 of 5 trials), so a restart waits until the count is zero.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._shut = False

    @contextmanager
    def entered(self, timeout: float) -> Iterator[None]:
        """Hold a place inside for the duration of the block. Raise HSMUnavailable if the gate stays closed for `timeout` seconds."""
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
        """Close the gate and wait until no call is inside. Return False, with the gate open again, after `timeout` seconds."""
        until = time.monotonic() + timeout
        with self._condition:
            # Another thread may be restarting: wait for it first. Both waits share one time limit.
            if not self._condition.wait_for(lambda: not self._shut, timeout):
                return False
            self._shut = True
            if self._condition.wait_for(lambda: self._inside == 0, max(0.0, until - time.monotonic())):
                return True
            self._shut = False
            self._condition.notify_all()
            return False

    def open(self) -> None:
        """Open the gate and wake the callers that wait."""
        with self._condition:
            self._shut = False
            self._condition.notify_all()
