"""What the worker does: it issues manifests anew that orders name, some in a transaction.

The outcome of each card is written in the transaction of its manifest, so whatever ends a worker, each card gets one manifest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from config.settings import Settings
from hsm import HSM
from sifilma.activation.carrying import queries, service
from sifilma.activation.carrying.queries import Order
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict

Contexts = Callable[[], AbstractContextManager[Context]]
AT_ONCE = 50
"""Manifests in one call to the HSM and one transaction."""
TURN_SECONDS = 5.0
"""How long one round issues manifests anew."""
log = structlog.get_logger()


def carry(contexts: Contexts, settings: Settings, hsm: HSM, seconds: float = TURN_SECONDS) -> int:
    """Issue manifests anew for about `seconds`, one order after the other. Return how many cards were settled.

    Raise ClockNotTrusted, and HSMError: the next round goes on where this one ended.
    """
    until, settled, after = time.monotonic() + seconds, 0, None
    while time.monotonic() < until:
        with contexts() as ctx:
            ctx.require_trusted_clock()
            ctx.uow.begin_read()
            order = queries.next_order(ctx.session, after)
        if order is None:
            break
        settled += _serve(contexts, settings, hsm, order, until)
        after = order.id
    return settled


def _serve(contexts: Contexts, settings: Settings, hsm: HSM, order: Order, until: float) -> int:
    """Go through the cards of an order that wait, once, and end the order if none is left. What has moved is left for a next round."""
    settled, last = 0, None
    while time.monotonic() < until:
        with contexts() as ctx:
            ctx.uow.begin_read()
            part = queries.waiting_manifests(ctx.session, order.id, last, AT_ONCE)
        if not part:
            break
        settled += _together(contexts, settings, hsm, order, part)
        last = part[-1]
    with contexts() as ctx:
        if service.end(ctx, order.id):
            log.info("manifests_carried", order=str(order.id), key=order.label, **queries.counts(ctx.session, order.id))
    return settled


def _together(contexts: Contexts, settings: Settings, hsm: HSM, order: Order, part: Sequence[UUID]) -> int:
    """Issue a part anew in one transaction; if something in it has moved, each card in one of its own."""
    try:
        with contexts() as ctx:
            ctx.uow.begin_read()
            return service.carry(ctx, settings, hsm, order, part)
    except (Conflict, IntegrityError) as moved:
        if len(part) == 1:
            log.warning("manifest_not_carried", order=str(order.id), manifest=str(part[0]), fault=type(moved).__name__)
            return 0
    return sum(_together(contexts, settings, hsm, order, [one]) for one in part)
