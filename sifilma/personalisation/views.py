"""Personalisation requests on the web: list, the forms of offices and manufacturers, and the page with the decisions."""

from __future__ import annotations

import re
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from sifilma.approvals.batch_views import add_together
from sifilma.approvals.decision_views import Decision, add_decisions, bound, noted, remarked
from sifilma.approvals.forms import letter_day, submits, wanted
from sifilma.cards.serializers import returned
from sifilma.documents import list_views, lists
from sifilma.documents.file_views import paper
from sifilma.documents.forms import upload
from sifilma.documents.lists import Export
from sifilma.identity.permissions import Operation
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.personalisation import buyers, proposals, queries, refused_batches, service
from sifilma.personalisation.batch_approval import TOGETHER
from sifilma.personalisation.models import PERSONALISATION, PersonalisationRequest, PersonalisationState
from sifilma.personalisation.refused_batches import Kept
from sifilma.personalisation.schemas import CloseIn, PersonalisationIn, PersonalisationReturnIn
from sifilma.personalisation.serializers import brief, request_page
from sifilma.personalisation.service import REQUESTS, Files
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context
from sifilma.web.states import functions, named, state
from sifilma.web.texts import translate

blueprint = Blueprint("personalisation_pages", __name__, url_prefix="/personalisasi", template_folder="templates")
SUBJECT = "Permohonan personalisasi kartu SAM"
"""What a letter of this kind is usually about; it is written in Indonesian."""
SUBJECT_OF_REPLACEMENT = "Permohonan penggantian kartu SAM"
MOST_ASKED, MOST_MENDED = 100, 50
MEND = re.compile(r"mend\.(\d{1,6})\.(\w{1,40})")
"""The field of a wrong cell of a refused batch: its row and its column."""
FIELDS = ("letter_number", "letter_date", "subject", "notes", "function", "quantity", "purchase_order_number", "revision")
EXPORT = Export(
    "personalisasi",
    {
        _("Letter number"): lambda row: row.letter_number,
        _("Letter date"): lambda row: row.letter_date.isoformat(),
        _("Subject"): lambda row: row.subject,
        _("Requester"): lambda row: row.requester["name"],
        _("Buyer"): lambda row: row.buyer["name"],
        _("Function"): lambda row: row.function,
        _("Cards"): lambda row: row.quantity,
        _("State"): lambda row: state(row.state).name,
        _("Submitted"): lambda row: row.submitted_at.isoformat() if row.submitted_at else "",
    },
    orders={
        "nomor": (_("Letter number"), PersonalisationRequest.letter_key),
        "surat": (_("Letter date"), PersonalisationRequest.letter_date),
    },
    counted=lambda number, words: ngettext("%(count)s request", "%(count)s requests", number, count=words),
    filters={"q": "", "state": "", "function": "", "umur": "", "menunggu": "", "terlambat": "", "pemegang": ""},
)


@blueprint.get("")
@operation("personalisation.view")
def index() -> Response:
    """List the requests the actor may see."""
    form = Form(request.args)
    listing = queries.list_requests(context(), wanted(form, resources().targets))
    choices = {"states": named(PersonalisationState), "functions": functions(), "ages": lists.ages()}
    return list_views.answer("personalisation/requests.html", listing, lambda rows: map(brief, rows), EXPORT, form=form, choices=choices)


@blueprint.get("/pembeli")
@operation("personalisation.draft")
def find_buyer() -> str:
    """Show the buyers a manufacturer can choose from: the first step of its form."""
    text = request.args.get("q", "").strip()[:100]
    return render_template("personalisation/buyers.html", form=Form(request.args), found=buyers.buyers_matching(context(), text))


@blueprint.get("/pembeli/<uuid:buyer_id>/templat.<kind>")
@operation("personalisation.draft")
def batch_template(buyer_id: UUID, kind: str) -> Response:
    """Return a table for a batch, filled in with the buyer's units of the manufacturer's models that wait for a card."""
    ctx = context()
    buyer = buyers.get_buyer(ctx, buyer_id)
    table = buyers.batch_template(ctx, buyer_id, resources().settings.batch_max_rows)
    return lists.form_table(kind, f"batch {buyer.name}", table, translate)


