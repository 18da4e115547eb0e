"""What the page of statistics shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date

from flask_babel import lazy_gettext as _

from sifilma.documents.indonesian import zone_of
from sifilma.kernel.context import Context
from sifilma.kernel.timekeeping.targets import Targets
from sifilma.reports import reader_locations
from sifilma.reports.reader_locations import PlaceFilter
from sifilma.reports.statistics import queries

STAGES = {
    "approval": _("Approval of the letter"),
    "personalisation": _("Personalisation"),
    "bast": _("Handover (BAST)"),
    "activation": _("Activation, with its request"),
    "all": _("From letter to manifest"),
}
"""What the stages are called. The stages with a service target of their own are `approval` and `personalisation`."""
MEDIAN, NINETY = 50, 90


@dataclass(frozen=True)
class Stage:
    """How long a stage took: of `cards` cards half took at most `median` working days, and nine in ten at most `ninety`.

    `target` is the service target in working days, None where there is none.
    """

    name: str
    cards: int
    median: int
    ninety: int
    target: int | None


@dataclass(frozen=True)
class Statistics:
    """Active cards by province and model, activations by month, and the times of the stages. Each pair is a name or day and a count."""

    provinces: list[tuple[str, int]]
    models: list[tuple[str, int]]
    months: list[tuple[date, int]]
    stages: list[Stage]


def statistics(ctx: Context, targets: Targets) -> Statistics:
    """Return the statistics of what the actor sees, in a fixed number of statements."""
    times = queries.times(ctx, targets)
    return Statistics(
        provinces=[(count.name, count.total) for count in reader_locations.counts(ctx, PlaceFilter())],
        models=queries.active_by_model(ctx),
        months=queries.activations_by_month(ctx, zone_of(ctx.actor.region_code)),
        stages=[
            Stage(name, took.total(), at_most(took, MEDIAN), at_most(took, NINETY), targets.days.get(name))
            for name, took in times.items()
            if took
        ],
    )


def at_most(took: Counter[int], percent: int) -> int:
    """Return the least number of days that at least so many per cent of the cards did not exceed. There is at least one card."""
    left = -(-took.total() * percent // 100)
    for days in sorted(took):
        left -= took[days]
        if left <= 0:
            return days
    raise AssertionError("a share of more than all")
