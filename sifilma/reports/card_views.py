"""Cards on the web: the list, the page of one card, and reports about its condition."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from sifilma.activation.manifests import revocation
from sifilma.activation.schemas import RevokeIn
from sifilma.cards import condition_reports, queries
from sifilma.cards.derived import queries as derived
from sifilma.cards.identifiers import normalise_uid
from sifilma.cards.label_serializers import card_labels
from sifilma.cards.queries import CardFilter
from sifilma.cards.schemas import ReportIn
from sifilma.destruction import service as destructions
from sifilma.destruction.schemas import DestructionIn
from sifilma.documents import label_sheets, list_views
from sifilma.documents.forms import uploads
from sifilma.documents.rendering import qr_address
from sifilma.documents.responses import attachment, inline_pdf
from sifilma.identity.permissions import Operation, grants
from sifilma.identity.scope import may_reach
from sifilma.kernel.context import Context
from sifilma.kernel.days import read_day
from sifilma.kernel.errors import Forbidden, Invalid, NotFound
from sifilma.kernel.paging import Listing
from sifilma.reports import card_page
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context
from sifilma.web.states import functions

blueprint = Blueprint("card_pages", __name__, url_prefix="/kartu", template_folder="templates")


@blueprint.get("")
@operation("card.view")
def index() -> Response:
    """List the cards the actor may see."""
    ctx, form = context(), Form(request.args)
    choices = {"states": card_page.states(), "functions": functions()}
    return list_views.answer(
        "reports/cards.html", _filtered(form), lambda cards: card_page.lines(ctx, cards), card_page.EXPORT,
        number=_number(form), form=form, choices=choices,
    )  # fmt: skip


@blueprint.get("/label")
@operation("card.view")
def labels() -> Response:
    """Return labels of the chosen cards (`pilih`), else of all that the list's filter finds, in the list's order."""
    ctx, settings, chosen = context(), resources().settings, request.args.getlist("pilih")
    listing = queries.list_chosen_cards(ctx, chosen) if chosen else _filtered(Form(request.args))
    cards = list_views.first(listing, card_page.EXPORT, label_sheets.MOST + 1)
    return inline_pdf(label_sheets.asked_for(ctx, settings, request.args, card_labels(ctx, settings, cards)), label_sheets.NAME)


def _number(form: Form) -> int | None:
    """Return how many cards the list has, where the tally knows: of all states or of one, with no other filter."""
    ctx, state = context(), form.get("state").strip()
    others = any(form.get(name).strip() for name in card_page.EXPORT.filters if name != "state")
    if others or request.args.get("unduh") or state == card_page.TO_DESTROY or not derived.is_tallied(ctx):
        return None
    return sum(int(count) for each, count, _ in derived.by_state(ctx) if state in ("", each))


def _filtered(form: Form) -> Listing[Any]:
    ctx = context()
    state, function, text, holder = (form.get(name).strip()[:100] for name in ("state", "function", "text", "holder"))
    to_destroy = state == card_page.TO_DESTROY
    wanted = CardFilter("" if to_destroy else state, function, text, holder)
    found = queries.list_cards(ctx, wanted, *card_page.NAMING)
    return card_page.list_narrowed(ctx, found, to_destroy=to_destroy, own=bool(form.get("milik")), activated=_day(form))


@blueprint.get("/<string:uid>")
@operation("card.view")
def show(uid: str) -> Response:
    """Show a card with its manifests, its documents and all its steps."""
    return _page(_normal(uid), Form.begun())


def _named(ctx: Context, uid: str) -> str:
    return queries.get_card(ctx, _normal(uid), Operation.CARD_REPORT).uid


REPORT = Question(
    _("Report the card"),
    _("A damaged or locked card is out of use for good. The manifest of a lost one is revoked for good. Open tokens are cancelled."),
    _named,
    "card_pages.show",
    when=lambda form: form.get("condition") in ("damaged", "locked", "lost"),
)


@blueprint.post("/<string:uid>/lapor")
@operation("card.report", question=REPORT)
def report(uid: str) -> AnyResponse:
    """Report a card as damaged, locked, lost or found. If the form says so, propose its destruction in the same act."""
    ctx, form, uid = context(), Form.sent(), _normal(uid)
    with form.attempt(ctx):
        told = form.model(ReportIn)
        condition_reports.report(ctx, resources().files, uid, told, uploads("photos"))
        if form.get("lalu") == "usulkan":
            return seen("destruction_pages.show", "proposed", destruction_id=_propose(ctx, uid, told))
        return seen("card_pages.show", "reported", uid=uid)
    return _page(uid, form)


def _propose(ctx: Context, uid: str, told: ReportIn) -> UUID:
    """Propose to destroy a card that was just reported. Raise Invalid for one that is not broken, Forbidden if the actor may not."""
    if not grants(ctx.actor, Operation.DESTRUCTION_PROPOSE):
        raise Forbidden()
    if told.condition not in ("damaged", "locked"):
        raise Invalid.field("condition", "Only a damaged or locked card can be destroyed.")
    return destructions.propose(ctx, DestructionIn(cards=[uid], cause=told.condition, note=told.note)).id


@blueprint.post("/<string:uid>/usul-cabut")
@operation("manifest.propose")
def propose_revocation(uid: str) -> AnyResponse:
    """Propose to revoke the card's manifest. An approver decides."""
    ctx, form, uid = context(), Form.sent(), _normal(uid)
    with form.attempt(ctx):
        revocation.propose_of_card(ctx, queries.get_card(ctx, uid).id, form.model(RevokeIn).reason)
        return seen("card_pages.show", "proposed", uid=uid)
    return _page(uid, form)


@blueprint.get("/<string:uid>/foto/<int:number>")
@operation("card.view")
def photo(uid: str, number: int) -> Response:
    """Return a photo of a report about the card, by its number (from 1)."""
    ctx = context()
    found = condition_reports.get_photo(ctx, _normal(uid), number)
    return attachment(resources().files.get(ctx.session, found.sha256), found.media_type, found.filename)


def _page(uid: str, form: Form) -> Response:
    ctx = context()
    card = queries.get_card(ctx, uid)
    manifests = card_page.manifests_of(ctx, card, resources().settings.public_url)
    return form.again(
        "reports/card.html",
        card=card_page.lines(ctx, [card])[0],
        unit=card_page.find_unit(ctx, card),
        manifests=manifests,
        sees_manifests=may_reach(ctx.actor, Operation.MANIFEST_VIEW, card.holder_id),
        revocable=card_page.revocable(ctx, card, manifests),
        papers=card_page.papers_of(ctx, card),
        conditions=condition_reports.conditions(ctx, card),
        code=qr_address(";".join(filter(None, (uid, card.unit.hardware_number if card.unit else "")))),
        limits={"photos": condition_reports.MAX_PHOTOS, "bytes": resources().settings.max_upload},
        steps=card_page.steps_of(ctx, card),
        photos=condition_reports.photos_of(ctx, card),
    )


def _day(form: Form) -> date | None:
    """Return the day of activation that the list is filtered by. Raise Invalid if it is none."""
    typed = form.get("aktif").strip()
    try:
        return read_day(typed) if typed else None
    except ValueError as wrong:
        raise Invalid.field("aktif", str(wrong)) from wrong


def _normal(uid: str) -> str:
    try:
        return normalise_uid(uid[:40])
    except ValueError as unreadable:
        raise NotFound() from unreadable