@blueprint.get("/baru")
@operation("personalisation.draft")
def new() -> AnyResponse:
    """Show a new form. A manufacturer chooses the buyer first, unless it is clear (`buyers.find_usual`)."""
    buyer = request.args.get("pembeli") or (buyers.find_usual(context()) if _is_maker(context()) else None)
    if _is_maker(context()) and not buyer:
        return redirect(url_for("personalisation_pages.find_buyer"), 303)
    form = Form.begun(on_behalf_of=buyer, letter_date=letter_day(context()), subject=SUBJECT)
    if (replaced := request.args.getlist("ganti")[:MOST_ASKED]) and "replaces" not in form.values:
        form.values.setlist("replaces", replaced)
        form.values["subject"] = SUBJECT_OF_REPLACEMENT
    return _form(form)


@blueprint.post("/baru")
@operation("personalisation.draft")
def draft() -> AnyResponse:
    """Save a draft. A batch with errors is kept for correction (`refused_batches`)."""
    ctx, form = context(), Form.sent()
    settings, files = resources().settings, _files(ctx, form)
    with form.attempt(ctx), refused_batches.keeping(ctx, settings, resources().files, files.batch) as kept:
        named = form.listed("replaces", "replaces", "more")
        data = form.model(PersonalisationIn, lambda known: service.faults(ctx, settings, known, files), replaces=named)
        return _saved(ctx, form, service.draft(ctx, settings, resources().files, data, files))
    return _form(form, kept=kept)


@blueprint.get("/<uuid:request_id>/ubah")
@operation("personalisation.draft")
def change(request_id: UUID) -> Response:
    """Show the form with the saved values."""
    form = Form.begun()
    return _form(form if form.values else _stored(REQUESTS.get_own(context(), request_id)), request_id)


def _stored(found: PersonalisationRequest) -> Form:
    """Return the form filled in with what is stored."""
    on_behalf_of = found.buyer_id if found.buyer_id != found.requester_id else None
    form = Form.of(on_behalf_of=on_behalf_of, **{name: getattr(found, name) for name in FIELDS})
    form.values.setlist("replaces", [row.card.uid for row in found.replaced])
    return form


@blueprint.post("/<uuid:request_id>/ubah")
@operation("personalisation.draft")
def edit(request_id: UUID) -> AnyResponse:
    """Save a draft or a returned request again. A file that does not come again stays."""
    ctx, form = context(), Form.sent()
    settings, files = resources().settings, _files(ctx, form)
    with form.attempt(ctx), refused_batches.keeping(ctx, settings, resources().files, files.batch) as kept:
        found = REQUESTS.get_own(ctx, request_id)
        form.stand_on(_stored(found))
        named = form.listed("replaces", "replaces", "more")
        data = form.model(PersonalisationIn, lambda known: service.faults(ctx, settings, known, files, found), replaces=named)
        return _saved(ctx, form, service.edit(ctx, settings, resources().files, request_id, data, files))
    return _form(form, request_id, kept)


def _saved(ctx: Context, form: Form, saved: PersonalisationRequest) -> AnyResponse:
    """Return to the page of a saved request, which is submitted too if the form says so. Warnings are asked about before."""
    ctx.warn(queries.request_warnings(ctx, saved))
    form.settle(ctx)
    submitted = submits(ctx, form, Operation.PERSONALISATION_SUBMIT)
    if submitted:
        REQUESTS.submit(ctx, saved.id)
    return seen("personalisation_pages.show", "submitted" if submitted else "drafted", request_id=saved.id)


@blueprint.get("/<uuid:request_id>")
@operation("personalisation.view")
def show(request_id: UUID) -> Response:
    """Show a request beside its letter, with what the actor can decide."""
    return _page(request_id, Form.begun())


@blueprint.get("/<uuid:request_id>/berkas/<name>")
@operation("personalisation.view")
def file(request_id: UUID, name: str) -> Response:
    """Return the letter, the purchase order or the batch as a file."""
    found = queries.open_file(context(), resources().files, request_id, name)
    return paper(found.data, found.media_type, found.filename)


def _page(request_id: UUID, form: Form) -> Response:
    ctx = context()
    found = service.get_request(ctx, request_id)  # kept: the way of the request is shown from it too
    return form.again("personalisation/request.html", page=request_page(ctx, found))


