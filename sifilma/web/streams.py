"""Answers whose body is made while it is sent: no more than a part of it lies in memory."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import cast

from flask import Response, request, stream_with_context

from sifilma.kernel import deadline
from sifilma.kernel.errors import Unavailable
from sifilma.resources import resources

RETRY_AFTER = 10  # seconds
_lock = threading.Lock()
_places = {"taken": 0}


class Streamed(Response):
    """An answer of parts that are made after the request's commit, with the request at hand. `Application` calls `begin`.

    What fails before the second part is refused as in any other request. What fails later is raised by the iteration: the server leaves the
    body without its end, so that the client knows that it has a piece only.
    """

    def __init__(self, parts: Generator[bytes, None, None], content_type: str) -> None:
        super().__init__(stream_with_context(parts), content_type=content_type)

    def begin(self) -> None:
        """Make the first two parts. A body that is complete with them is sent like any other, with its length."""
        made = cast("Generator[bytes, None, None]", self.response)
        if request.method == "HEAD":
            made.close()
            self.response = []
            return
        with deadline.suspended():  # an XLSX is written before its first part; `parts` limit their waits themselves
            begun = list(islice(made, 2))
        if len(begun) < 2:
            self.set_data(b"".join(begun))
            return
        self.response = chain(begun, made)
        self.call_on_close(made.close)


@contextmanager
def place() -> Iterator[None]:
    """Hold one of the places for long answers, half as many as there are threads: the others answer short requests meanwhile.

    Raise Unavailable if none is free.
    """
    most = max(1, resources().settings.threads // 2)
    with _lock:
        if _places["taken"] >= most:
            raise Unavailable("Other lists are being written at this moment. Try again in a moment.", type="busy", retry_after=RETRY_AFTER)
        _places["taken"] += 1
    try:
        yield
    finally:
        with _lock:
            _places["taken"] -= 1
