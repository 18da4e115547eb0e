"""Destruction on the web: propose, decide, record with witnesses and photos, verify."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from sifilma.approvals.decision_views import Decision, add_decisions, bound, noted
from sifilma.cards.serializers import cards_out, timeline
from sifilma.destruction import berita_acara, form_choices, serializers, service
from sifilma.destruction.forms import record_of, rows_shown
from sifilma.destruction.models import DESTRUCTION, Destruction, DestructionState
from sifilma.destruction.queries import cards_of, officials_before, photos_of, witnesses_before
from sifilma.destruction.schemas import DestructionIn
from sifilma.documents import list_views
from sifilma.documents.file_views import paper
from sifilma.documents.forms import uploads
from sifilma.documents.indonesian import zone_of
from sifilma.documents.known_people import fill
from sifilma.documents.letterhead import seat
from sifilma.documents.lists import Export
from sifilma.documents.responses import PDF, attachment
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import moment, seen
from sifilma.web.requests import context
from sifilma.web.states import named, state

blueprint = Blueprint("destruction_pages", __name__, url_prefix="/pemusnahan", template_folder="templates")
EXPORT = Export(
    "pemusnahan",
    {
        _("Number of the Berita Acara"): lambda one: one.number or "",
        _("State"): lambda one: str(state(one.state).name),
        _("Organisation"): lambda one: one.organisation.name,
        _("Cause"): lambda one: str(state(one.cause).name),
        _("Cards"): lambda one: len(one.cards),
        _("Proposed"): lambda one: moment(one.created_at),
        _("Carried out"): lambda one: moment(one.executed_at) if one.executed_at else "",
    },
    counted=lambda number, words: ngettext("%(count)s destruction", "%(count)s destructions", number, count=words),
    filters={"text": "", "state": "", "cause": "", "pemegang": ""},
)

METHODS = (
    "cip dipotong menjadi dua",
    "cip dilubangi dengan bor",
    "kartu dicacah dengan mesin penghancur",
    "kartu dan cip dibakar sampai habis",
)
"""How cards are usually destroyed; it is printed on a paper in Indonesian."""


@blueprint.get("")
@operation("destruction.view")
def index() -> Response:
    """List the destructions the actor may see."""
    form = Form(request.args)
    listing = service.list_destructions(context(), *(form.get(name).strip()[:60] for name in ("state", "cause", "text", "pemegang")))
    states, causes = named(DestructionState), named(form_choices.CAUSES)
    return list_views.answer("destruction/destructions.html", listing, lambda rows: rows, EXPORT, form=form, states=states, causes=causes)


@blueprint.get("/usul")
@operation("destruction.propose")
def new() -> Response:
    """Show the form of a proposal, with the cards that can be named. With `semua` all cards of the lot are chosen."""
    form = Form.begun()
    return _proposal(form) if form.values else _proposal(Form(MultiDict(request.args)), all_chosen="semua" in request.args)


@blueprint.post("/usul")
@operation("destruction.propose")
def propose() -> AnyResponse:
    """Propose a destruction."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        made = service.propose(ctx, form.model(DestructionIn, cards=form.listed("cards", "cards", "more")))
        return seen("destruction_pages.show", "proposed", destruction_id=made.id)
    return _proposal(form)


def _proposal(form: Form, *, all_chosen: bool = False) -> Response:
    ctx = context()
    lots = form_choices.lots(ctx)
    lot = form_choices.chosen(lots, form.get("lot"))
    cards = form_choices.cards_in(ctx, lot) if lot else []
    if all_chosen:
        form.values.setlist("cards", [card.uid for card in cards])
    return form.again("destruction/propose.html", lots=lots, lot=lot, cards=cards)


@blueprint.get("/<uuid:destruction_id>")
@operation("destruction.view")
def show(destruction_id: UUID) -> Response:
    """Show a destruction: its cards, its approvals, its Berita Acara."""
    return _page(destruction_id, Form.begun())


def _page(destruction_id: UUID, form: Form) -> Response:
    ctx = context()
    found = service.get_destruction(ctx, destruction_id)
    return form.again(
        "destruction/destruction.html",
        found=found,
        cards=cards_out(ctx, cards_of(ctx, found)),
        people=serializers.people(ctx, found),
        offered=serializers.offered(ctx, found),
        steps=timeline(ctx, DESTRUCTION.kind, found.id),
    )


def _named(ctx: Context, destruction_id: UUID, operation: Operation = Operation.DESTRUCTION_VIEW) -> str:
    found = service.get_destruction(ctx, destruction_id, operation)
    return f"{found.organisation.name} · {', '.join(card.uid for card in cards_of(ctx, found)[:5])}"


