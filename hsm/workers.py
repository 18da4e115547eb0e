"""Run calls into the library on worker threads, so that a caller gets an answer even when the HSM hangs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from hsm.errors import HSMUnavailable

T = TypeVar("T")
MAX_LOST = 16  # threads that hang in the library for good; each holds its stack and perhaps a mutex of the library


class _Call(Generic[T]):
    __slots__ = ("abandoned", "done", "ended", "error", "function", "result", "running")

    def __init__(self, function: Callable[[], T]) -> None:
        self.function = function
        # Held until the worker releases it: the caller waits for the end of the call by acquiring it.
        self.done = threading.Lock()
        self.done.acquire()
        self.result: T | None = None
        self.error: BaseException | None = None
        self.running = self.ended = self.abandoned = False


class Workers:
    """Up to `size` daemon threads. Each of the first calls starts one.

    A thread whose call times out is given up and replaced. After MAX_LOST such threads every call is refused.
    """

    def __init__(self, size: int = 4) -> None:
        self._size = size
        self._queue: queue.SimpleQueue[_Call[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._lost = 0

    @property
    def lost(self) -> int:
        """Return how many threads were given up and have not come back."""
        return self._lost

    def run(self, function: Callable[[], T], timeout: float) -> T:
        """Return what `function` returns, or raise what it raises. Raise HSMUnavailable after `timeout` seconds without an answer."""
        if self._lost >= MAX_LOST:
            raise HSMUnavailable("too many HSM calls hang; this process must be restarted", 30.0)
        call = _Call(function)
        self._need_thread()
        self._queue.put(call)
        # The call may end between the time-out and _abandon: then its result counts.
        if not call.done.acquire(timeout=timeout) and self._abandon(call):
            raise HSMUnavailable(f"the HSM did not answer within {timeout:g} s")
        if call.error is not None:
            raise call.error
        return call.result  # type: ignore[return-value]  # set by the worker, and T may itself be None

    def stop(self) -> None:
        """End the idle threads, when the process or a test ends."""
        for _ in range(self._started):
            self._queue.put(None)

    def _abandon(self, call: _Call[Any]) -> bool:
        """Give a call up, together with the thread that runs it. Return False if the call ended at this moment."""
        with self._lock:
            if call.ended:
                return False
            call.abandoned = True
            if call.running:
                self._lost += 1
                self._started -= 1  # the next call starts a replacement
            return True

    def _need_thread(self) -> None:
        """Start one more thread while there are fewer than `size`. Raise HSMUnavailable if there is none and none can be started."""
        # Read without the lock: after the first calls all threads run, and every call passes here.
        if self._started >= self._size:
            return
        with self._lock:
            if self._started < self._size:
                # A daemon, because a thread that hangs in the library must not keep the process from ending.
                thread = threading.Thread(target=self._work, name="hsm", daemon=True)
                try:
                    thread.start()
                except RuntimeError as none:  # no memory or no thread is left; a later call tries again
                    if not self._started:
                        raise HSMUnavailable("no thread can be started for the HSM", 5.0) from none
                    return
                self._started += 1  # counted only once it runs: it would stay counted for ever

    def _work(self) -> None:
        while (call := self._queue.get()) is not None:
            if not self._begin(call):
                continue
            try:
                call.result = call.function()
            except BaseException as error:  # noqa: BLE001  # the caller's thread raises it, whatever it is
                call.error = error
            if not self._end(call):
                return

    def _begin(self, call: _Call[Any]) -> bool:
        """Mark the call as running. Return False if its caller gave it up while it waited in the queue."""
        with self._lock:
            call.running = not call.abandoned
            return call.running

    def _end(self, call: _Call[Any]) -> bool:
        """Mark the call as ended and wake its caller. Return False if this thread was given up and replaced: it must end."""
        with self._lock:
            call.ended = True
            if call.abandoned:
                self._lost -= 1  # the thread came back after all
        call.done.release()
        return not call.abandoned
