"""One delivery round of the worker: it sends the messages that are due, each in transactions of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from config.settings import Settings
from sifilma.kernel.context import Context
from sifilma.notifications import outbox
from sifilma.notifications.models import Delivery
from sifilma.notifications.senders import senders

ROUND_SECONDS = 10.0
Open = Callable[[], AbstractContextManager[Context]]


def deliver(open_context: Open, settings: Settings, *, seconds: float = ROUND_SECONDS) -> int:
    """Send what is due and return how many messages were sent.

    A failing sender delays only its own messages. A slow one ends the round after `seconds`, since the worker has other work to do. Each
    message is taken just before it is sent, so the rest of the round stays free for the next one, or for another worker.
    """
    ways, until = senders(settings), time.monotonic() + seconds
    with open_context() as ctx:
        waiting = outbox.due(ctx)
    sent = 0
    for message_id in waiting:
        if time.monotonic() >= until:
            break
        with open_context() as ctx:
            taken = outbox.take(ctx, message_id)
        if taken:
            with open_context() as ctx:
                sent += outbox.send(ctx, settings, ways, message_id) is Delivery.SENT
    return sent
