"""The moment by which the present request must be answered. It is kept per thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_state = threading.local()
FEW_ROWS = 500
"""Rows for which every request has the time."""
ROW_SECONDS = 0.01
"""What a row beyond those may take: some ten times what it costs, since other requests work beside it."""


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


def allow_for(rows: int) -> None:
    """Let a request that is one act about so many rows take longer by what they may cost. Nothing changes where no limit is set.

    Each statement keeps its own limit, so what stands still is given up as soon as before.
    """
    before: float | None = getattr(_state, "until", None)
    if before is not None:
        _state.until = before + ROW_SECONDS * max(0, rows - FEW_ROWS)


class Allowance:
    """Time of its own for work that goes on in steps when the request's deadline has passed, such as a file of many rows."""

    def __init__(self, seconds: float, step: float) -> None:
        """Allow `seconds` from now for the whole, and `step` seconds for the waits of each step, one that ends the work included."""
        self._until, self._step = time.monotonic() + seconds, step

    @property
    def is_over(self) -> bool:
        """Return whether the time for the whole has passed."""
        return time.monotonic() >= self._until

    @contextmanager
    def step(self) -> Iterator[None]:
        """Limit all waits in the block to the seconds of a step, in place of any other limit."""
        before: float | None = getattr(_state, "until", None)
        _state.until = time.monotonic() + self._step
        try:
            yield
        finally:
            _state.until = before


@contextmanager
def suspended() -> Iterator[None]:
    """Stop the clock of the limit for the block, which limits its waits by itself (`Allowance`)."""
    before: float | None = getattr(_state, "until", None)
    began = time.monotonic()
    _state.until = None
    try:
        yield
    finally:
        _state.until = None if before is None else before + time.monotonic() - began


def remaining() -> float | None:
    """Return the seconds left (never below 0), or None where no limit is set."""
    until: float | None = getattr(_state, "until", None)
    return None if until is None else max(0.0, until - time.monotonic())
