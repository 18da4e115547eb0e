"""The pages for receipts that differ from their BAST, the paper about them, and what became of missing cards."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from flask import Blueprint, Response
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from sifilma.approvals.decision_views import Decision, add_decisions
from sifilma.cards.identifiers import plain_hex
from sifilma.cards.serializers import cards_out
from sifilma.documents.file_views import paper
from sifilma.documents.responses import PDF
from sifilma.handover import service as handovers
from sifilma.handover.discrepancies import berita_acara, service
from sifilma.handover.discrepancies.queries import get_discrepancy
from sifilma.handover.discrepancies.schemas import LostIn, MissingIn, ReceiptIn
from sifilma.handover.models import Handover
from sifilma.handover.queries import cards_of
from sifilma.handover.views import blueprint as handover_pages
from sifilma.handover.views import handover_page, to_issuer, to_receiver
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import say
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("discrepancy_pages", __name__, url_prefix="/bast")
WHAT, NOTE = "what.", "seen."
"""The beginnings of the fields of a card that was not ticked: `missing` or `damaged`, and what was seen."""
KINDS = ("missing", "damaged")
MOST_TICKED = 200
"""Cards of a BAST up to which the form lists all, to be ticked. Of a longer one those are named that did not come as they should."""


def _is_stated(form: Mapping[str, str]) -> bool:
    return any(name.startswith(WHAT) for name in form)


SHORT = Question(
    _("Receive with a discrepancy"),
    _("What came is yours from here on, and the issuer is told what did not come. A paper states it. A receipt cannot be taken back."),
    to_receiver,
    "discrepancy_pages.form",
    when=_is_stated,
)


@blueprint.get("/<uuid:handover_id>/selisih")
@operation("handover.receive")
def form(handover_id: UUID) -> Response:
    """Show the form for a BAST of which not all cards came as they should."""
    return _form(handover_id, Form.begun())


@blueprint.post("/<uuid:handover_id>/selisih")
@operation("handover.receive", question=SHORT)
def receive(handover_id: UUID) -> AnyResponse:
    """Receive the cards that were ticked or scanned. The others are asked about first: missing or damaged, and what was seen."""
    ctx, sent = context(), Form.sent()
    with sent.attempt(ctx):
        handover = handovers.as_receiver(ctx, handover_id)
        came, rest = _divided(ctx, sent, handover)
        if rest and not _is_stated(sent.values):
            return _form(handover_id, sent, came, rest)
        stated = {
            kind: [{"sam_uid": uid, "note": sent.get(f"{NOTE}{uid}")} for uid in rest if sent.get(f"{WHAT}{uid}", "missing") == kind]
            for kind in KINDS
        }
        data = sent.model(ReceiptIn, received=came, missing=stated["missing"], damaged=stated["damaged"])
        service.receive(ctx, resources().settings, resources().files, handover_id, data)
        return seen("handover_pages.show", "received", handover_id=handover_id)
    return _form(handover_id, sent)


def _divided(ctx: Context, sent: Form, handover: Handover) -> tuple[list[str], list[str]]:
    """Return the UIDs of the cards that came whole, and of the others: by those that were ticked, or of a long BAST by the others alone."""
    cards = [card.uid for card in cards_of(ctx, handover)]
    if len(cards) <= MOST_TICKED:
        came = list(dict.fromkeys(plain_hex(uid) for uid in sent.listed("cards", "cards", "more")))
        return came, [uid for uid in cards if uid not in came]
    others = dict.fromkeys(plain_hex(uid) for uid in sent.get("others").split())
    if not others:
        raise Invalid.field("others", say("Name the cards that did not come, or came damaged."))
    if strange := others.keys() - set(cards):
        raise Invalid.field("others", say("%(uid)s is not on this BAST.", uid=min(strange)))
    return [uid for uid in cards if uid not in others], [uid for uid in cards if uid in others]


@blueprint.get("/<uuid:handover_id>/selisih/dokumen")
@operation("handover.view")
def pdf(handover_id: UUID) -> Response:
    """Return the paper about a discrepancy as a PDF, as it was issued."""
    ctx = context()
    found = get_discrepancy(ctx, handovers.get_handover(ctx, handover_id))
    return paper(berita_acara.stored(ctx, resources().files, found), PDF, berita_acara.filename(found))


def _form(handover_id: UUID, shown: Form, came: list[str] | None = None, rest: list[str] | None = None) -> Response:
    ctx = context()
    handover = handovers.as_receiver(ctx, handover_id)
    handovers.require_open(handover)
    is_long = handover.count > MOST_TICKED
    cards = [] if is_long else cards_out(ctx, cards_of(ctx, handover))
    stated = [name.removeprefix(WHAT) for name in shown.values if name.startswith(WHAT)]
    return shown.again(
        "handover/discrepancy.html", handover=handover, cards=cards, came=[] if is_long else came, rest=rest or stated, what=WHAT,
        note=NOTE,
        kinds=KINDS, is_long=is_long,
    )  # fmt: skip


def _found(ctx: Context, handover_id: UUID, sent: Form) -> None:
    service.found(ctx, handover_id, _missing(sent))


def _send_again(ctx: Context, handover_id: UUID, sent: Form) -> None:
    service.send_again(ctx, resources().settings, resources().files, handover_id, _missing(sent))


def _arrived(ctx: Context, handover_id: UUID, sent: Form) -> None:
    service.arrived(ctx, handover_id, _missing(sent))


def _lost(ctx: Context, handover_id: UUID, sent: Form) -> None:
    service.declare_lost(ctx, handover_id, sent.model(LostIn, cards=sent.values.getlist("cards")))


def _missing(sent: Form) -> MissingIn:
    return sent.model(MissingIn, cards=sent.values.getlist("cards"))


FOUND = Question(
    _("These cards are found"),
    _("They are back with you, in the state that they had before. They can be handed over again."),
    to_issuer,
    "handover_pages.show",
)
LOST = Question(
    _("Declare the cards lost"),
    _("The cards are lost from here on, by the report to the police that you name. The receiver is told."),
    to_issuer,
    "handover_pages.show",
)
ARRIVED = Question(
    _("These cards came after all"),
    _("Your organisation is the holder of these cards from here on. That cannot be taken back."),
    to_receiver,
    "handover_pages.show",
)
add_decisions(
    handover_pages,
    "/<uuid:handover_id>",
    "show",
    handover_page,
    Decision("ditemukan", "handover.issue", _found, "found", question=FOUND),
    Decision("kirim_ulang", "handover.issue", _send_again, "sent_again"),
    Decision("hilang", "handover.issue", _lost, "lost", question=LOST),
    Decision("tiba", "handover.receive", _arrived, "received", question=ARRIVED),
)
