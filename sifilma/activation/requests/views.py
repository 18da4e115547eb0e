"""Activation requests on the web: list, letter and cards, decisions beside the letter, tokens."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from sifilma.activation.models import ACTIVATION_REQUEST, ActivationRequest, RequestKind, RequestState
from sifilma.activation.queries import get_request
from sifilma.activation.requests import form_choices, queries, service
from sifilma.activation.requests.batch_approval import TOGETHER
from sifilma.activation.requests.service import REQUESTS, WAY
from sifilma.activation.schemas import ActivationRequestIn, ActivationReturnIn
from sifilma.activation.serializers import brief, requested_cards, tokens_to_come
from sifilma.activation.tokens import service as tokens
from sifilma.approvals.batch_views import add_together
from sifilma.approvals.decision_views import Decision, add_decisions, bound, noted, remarked
from sifilma.approvals.file_access import hand_out
from sifilma.approvals.forms import letter_day, submits, wanted
from sifilma.approvals.four_eyes import EDITABLE
from sifilma.approvals.letters import letter_warnings
from sifilma.approvals.service import given, offered
from sifilma.cards.import_table import read_cards
from sifilma.cards.serializers import returned, timeline
from sifilma.documents import list_views, lists
from sifilma.documents.file_views import paper
from sifilma.documents.forms import upload
from sifilma.documents.lists import Export
from sifilma.documents.service import Upload
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import day, seen
from sifilma.web.requests import context
from sifilma.web.states import functions, kind, named, state

blueprint = Blueprint("activation_pages", __name__, url_prefix="/aktivasi", template_folder="../templates")
EXPORT = Export(
    "permintaan-aktivasi",
    {
        _("Letter"): lambda asked: asked.letter_number,
        _("Date of the letter"): lambda asked: day(asked.letter_date),
        _("Subject"): lambda asked: asked.subject,
        _("Organisation"): lambda asked: asked.organisation["name"],
        _("Kind"): lambda asked: kind(asked.kind),
        _("Function"): lambda asked: asked.function,
        _("Machines"): lambda asked: asked.machines,
        _("Activated"): lambda asked: asked.redeemed,
        _("State"): lambda asked: str(state(asked.state).name),
    },
    orders={"nomor": (_("Letter number"), ActivationRequest.letter_key), "surat": (_("Date of the letter"), ActivationRequest.letter_date)},
    counted=lambda number, words: ngettext("%(count)s activation request", "%(count)s activation requests", number, count=words),
    filters={"q": "", "state": "", "function": "", "umur": "", "menunggu": "", "terlambat": "", "pemegang": ""},
)
_ROW = re.compile(r"replacements\.(\d{1,4})\.\w+")
MOST_SHOWN = 100
"""Cards that the page of a request shows."""
ROWS = 3
"""The least empty rows that the form of a replacement offers."""
KINDS = [str(name) for name in RequestKind]
SUBJECTS = {
    "new": "Permohonan aktivasi kartu SAM",
    "relocation": "Permohonan pemindahan kartu SAM",
    "renewal": "Permohonan pembaruan manifest kartu SAM",
    "replacement": "Permohonan penggantian mesin",
}
"""What a letter of each kind is usually about; it is written in Indonesian."""


@blueprint.get("")
@operation("activation_request.view")
def index() -> Response:
    """List the requests the actor may see."""
    form = Form(request.args)
    listing = queries.list_requests(context(), wanted(form, resources().targets))
    choices = {"states": named(RequestState), "functions": functions(), "ages": lists.ages()}
    return list_views.answer("activation/requests.html", listing, lambda rows: map(brief, rows), EXPORT, form=form, choices=choices)


@blueprint.get("/baru")
@operation("activation_request.draft")
def new() -> Response:
    """Show the form, for the kind of request named in the URL.

    Chosen are the cards named there, those that a BAST brought (`bast`), or all whose manifest ends soon (`semua`). A card that is replaced
    comes with what was said of its machine when it broke, and with the machine it moves to (`mesin`).
    """
    form = Form.begun()
    if form.values:
        return _form(form)
    chosen = request.args.get("jenis")
    wanted = chosen if chosen in KINDS else "new"
    form = Form.of(kind=wanted, letter_date=letter_day(context()), subject=SUBJECTS[wanted])
    form.values.setlist("cards", request.args.getlist("cards"))
    if wanted == RequestKind.REPLACEMENT:
        moved, machine = request.args.getlist("cards"), request.args.get("mesin", "")[:60]
        told = form_choices.what_broke(context(), moved)
        for number, uid in enumerate(moved):
            _fill_row(form, number, sam_uid=uid, hardware_number=machine if len(moved) == 1 else "", reason=told.get(uid, ""))
    return _form(form, bast=request.args.get("bast", type=UUID), all_due="semua" in request.args)


@blueprint.post("/baru")
@operation("activation_request.draft")
def draft() -> AnyResponse:
    """Save a draft with its letter."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        given = upload("letter")
        return _saved(ctx, form, service.draft(ctx, resources().files, _sent(form, given), given))
    return _form(form)


