"""The moment by which the present request must be answered. It is kept per thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_state = threading.local()


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Limit all waits in the block to `seconds` from now. A nested limit can shorten the outer one, but not extend it."""
    before: float | None = getattr(_state, "until", None)
    until = time.monotonic() + seconds
    _state.until = until if before is None else min(before, until)
    try:
        yield
    finally:
        _state.until = before


def remaining() -> float | None:
    """Return the seconds left (never below 0), or None where no limit is set."""
    until: float | None = getattr(_state, "until", None)
    return None if until is None else max(0.0, until - time.monotonic())
