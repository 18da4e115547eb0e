"""The ledger of blank SAMs on the web: counts and deliveries, one delivery, and issuing blanks to personalisation."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from sifilma.cards.serializers import timeline
from sifilma.documents import list_views, lists
from sifilma.documents.forms import upload
from sifilma.documents.lists import Export
from sifilma.kernel.context import Context
from sifilma.personalisation.blanks import import_table, service
from sifilma.personalisation.blanks.import_table import Given
from sifilma.personalisation.blanks.models import BLANK_DELIVERY, BlankDelivery, DeliveryState
from sifilma.personalisation.blanks.queries import get_delivery, list_deliveries, stock
from sifilma.personalisation.blanks.schemas import BlankDeliveryIn, BlankIssueIn, BlankReturnIn
from sifilma.personalisation.blanks.serializers import deliveries_out, full
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context
from sifilma.web.states import named, state
from sifilma.web.texts import translate

blueprint = Blueprint("blank_pages", __name__, url_prefix="/sam-kosong", template_folder="../templates")
MOST_REQUESTS = 200
WORDS = {
    "stocked": _("In the store"),
    "issued": _("Issued to personalisation"),
    "personalised": _("Personalised"),
    "failed": _("Failed"),
    "withdrawn": _("Withdrawn"),
}
"""The words of the states of blanks: `issued` and `failed` mean something else elsewhere."""
EXPORT = Export(
    "sam-kosong",
    {
        _("Delivered on"): lambda one: one.delivered_on.isoformat(),
        _("Number of the delivery note"): lambda one: one.number,
        _("Supplier"): lambda one: one.supplier,
        _("Blank SAMs"): lambda one: one.count,
        _("In the store"): lambda one: one.counts.get("stocked", 0),
        _("Issued to personalisation"): lambda one: one.counts.get("issued", 0),
        _("Personalised"): lambda one: one.counts.get("personalised", 0),
        _("Failed"): lambda one: one.counts.get("failed", 0),
        _("Withdrawn"): lambda one: one.counts.get("withdrawn", 0),
        _("State"): lambda one: str(state(one.state).name),
    },
    orders={"tanggal": (_("Delivered on"), BlankDelivery.delivered_on)},
    counted=lambda number, words: ngettext("%(count)s delivery", "%(count)s deliveries", number, count=words),
    filters={"q": "", "state": ""},
)


@blueprint.get("")
@operation("blank.see")
def index() -> Response:
    """Show the counts of the ledger, and list the deliveries."""
    ctx, form = context(), Form(request.args)
    listing = list_deliveries(form.get("state")[:20] or None, part=form.get("q").strip()[:100])
    counts = stock(ctx, resources().settings.blank_low_stock)
    return list_views.answer(
        "personalisation/blanks.html",
        listing,
        lambda rows: deliveries_out(ctx, rows),
        EXPORT,
        form=form,
        states=named(DeliveryState),
        stock=counts,
    )


@blueprint.get("/baru")
@operation("blank.record")
def new() -> Response:
    """Show the form of a delivery."""
    return _form(Form.begun())


@blueprint.get("/templat.<kind>")
@operation("blank.record")
def template(kind: str) -> Response:
    """Return an empty table for the UIDs of a delivery."""
    return lists.form_table(kind, "sam-kosong", import_table.template(), translate)


@blueprint.post("/baru")
@operation("blank.record")
def record() -> AnyResponse:
    """Record a delivery, with its UIDs typed or in a file."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        file = upload("file")
        data = form.model(BlankDeliveryIn, cards=form.listed("cards", "cards", "uids"))
        given = import_table.read_blanks(ctx, file) if file else Given(dict(enumerate(data.cards, start=1)))
        made = service.deliver(ctx, data, given)
        form.settle(ctx)
        return seen("blank_pages.show", "recorded", delivery_id=made.id)
    return _form(form)


@blueprint.get("/keluarkan")
@operation("blank.record")
def issue_form() -> Response:
    """Show the form that issues blanks to personalisation, and takes them back."""
    return _issue(Form.begun())


@blueprint.post("/keluarkan")
@operation("blank.record")
def issue() -> AnyResponse:
    """Issue blanks for a request."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        data = form.model(BlankIssueIn, cards=form.listed("cards", "cards", "uids"))
        service.issue(ctx, resources().settings.blank_low_stock, data)
        return seen("blank_pages.index", "blanks_issued")
    return _issue(form)


@blueprint.post("/kembali")
@operation("blank.record")
def take_back() -> AnyResponse:
    """Return issued blanks to the store."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        service.take_back(ctx, form.model(BlankReturnIn, cards=form.listed("cards", "cards", "uids")))
        return seen("blank_pages.index", "blanks_returned")
    return _issue(form)


@blueprint.get("/<uuid:delivery_id>")
@operation("blank.see")
def show(delivery_id: UUID) -> Response:
    """Show a delivery with its blanks."""
    return _page(delivery_id, Form.begun())


def _note(ctx: Context, delivery_id: UUID) -> str:
    return get_delivery(ctx, delivery_id).number


CANCEL = Question(
    _("Cancel the delivery"),
    _("Its blanks leave the ledger for good. They can be recorded again with another delivery."),
    _note,
    "blank_pages.show",
)


@blueprint.post("/<uuid:delivery_id>/batalkan")
@operation("blank.record", question=CANCEL)
def cancel(delivery_id: UUID) -> AnyResponse:
    """Cancel a delivery that was recorded wrongly."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        service.cancel(ctx, delivery_id, form.get("note"))
        return seen("blank_pages.show", "cancelled", delivery_id=delivery_id)
    return _page(delivery_id, form)


def _page(delivery_id: UUID, form: Form) -> Response:
    ctx = context()
    found = get_delivery(ctx, delivery_id)
    one = full(ctx, found)
    untouched = set(one.counts) == {"stocked"}
    return form.again(
        "personalisation/blank_delivery.html", one=one, words=WORDS, cancels=untouched, steps=timeline(ctx, BLANK_DELIVERY.kind, found.id)
    )


def _form(form: Form) -> Response:
    return form.again("personalisation/blank_form.html", columns=import_table.BLANKS)


def _issue(form: Form) -> Response:
    ctx = context()
    making = select(PersonalisationRequest).where(PersonalisationRequest.state.in_(service.MAKING))
    found = ctx.session.scalars(making.order_by(PersonalisationRequest.id).limit(MOST_REQUESTS))
    choices = [(str(one.id), f"{one.letter_number} · {one.requester.name}") for one in found]
    return form.again("personalisation/blank_issue.html", requests=choices, stock=stock(ctx, resources().settings.blank_low_stock))
