"""Handovers on the web: list, issue, one BAST, its PDF, and the answer of its receiver."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from sifilma.approvals.decision_views import Decision, add_decisions, noted
from sifilma.cards.label_serializers import card_labels
from sifilma.cards.serializers import cards_out, timeline
from sifilma.documents import label_sheets, list_views
from sifilma.documents.file_views import paper
from sifilma.documents.known_people import fill
from sifilma.documents.lists import Export
from sifilma.documents.responses import PDF, inline_pdf
from sifilma.handover import bast, form_choices, print_runs, service
from sifilma.handover.models import HANDOVER, Handover, HandoverKind, HandoverState
from sifilma.handover.queries import cards_of, some_cards
from sifilma.handover.schemas import HandoverIn, PrintIn, PrintListIn
from sifilma.handover.serializers import brief, discrepancy_out
from sifilma.kernel.context import Context
from sifilma.own_files import service as own_files
from sifilma.resources import resources
from sifilma.web import languages
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import day, seen
from sifilma.web.requests import context
from sifilma.web.states import state

blueprint = Blueprint("handover_pages", __name__, url_prefix="/bast", template_folder="templates")
EXPORT = Export(
    "bast",
    {
        _("Number"): lambda handover: handover.number,
        _("Issued"): lambda handover: day(handover.issued_at),
        _("From"): lambda handover: handover.issuer["name"],
        _("To"): lambda handover: handover.receiver["name"],
        _("Cards"): lambda handover: handover.count,
        _("State"): lambda handover: str(state(handover.state).name),
    },
    orders={"nomor": (_("Number"), Handover.number)},
    counted=lambda number, words: ngettext("%(count)s BAST", "%(count)s BASTs", number, count=words),
    filters={"number": "", "state": ""},
)
STATES = [str(name) for name in HandoverState]
MOST_TICKED = 200
"""Cards that a receiver ticks one by one. With more the page says that they are compared with the printed BAST."""
SIGNATORIES = ("issuer_signatory", "receiver_signatory")
"""Groups of the form: who signs for each side."""


@blueprint.get("")
@operation("handover.view")
def index() -> Response:
    """List the handovers that the actor's organisation issued or receives."""
    number = request.args.get("number", "").strip()[:60] or None
    wanted = request.args.get("state", "")
    state, ctx = wanted if wanted in STATES else None, context()
    return list_views.answer(
        "handover/list.html", service.list_handovers(ctx, state, number), lambda rows: map(brief, rows), EXPORT,
        form=Form(request.args), states=STATES, counted=None if state or number else lambda: service.number_seen(ctx),
    )  # fmt: skip


@blueprint.get("/buat")
@operation("handover.issue")
def new() -> Response:
    """Show the form: the receiver is chosen first, then the cards that wait for it. Place and signatories are suggested.

    `permohonan` names a personalisation request: its receiver and its cards are chosen then.
    """
    left = Form.begun()
    if left.values:
        return _form(left)
    form, asked = Form(MultiDict(request.args)), request.args.get("permohonan", type=UUID)
    if asked and (receiver := form_choices.find_receiver(context(), asked)):
        form.values["to"] = str(receiver)
    return _form(form, suggests=True, of=asked)


