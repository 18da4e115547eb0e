"""The home page."""

from __future__ import annotations

from flask import Blueprint, render_template

from sifilma.audit import rounds
from sifilma.kernel.actor import Role
from sifilma.reports import home
from sifilma.reports.task_labels import TASKS
from sifilma.web.operations import operation
from sifilma.web.requests import context
from sifilma.web.time_health import find_alarm

blueprint = Blueprint("home", __name__, template_folder="templates")


@blueprint.get("/")
@operation("session.self", strangers="public_pages.home")
def show() -> str:
    """Show what waits, what is awaited, what expires soon, and counts. A visitor sees the public home."""
    ctx = context()
    alarm = find_alarm(ctx.session) if ctx.actor.is_central else None
    findings = rounds.open_findings(ctx.session) if ctx.actor.is_central else 0
    refused_rows = home.refused_rows(ctx) if ctx.actor.roles & {Role.AUDITOR, Role.USER_ADMIN} else 0
    told = {"alarm": alarm, "findings": findings, "refused_rows": refused_rows}
    return render_template("reports/home.html", home=home.home(ctx), tasks=TASKS, **told)
