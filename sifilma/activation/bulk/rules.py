"""What many activations are checked for together: the same as a single one, read in one statement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from hsm import HSM
from sifilma.activation.issuing import service
from sifilma.activation.issuing.rules import placed_all, require_admitted
from sifilma.activation.issuing.service import Ready
from sifilma.activation.issuing.statements import READ_SET, goes_by_sets
from sifilma.activation.schemas import ActivationIn
from sifilma.activation.tokens import sealing
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Invalid, NotFound
from sifilma.regions import codes
from sifilma.regions.place import PlaceCheck

T = TypeVar("T")
Refusal = Invalid | Conflict | NotFound
_REFUSALS = (Invalid, Conflict, NotFound)
Coded = tuple[ActivationIn, str]


def check_all(
    ctx: Context, hsm: HSM, places: PlaceCheck, given: Sequence[ActivationIn], in_time: Callable[[], bool]
) -> list[Ready | Refusal]:
    """Return each activation as it is ready, or the refusal that `service.check` raises for it. End the reading transaction.

    They are about different cards and machines: each is checked as if it came first. When it is no longer `in_time`, the list ends, after
    the first at the earliest. Raise what is no row's own, such as an outage.
    """
    ctx.uow.begin_read()
    if not goes_by_sets(ctx.session):
        return _while(in_time, (partial(_alone, ctx, hsm, places, one) for one in given))
    ctx.require_trusted_clock()
    stated = [_coded(one) if isinstance(one, ActivationIn) else one for one in placed_all(ctx, given)]
    found = _admitted(ctx, stated)
    lacking = next((row for row in found if not isinstance(row, Refusal) and row.data_key_sealed is None), None)
    if lacking is not None:  # the organisation's first manifest of the month
        sealing.ensure_key(ctx, hsm, lacking.holder_id)
        ctx.uow.begin_read()
        found = _admitted(ctx, stated)
    ctx.uow.end_read()
    return _while(in_time, (partial(_made_ready, places, one, row) for one, row in zip(stated, found, strict=True)))


def _while(in_time: Callable[[], bool], acts: Iterable[Callable[[], Ready | Refusal]]) -> list[Ready | Refusal]:
    done = list[Ready | Refusal]()
    for act in acts:
        if done and not in_time():
            break
        done.append(_or_refusal(act))
    return done


def _made_ready(places: PlaceCheck, one: Coded | Refusal, row: Any) -> Ready | Refusal:
    if isinstance(one, Refusal):
        return one
    return row if isinstance(row, Refusal) else service.made_ready(places, *one, row)


def _alone(ctx: Context, hsm: HSM, places: PlaceCheck, given: ActivationIn) -> Ready:
    ctx.uow.begin_read()
    return service.check(ctx, hsm, places, given)


def _coded(given: ActivationIn) -> Coded | Refusal:
    return _or_refusal(lambda: (given, codes.normalise(given.region_code)))


def _admitted(ctx: Context, stated: Sequence[Coded | Refusal]) -> list[Any]:
    """Return the row of each, or its refusal."""
    sound = [one for one in stated if not isinstance(one, Refusal)]
    asked = [service.asked_for(*one) for one in sound]
    rows = iter(READ_SET.read(ctx.session, asked, service.asked_by(ctx)) if asked else [])
    return [one if isinstance(one, Refusal) else _or_refusal(partial(_admit, ctx, next(rows), one[1])) for one in stated]


def _admit(ctx: Context, row: Any, code: str) -> Any:
    require_admitted(ctx, row, code)
    return row


def _or_refusal(act: Callable[[], T]) -> T | Refusal:
    try:
        return act()
    except _REFUSALS as refused:
        return refused