def _form(form: Form, request_id: UUID | None = None, kept: Kept | None = None) -> Response:
    """Return the form of an office, or of a manufacturer for the buyer named in it. `kept` is a refused batch.

    Its wrong cells are fields of the form, unless more than MOST_MENDED rows have one.
    """
    ctx = context()
    buyer = buyers.get_buyer(ctx, form.get("on_behalf_of")) if _is_maker(ctx) else None
    back = returned(ctx, PERSONALISATION.kind, REQUESTS.get_own(ctx, request_id), request_id) if request_id else None
    form.notes = back.fields if back else {}
    cells = kept.cells if kept else {}
    mends = sorted(cells.items()) if len({row for row, _ in cells}) <= MOST_MENDED else []
    job = kept.job_id if kept else None
    owner = buyer.id if buyer else ctx.actor.organisation_id
    broken = queries.replaceable_cards(ctx, owner, request_id) if owner else []
    shown = {"buyer": buyer, "broken": broken, "request_id": request_id, "back": back, "kept": job, "mends": mends}
    return form.again("personalisation/form.html", **shown)


def _is_maker(ctx: Context) -> bool:
    return ctx.actor.organisation_kind is OrganisationKind.MANUFACTURER


def _files(ctx: Context, form: Form) -> Files:
    """Return the files of the form. Without a new batch it is the refused one with the cells that were put right on the page."""
    batch, refused = upload("batch"), form.values.get("mended", type=UUID)
    if batch is None and refused is not None:
        cells = {(int(found[1]), found[2]): value.strip() for name, value in form.values.items() if (found := MEND.fullmatch(name))}
        batch = refused_batches.mended(ctx, resources().settings, resources().files, refused, cells)
    return Files(upload("letter"), upload("purchase_order"), batch)


def _approve(ctx: Context, request_id: UUID, digest: str, note: str) -> None:
    service.approve(ctx, resources().settings, request_id, digest, note)


def _named(ctx: Context, request_id: UUID) -> str:
    found = service.get_request(ctx, request_id)
    return f"{found.letter_number} · {found.requester.name}"


def _named_own(ctx: Context, request_id: UUID) -> str:
    return _named(ctx, REQUESTS.get_own(ctx, request_id).id)


REJECT = Question(
    _("Reject the request for good"),
    _("It ends here for good, and the requester reads your note. For the cards a new letter is needed."),
    _named,
    "personalisation_pages.show",
)
CANCEL = Question(
    _("Cancel the request"),
    _("It ends here for good: it cannot be taken up again. The letter may come in a new request."),
    _named_own,
    "personalisation_pages.show",
)
add_decisions(
    blueprint,
    "/<uuid:request_id>",
    "show",
    _page,
    Decision("ajukan", "personalisation.submit", noted(REQUESTS.submit), "submitted"),
    Decision("verifikasi", "personalisation.verify", noted(REQUESTS.verify), "verified"),
    Decision("kembalikan", "personalisation.return", remarked(REQUESTS.send_back, PersonalisationReturnIn), "returned"),
    Decision("setujui", "personalisation.approve", bound(_approve), "approved"),
    Decision("tolak", "personalisation.approve", noted(REQUESTS.reject), "rejected", question=REJECT),
    Decision("batalkan", "personalisation.submit", noted(REQUESTS.cancel), "cancelled", question=CANCEL),
)
add_together(blueprint, TOGETHER)
CLOSE = Question(
    _("Close the request with a remainder"),
    _("If it is executed, no more cards are made for this request, for good. Those that are made go on as before."),
    _named,
    "personalisation_pages.show",
    when=lambda form: "decision" in form,
)


@blueprint.post("/<uuid:request_id>/tutup")
@operation("personalisation.close", question=CLOSE)
def close(request_id: UUID) -> AnyResponse:
    """Propose to close the request with a remainder, or decide on the proposal."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        given = form.model(CloseIn)
        _request, decided = proposals.close(ctx, request_id, execute=given.decision == "execute", reason=given.reason)
        return seen("personalisation_pages.show", "decided" if decided else "proposed", request_id=request_id)
    return _page(request_id, form)
