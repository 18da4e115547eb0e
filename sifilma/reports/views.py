"""The home page, and the list of everything that waits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from flask import Blueprint, render_template, request
from sqlalchemy import literal, select

from manifests.keyset import Use
from sifilma.activation.derived.queries import find_lag, is_tallied
from sifilma.activation.trust import keyset
from sifilma.audit import rounds
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Unavailable
from sifilma.reconciliation import pages as reconciliation
from sifilma.reconciliation.questions import undecided_query
from sifilma.reports import home
from sifilma.reports.first_steps import pages as first_steps
from sifilma.reports.first_steps.views import is_hidden
from sifilma.reports.task_labels import TASKS
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context
from sifilma.web.time_health import find_alarm

blueprint = Blueprint("home", __name__, template_folder="templates")
MOST_PAGES = 1000


@blueprint.get("/")
@operation("session.self", strangers="public_pages.home")
def show() -> str:
    """Show what waits, what is awaited, what expires soon, counts, and first steps. A visitor sees the public home."""
    ctx = context()
    alarm = find_alarm(ctx.session) if ctx.actor.is_central else None
    witness = reconciliation.standing_of(ctx, resources().settings) if ctx.actor.is_central else None
    findings, questions, refused_rows = _to_look_at(ctx)
    ending = _ending_keys(ctx) if ctx.actor.is_central else {}
    told = {
        "ending": ending,
        "alarm": alarm,
        "findings": findings,
        "refused_rows": refused_rows,
        "witness": witness,
        "questions": questions,
    }
    steps = [] if is_hidden() else first_steps.steps(ctx)
    return render_template(
        "reports/home.html",
        home=home.home(ctx, resources().targets),
        most_lapsing=home.MOST_LAPSING,
        tasks=TASKS,
        first_steps=steps,
        lag=find_lag(ctx) if is_tallied(ctx) else None,
        **told,
    )


def _to_look_at(ctx: Context) -> tuple[int, int, int]:
    """Return how many rows were changed, questions wait and rows were refused, by one statement: the last for whoever looks after seals."""
    if not ctx.actor.is_central:
        return 0, 0, 0
    looks_after = ctx.actor.roles & {Role.AUDITOR, Role.USER_ADMIN}
    refused = home.refused_rows_query(ctx) if looks_after else select(literal(0))
    numbers = (rounds.open_findings_query(), undecided_query(), refused)
    findings, questions, refused_rows = ctx.session.execute(select(*(one.scalar_subquery() for one in numbers))).one()
    return findings, questions, refused_rows


def _ending_keys(ctx: Context) -> Mapping[Use, datetime]:
    """Return until when keys sign that end soon, by their use. A keyset that is missing is told where something is signed."""
    try:
        return keyset.load(resources().settings).ending(ctx.now)
    except Unavailable:
        return {}


@blueprint.get("/tugas")
@operation("session.self")
def list_tasks() -> str:
    """List everything that waits for the actor, or with `terlambat` what is late of it, or with `pemegang` by who has it."""
    late, holder = bool(request.args.get("terlambat")), request.args.get("pemegang", "")
    page = min(max(request.args.get("halaman", 1, type=int), 1), MOST_PAGES)
    lines = home.list_tasks(context(), resources().targets, late=late, page=page, holder=holder)
    behind = lines.total > page * home.TASKS_A_PAGE
    return render_template("reports/tasks.html", lines=lines, late=late, page=page, behind=behind, tasks=TASKS, holder=holder)
