"""One activation of a card at a time within a process, so that a wrong token is counted before the next one is compared."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from sifilma.kernel.errors import Conflict

_lock = threading.Lock()
_under_way: set[Hashable] = set()


@contextmanager
def one_at_a_time(card: Hashable) -> Iterator[None]:
    """Hold the card for the duration of the block. Raise Conflict, at once, if another thread of this process holds it.

    A slot in the database, as passwords have it, would cost every activation a commit. Here each process of the server may compare one
    token beyond the fifth.
    """
    with _lock:
        if card in _under_way:
            raise Conflict("Another activation of this card is under way.", type="activation-under-way")
        _under_way.add(card)
    try:
        yield
    finally:
        with _lock:
            _under_way.discard(card)
