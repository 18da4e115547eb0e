"""Reports of programs on cards, on the web: a person confirms or withdraws each."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response
from flask_babel import lazy_gettext as _

from sifilma.approvals.decision_views import Decision, add_decisions, noted
from sifilma.cards import program_reports
from sifilma.cards.models import CARD_REPORT, Card, CardSuspension
from sifilma.cards.serializers import reports_out, timeline
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.requests import context

blueprint = Blueprint("card_report_pages", __name__, url_prefix="/kartu/laporan", template_folder="templates")


@blueprint.get("/<uuid:report_id>")
@operation("card.view")
def show(report_id: UUID) -> Response:
    """Show what a program reported, and what becomes of the card either way."""
    return _page(report_id, Form.begun())


def _named(ctx: Context, report_id: UUID) -> str:
    return ctx.session.get_one(Card, program_reports.get_report(ctx, report_id, Operation.CARD_REPORT_DECIDE).card_id).uid


CONFIRM = Question(
    _("Confirm the report"),
    _("The card is out of use for good, and its manifest is revoked."),
    _named,
    "card_report_pages.show",
)
WITHDRAW = Question(
    _("Withdraw the report"),
    _("The report ends here for good, and the card is as it was before."),
    _named,
    "card_report_pages.show",
)


def _page(report_id: UUID, form: Form) -> Response:
    ctx = context()
    found = program_reports.get_report(ctx, report_id)
    return form.again(
        "cards/report.html",
        report=reports_out(ctx, [found])[0],
        card=ctx.session.get_one(Card, found.card_id),
        program=program_reports.program_of(ctx, found),
        former=ctx.session.get_one(CardSuspension, found.suspension_id).former_state,
        decides=found.state == "pending" and program_reports.may_decide(ctx, found),
        steps=timeline(ctx, CARD_REPORT.kind, found.id),
    )


add_decisions(
    blueprint,
    "/<uuid:report_id>",
    "show",
    _page,
    Decision("sahkan", "card.report.decide", noted(program_reports.confirm), "report_confirmed", question=CONFIRM),
    Decision("tarik", "card.report.decide", noted(program_reports.withdraw), "report_withdrawn", question=WITHDRAW),
)