REJECT = Question(
    _("Reject the destruction for good"),
    _("The proposal ends here for good, and its proposer reads your note."),
    _named,
    "destruction_pages.show",
)
CANCEL = Question(
    _("Take back the destruction"),
    _("The proposal ends here for good. The cards can be proposed again."),
    lambda ctx, destruction_id: _named(ctx, destruction_id, Operation.DESTRUCTION_PROPOSE),
    "destruction_pages.show",
)
RECORD = Question(
    _("Record the destruction"),
    _("The cards count as destroyed from here on, and the Berita Acara is issued. This cannot be undone."),
    lambda ctx, destruction_id: _named(ctx, service.get_recordable(ctx, destruction_id).id),
    "destruction_pages.write",
)
add_decisions(
    blueprint,
    "/<uuid:destruction_id>",
    "show",
    _page,
    Decision("setujui", "destruction.approve", bound(service.approve), "approved"),
    Decision("tolak", "destruction.approve", noted(service.reject), "rejected", question=REJECT),
    Decision("batal", "destruction.propose", noted(service.cancel), "cancelled", question=CANCEL),
    Decision("verifikasi", "destruction.verify", noted(service.verify), "verified"),
)


@blueprint.get("/<uuid:destruction_id>/rekam")
@operation("destruction.view")
def write(destruction_id: UUID) -> Response:
    """Show the form of the Berita Acara. Sending it needs a fresh one-time code, looking at it does not, hence the other operation."""
    return _record(destruction_id, Form.begun())


@blueprint.post("/<uuid:destruction_id>/rekam")
@operation("destruction.record", question=RECORD)
def record(destruction_id: UUID) -> AnyResponse:
    """Record the Berita Acara, which destroys the cards."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        _fill_known(ctx, form)
        found = service.get_recordable(ctx, destruction_id)
        photos = uploads("photos")
        also = lambda known: service.record_faults(ctx, resources().settings, found, known, photos)  # noqa: E731
        data = record_of(form, zone_of(ctx.actor.region_code), also)
        service.record_execution(ctx, resources().settings, resources().files, destruction_id, data, photos)
        return seen("destruction_pages.show", "recorded", destruction_id=destruction_id)
    return _record(destruction_id, form)


def _begin(ctx: Context, form: Form, found: Destruction) -> None:
    """Fill in the holder's own place and the present moment there."""
    place = " ".join(found.organisation.address.split()) or seat(ctx.session, found.organisation)
    moment = ctx.now.astimezone(zone_of(ctx.actor.region_code)).strftime("%Y-%m-%dT%H:%M:%S")
    form.values.update({"place": f"{found.organisation.name}, {place}"[:500], "executed_at": moment})


def _fill_known(ctx: Context, form: Form) -> None:
    """Fill in the people who were chosen from earlier papers."""
    fill(form, "official", officials_before(ctx))
    witnesses = witnesses_before(ctx)
    for number in range(rows_shown(form)):
        fill(form, f"witnesses.{number}", witnesses)


def _record(destruction_id: UUID, form: Form) -> Response:
    ctx, settings = context(), resources().settings
    found = service.get_recordable(ctx, destruction_id)
    if not form.values:
        _begin(ctx, form, found)
    cards = cards_out(ctx, cards_of(ctx, found))
    limits = {"photos": service.MAX_PHOTOS, "bytes": settings.max_upload, "witnesses": settings.witnesses_min}
    people = {"officials": officials_before(ctx), "witnesses": witnesses_before(ctx), "methods": METHODS}
    return form.again("destruction/record.html", people=people, found=found, cards=cards, rows=rows_shown(form), limits=limits)


@blueprint.get("/<uuid:destruction_id>/berita-acara")
@operation("destruction.view")
def pdf(destruction_id: UUID) -> Response:
    """Return the Berita Acara as a PDF, as it was issued."""
    ctx = context()
    found = service.get_destruction(ctx, destruction_id)
    data = berita_acara.stored(ctx, resources().files, resources().settings, found)
    return paper(data, PDF, berita_acara.filename(found))


@blueprint.get("/<uuid:destruction_id>/foto/<int:number>")
@operation("destruction.view")
def photo(destruction_id: UUID, number: int) -> Response:
    """Return a photo of the destruction by its number (from 1)."""
    ctx = context()
    photos = photos_of(ctx, service.get_destruction(ctx, destruction_id))
    if not 1 <= number <= len(photos):
        raise NotFound()
    shown = photos[number - 1]
    return attachment(resources().files.get(ctx.session, shown.sha256), shown.media_type, shown.filename)
