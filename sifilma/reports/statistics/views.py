"""The page of statistics."""

from __future__ import annotations

from flask import Blueprint, render_template

from sifilma.reports.statistics import pages
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

blueprint = Blueprint("statistics_pages", __name__, url_prefix="/statistik", template_folder="../templates")


@blueprint.get("")
@operation("card.view")
def show() -> str:
    """Show cards by province and model, activations by month, and the time that cards take from letter to manifest."""
    found = pages.statistics(context(), resources().targets)
    return render_template("reports/statistics.html", found=found, stages=pages.STAGES)