@blueprint.get("/<uuid:request_id>/ubah")
@operation("activation_request.draft")
def edit_form(request_id: UUID) -> Response:
    """Show the form of a draft or a returned request."""
    found = REQUESTS.get_own(context(), request_id)
    form = Form.begun()
    return _form(form if form.values else _stored(found), found)


def _stored(found: ActivationRequest) -> Form:
    """Return the form filled in with what is stored."""
    names = ("letter_number", "letter_date", "subject", "notes", "kind", "revision")
    form = Form.of(**{name: getattr(found, name) for name in names})
    cards = requested_cards(context(), found)
    form.values.setlist("cards", [one.card.uid for one in cards])
    for number, one in enumerate(one for one in cards if one.replacement):
        _, hardware_number, reason = one.replacement or ("", "", "")
        _fill_row(form, number, sam_uid=one.card.uid, hardware_number=hardware_number, reason=reason)
    return form


def _fill_row(form: Form, number: int, **values: str) -> None:
    form.values.update({f"replacements.{number}.{name}": value for name, value in values.items()})


@blueprint.post("/<uuid:request_id>/ubah")
@operation("activation_request.draft")
def edit(request_id: UUID) -> AnyResponse:
    """Save a draft again. Without a new letter the stored one stays."""
    ctx, form = context(), Form.sent()
    found = REQUESTS.get_own(ctx, request_id)
    with form.attempt(ctx):
        form.stand_on(_stored(found))
        given = upload("letter")
        return _saved(ctx, form, service.edit(ctx, resources().files, request_id, _sent(form, given, found), given))
    return _form(form, REQUESTS.get_own(ctx, request_id))


@blueprint.get("/<uuid:request_id>")
@operation("activation_request.view")
def show(request_id: UUID) -> Response:
    """Show a request beside its letter, with what can be done now."""
    return _page(request_id, Form.begun())


@blueprint.get("/<uuid:request_id>/surat")
@operation("activation_request.view")
def letter(request_id: UUID) -> Response:
    """Return the letter. The download is recorded."""
    ctx = context()
    found = get_request(ctx, request_id)
    file = hand_out(ctx, resources().files, found.letter_document_id, ACTIVATION_REQUEST.kind, found.id, found.organisation_id)
    return paper(file.data, file.media_type, file.filename)


@blueprint.post("/<uuid:request_id>/token")
@operation("token.reveal", reads_first=True, idempotent=False)
def reveal(request_id: UUID) -> Response:
    """Show the open tokens in clear. The page answers a POST only, so it has no URL that a history could keep."""
    ctx, form = context(), Form()
    with form.attempt(ctx):
        shown = tokens.reveal(ctx, resources().hsm, request_id)
        return form.again("activation/tokens.html", shown=shown, request_id=request_id)
    return _page(request_id, form)


def _card_of_own(ctx: Context, uid: str) -> str:
    found = REQUESTS.get_own(ctx, (request.view_args or {})["request_id"])
    if not tokens.names(ctx.session, found.id, uid):
        raise NotFound()
    return uid


REISSUE = Question(
    _("Issue a new token"),
    _("The former token of the card opens nothing any more, whoever has it."),
    _card_of_own,
    "activation_pages.show",
)


@blueprint.post("/<uuid:request_id>/token/<string:uid>")
@operation("token.reveal", reads_first=True, idempotent=False, question=REISSUE)
def reissue(request_id: UUID, uid: str) -> Response:
    """Issue one card's token anew. The old one is cancelled."""
    ctx, form = context(), Form()
    with form.attempt(ctx):
        made = tokens.reissue(ctx, resources().settings, resources().hsm, request_id, uid)
        return form.again("activation/tokens.html", shown=[made], request_id=request_id)
    return _page(request_id, form)


def _sent(form: Form, letter: Upload | None, found: ActivationRequest | None = None) -> ActivationRequestIn:
    """Return the request as typed. `machines` is the number of cards chosen."""
    more: dict[str, Any] = {"personalisation_request": found.personalisation_request_id} if found else {}
    if form.get("kind") == RequestKind.REPLACEMENT:
        more["replacements"] = [row for row in _rows(form) if row]
        cards = [row["sam_uid"] for row in more["replacements"] if "sam_uid" in row]
    else:
        cards = form.listed("cards", "cards", "more")
        if given := upload("card_list"):
            cards = form.also_listed("cards", cards, "card_list", read_cards(context(), given, resources().settings.batch_max_rows))
    also = lambda known: service.faults(context(), known, letter, found)  # noqa: E731
    return form.model(ActivationRequestIn, also, cards=cards, machines=max(1, len(cards)), **more)


def _rows(form: Form) -> list[dict[str, str]]:
    """Return the rows of a replacement as typed, the empty ones among them as empty: a form's rows are those of its answer."""
    numbers = {int(found[1]) for name in form.values if (found := _ROW.fullmatch(name))}
    return [form.within(f"replacements.{number}") for number in range(max(numbers, default=-1) + 1)]


