"""The page of statistics."""

from __future__ import annotations

from flask import Blueprint, render_template

from sifilma.activation.derived.queries import find_lag, is_tallied
from sifilma.reports.statistics import pages
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

blueprint = Blueprint("statistics_pages", __name__, url_prefix="/statistik", template_folder="../templates")


@blueprint.get("")
@operation("card.view")
def show() -> str:
    """Show cards by province and model, activations by month, and the time that cards take from letter to manifest."""
    ctx = context()
    found, lag = pages.statistics(ctx, resources().targets), find_lag(ctx) if is_tallied(ctx) else None
    return render_template("reports/statistics.html", found=found, stages=pages.STAGES, lag=lag)