@blueprint.post("/buat")
@operation("handover.issue")
def issue() -> AnyResponse:
    """Issue a BAST for the cards that were ticked, typed or scanned. A card named twice counts once."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        return issued(ctx, form, form.values.get("to", type=UUID))
    return _form(form)


def issued(ctx: Context, form: Form, receiver_id: UUID | None, kind: HandoverKind = HandoverKind.DELIVERY) -> AnyResponse:
    """Issue the BAST of a form, whose signatories may be people who signed before with this receiver, or with anybody. Return its page."""
    for name, people in form_choices.signed_before(ctx, receiver_id).items():
        fill(form, name, people)
    signing = {name: given for name in SIGNATORIES if (given := form.within(name))}
    cards = form.listed("cards", "cards", "more")
    data = form.model(HandoverIn, lambda known: service.faults(ctx, known), cards=cards, kind=kind, **signing)
    made = service.issue(ctx, resources().settings, resources().files, data)
    return seen("handover_pages.show", "issued", handover_id=made.id)


@blueprint.get("/cetak")
@operation("handover.view")
def together() -> Response:
    """Return the chosen BASTs as one PDF to be printed."""
    ctx, form = context(), Form(MultiDict(request.args))
    chosen = form.model(PrintIn, handovers=form.values.getlist("pilih"))
    data = bast.print_file(ctx, resources().settings, resources().files, service.chosen_handovers(ctx, chosen.handovers))
    return paper(data, PDF, f"cetak-{len(chosen.handovers)}-BAST.pdf")


@blueprint.post("/cetak")
@operation("handover.view")
def print_all() -> AnyResponse:
    """Have the worker write all BASTs of the list, as it is filtered, to be printed."""
    ctx, form = context(), Form.sent()
    wanted = form.model(PrintListIn)
    file = own_files.ask(ctx, print_runs.asked_for(wanted.number, wanted.state, languages.current()))
    return seen("own_file_pages.show", "file_asked", file_id=file.id)


@blueprint.get("/<uuid:handover_id>")
@operation("handover.view")
def show(handover_id: UUID) -> Response:
    """Show one BAST, with what its receiver or issuer can do now."""
    return handover_page(handover_id, Form.begun())


@blueprint.get("/<uuid:handover_id>/dokumen")
@operation("handover.view")
def pdf(handover_id: UUID) -> Response:
    """Return the BAST as a PDF, as it was issued."""
    found = service.get_handover(context(), handover_id)
    data = bast.stored(context(), resources().settings, resources().files, found)
    return paper(data, PDF, bast.filename(found))


@blueprint.get("/<uuid:handover_id>/label")
@operation("handover.view")
def labels(handover_id: UUID) -> Response:
    """Return the labels of all cards of the BAST, in its order."""
    ctx, settings = context(), resources().settings
    cards = cards_of(ctx, service.get_handover(ctx, handover_id))
    return inline_pdf(label_sheets.asked_for(ctx, settings, request.args, card_labels(ctx, settings, cards)), label_sheets.NAME)


def handover_page(handover_id: UUID, form: Form) -> Response:
    """Return the page of one BAST, with what its receiver or issuer can do now, also about cards that did not come."""
    ctx = context()
    handover = service.get_handover(ctx, handover_id, whole=False)
    answers = handover.receiver_id == ctx.actor.organisation_id and HANDOVER.allows(handover.state, HandoverState.RECEIVED)
    cancels = handover.issuer_id == ctx.actor.organisation_id and HANDOVER.allows(handover.state, HandoverState.CANCELLED)
    return form.again(
        "handover/handover.html",
        handover=handover,
        **_cards(ctx, handover, ticked=answers and handover.count <= MOST_TICKED),
        answers=answers,
        cancels=cancels,
        discrepancy=discrepancy_out(ctx, handover),
        steps=timeline(ctx, HANDOVER.kind, handover.id),
    )


def _cards(ctx: Context, handover: Handover, *, ticked: bool) -> dict[str, Any]:
    """Return the cards that the page shows: all of them, to be `ticked` one by one, or a page of them behind the position in the URL."""
    after = 0 if ticked else list_views.position()
    most = MOST_TICKED if ticked else list_views.ROWS_A_PAGE
    cards = some_cards(ctx, handover.id, after, most)
    return {"cards": cards_out(ctx, cards), "ticked": ticked, "next": after + most if after + most < handover.count else None}


def _form(form: Form, *, suggests: bool = False, of: UUID | None = None) -> Response:
    ctx = context()
    receivers = form_choices.receivers(ctx)
    chosen = form_choices.chosen(receivers, form.get("to"))
    lots = form_choices.lots(ctx, chosen.id, of, form.values.getlist("cards")) if chosen else []
    if suggests and chosen:
        form.values.update(form_choices.suggested(ctx, chosen.id))
    if of:
        form.values.setlist("cards", [card.uid for lot in lots if lot.request_id == of for card in lot.cards])
    people = form_choices.signed_before(ctx, chosen.id) if chosen else {}
    return form.again("handover/new.html", people=people, receivers=receivers, chosen=chosen, lots=lots, most=form_choices.MOST_SHOWN)


def _named(found: Handover) -> str:
    """Return what a question calls a BAST."""
    return f"{found.number} · {found.receiver.name}"


def to_receiver(ctx: Context, handover_id: UUID) -> str:
    """Return what a question to the receiver calls a BAST. Raise as the act itself for whoever is not."""
    return _named(service.as_receiver(ctx, handover_id))


def to_issuer(ctx: Context, handover_id: UUID) -> str:
    """Return what a question to the issuer calls a BAST. Raise as the act itself for whoever is not."""
    return _named(service.as_issuer(ctx, handover_id))


RECEIVE = Question(
    _("Receive the cards"),
    _("Your organisation is the holder of the cards from here on. A receipt cannot be taken back."),
    to_receiver,
    "handover_pages.show",
)
REFUSE = Question(
    _("Refuse the BAST"),
    _("The BAST ends here for good, and the cards go back to the issuer, who reads your note."),
    to_receiver,
    "handover_pages.show",
)
CANCEL = Question(
    _("Cancel the BAST"),
    _("The BAST ends here for good, and its number is not used again. The cards stay with you."),
    to_issuer,
    "handover_pages.show",
)
add_decisions(
    blueprint,
    "/<uuid:handover_id>",
    "show",
    handover_page,
    Decision("terima", "handover.receive", noted(service.receive), "received", question=RECEIVE),
    Decision("tolak", "handover.receive", noted(service.refuse), "refused", question=REFUSE),
    Decision("batal", "handover.issue", noted(service.cancel), "cancelled", question=CANCEL),
)
