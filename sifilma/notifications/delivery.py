"""One round of the worker: whatever is due leaves, each message in transactions of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from config.settings import Settings
from sifilma.kernel.context import Context
from sifilma.notifications import outbox
from sifilma.notifications.models import Delivery
from sifilma.notifications.senders import senders

Open = Callable[[], AbstractContextManager[Context]]


def deliver(open_context: Open, settings: Settings) -> int:
    """Send what is due; how many left. A failing sender holds up nothing but its own messages."""
    ways = senders(settings)
    with open_context() as ctx:
        taken = [message.id for message in outbox.take_due(ctx)]
    sent = 0
    for message_id in taken:
        with open_context() as ctx:
            sent += outbox.send(ctx, settings, ways, message_id) is Delivery.SENT
    return sent
