"""Make identifiers that sort by the time they were made."""

from __future__ import annotations

import secrets
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last = 0
# Nanoseconds from 1970 to the start of the machine, by the wall clock as this process found it. A clock that is set ahead for a minute must
# not make ids that sort after everything for years.
_STARTED = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def uuid7() -> UUID:
    """Return a new UUIDv7 (RFC 9562, section 5.7). It is greater than every earlier one of this process.

    It holds 48 bits of Unix milliseconds, which go on evenly when the clock is set, and 74 random bits. Within one millisecond the last
    value is incremented, so that rows made in one act keep their order.
    """
    global _last  # noqa: PLW0603  # one counter a process is the point
    stamp = ((_STARTED + time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // 1_000_000) << 80 | secrets.randbits(74)
    with _lock:
        _last = max(stamp, _last + 1)
        value = _last
    high, low = value >> 80, value & ((1 << 74) - 1)
    return UUID(int=high << 80 | 0x7 << 76 | (low >> 62) << 64 | 0b10 << 62 | low & ((1 << 62) - 1))