def _saved(ctx: Context, form: Form, saved: ActivationRequest) -> AnyResponse:
    """Return to the page of a saved request, which is submitted too if the form says so. Warnings are asked about before."""
    ctx.warn(letter_warnings(ctx.now, saved.letter_number, saved.letter_date))
    form.settle(ctx)
    submitted = submits(ctx, form, Operation.ACTIVATION_SUBMIT)
    if submitted:
        REQUESTS.submit(ctx, saved.id)
    return seen("activation_pages.show", "submitted" if submitted else "saved", request_id=saved.id)


def _form(form: Form, found: ActivationRequest | None = None, *, bast: UUID | None = None, all_due: bool = False) -> Response:
    wanted = form.get("kind")
    lots = form_choices.cards_for(context(), wanted, found.id if found else None) if wanted in KINDS else []
    if lots and (bast or all_due):
        form.values.setlist("cards", form_choices.chosen(context(), wanted, handover=bast, all_due=all_due))
    if lots and wanted != RequestKind.REPLACEMENT:
        _keep_more(form, lots)
    back = returned(context(), ACTIVATION_REQUEST.kind, found, found.id) if found else None
    form.notes = back.fields if back else {}
    replacing = wanted == RequestKind.REPLACEMENT
    rows = (len([row for row in _rows(form) if row]) + ROWS) if replacing else 0
    machines = form_choices.next_machines(context(), {lot.function for lot in lots}) if replacing else {}
    return form.again(
        "activation/request_new.html",
        kinds=KINDS,
        lots=lots,
        found=found,
        back=back,
        most=form_choices.MOST_OFFERED,
        rows=rows,
        machines=machines,
    )


def _keep_more(form: Form, lots: list[form_choices.Lot]) -> None:
    """Name the chosen cards that the form offers no box for in its field for further UIDs, so that they stay chosen."""
    boxes = {card.uid for lot in lots for card in lot.cards}
    chosen = form.values.getlist("cards")
    if more := [uid for uid in chosen if uid not in boxes]:
        form.values.setlist("cards", [uid for uid in chosen if uid in boxes])
        form.values["more"] = "\n".join(dict.fromkeys([*form.get("more").split(), *more]))


def _page(request_id: UUID, form: Form) -> Response:
    ctx = context()
    found, after = get_request(ctx, request_id), list_views.position()
    return form.again(
        "activation/request.html",
        asked=found,
        cards=requested_cards(ctx, found, MOST_SHOWN, after),
        after=after,
        next=after + MOST_SHOWN if after + MOST_SHOWN < found.machines else None,
        to_come=tokens_to_come(ctx, found),
        approvals=given(ctx, found),
        can=_can(found),
        decides=offered(ctx, REQUESTS, found),
        objection=WAY.objection(ctx, found),
        steps=timeline(ctx, ACTIVATION_REQUEST.kind, found.id),
        looked_at=letter_warnings(ctx.now, found.letter_number, found.letter_date),
    )


def _can(found: ActivationRequest) -> set[str]:
    """Return what the request's state and the actor's organisation allow. The template also asks for the actor's permissions."""
    actor, allows = context().actor, ACTIVATION_REQUEST.allows
    own = found.organisation_id == actor.organisation_id
    answers = {
        "edit": own and found.state in EDITABLE,
        "submit": own and allows(found.state, RequestState.SUBMITTED),
        "cancel": own and allows(found.state, RequestState.CANCELLED),
        "tokens": own and found.state == RequestState.APPROVED,
        "manifests": own and found.redeemed > 0,
    }
    return {name for name, answer in answers.items() if answer}


def _approve(ctx: Context, request_id: UUID, digest: str, note: str) -> None:
    service.approve(ctx, resources().settings, resources().hsm, request_id, digest, note)


def _named(ctx: Context, request_id: UUID) -> str:
    found = get_request(ctx, request_id)
    return f"{found.letter_number} · {found.organisation.name}"


def _named_own(ctx: Context, request_id: UUID) -> str:
    return _named(ctx, REQUESTS.get_own(ctx, request_id).id)


REJECT = Question(
    _("Reject the request for good"),
    _("It ends here for good, and the requester reads your note. For the cards a new letter is needed."),
    _named,
    "activation_pages.show",
)
CANCEL = Question(
    _("Cancel the request"),
    _("It ends here for good, and open tokens are cancelled. The letter may come in a new request."),
    _named_own,
    "activation_pages.show",
)
add_decisions(
    blueprint,
    "/<uuid:request_id>",
    "show",
    _page,
    Decision("ajukan", "activation_request.submit", noted(REQUESTS.submit), "submitted"),
    Decision("verifikasi", "activation_request.verify", noted(REQUESTS.verify), "verified"),
    Decision("kembalikan", "activation_request.return", remarked(REQUESTS.send_back, ActivationReturnIn), "returned"),
    Decision("setujui", "activation_request.approve", bound(_approve), "approved", reads_first=True),
    Decision("tolak", "activation_request.approve", noted(REQUESTS.reject), "rejected", question=REJECT),
    Decision("batalkan", "activation_request.submit", noted(REQUESTS.cancel), "cancelled", question=CANCEL),
)
add_together(blueprint, TOGETHER)
