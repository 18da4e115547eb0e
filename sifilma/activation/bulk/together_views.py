"""Several cards activated at one place on the web: one form, whose cards become the rows of a job."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from sifilma.activation.bulk import pages, service
from sifilma.activation.issuing import forms, place_form
from sifilma.activation.queries import get_request
from sifilma.activation.schemas import TypedTogetherIn
from sifilma.cards.outlets.queries import get_outlet
from sifilma.documents.indonesian import uid_pairs
from sifilma.identity.permissions import Operation
from sifilma.jobs.service import get_job
from sifilma.kernel.context import Context
from sifilma.regions.sources import place_check
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context
from sifilma.web.texts import translate

blueprint = Blueprint("together_pages", __name__, url_prefix="/aktivasi/satu-lokasi", template_folder="../templates")


@blueprint.get("")
@operation("activation_request.submit")
def form() -> Response:
    """Show the form with all cards that have an open token, those of one request (`permohonan`), those whose
    machine stands at an outlet (`gerai`), with its place, or what a job gave back (`pekerjaan`).

    It needs only the permission to request activations; sending it needs a fresh code.
    """
    ctx, asked, after = context(), request.args.get("permohonan", type=UUID), request.args.get("pekerjaan", type=UUID)
    if after is None:
        at = request.args.get("gerai", type=UUID)
        start = place_form.at_outlet(get_outlet(ctx, at, Operation.OUTLET_SEE)) if at else place_form.start(ctx)
        start |= {"gerai": str(at)} if at else {}
        return _form(Form.begun(permohonan=_shown(ctx, asked), **start))
    back = pages.given_back(ctx, resources().settings, get_job(ctx, after), translate)
    form = Form.of(**back.place, **{f"machine.{uid}": machine for uid, machine in back.machines.items()})
    form.values.setlist("cards", list(back.machines))
    return _form(form, told=back.errors)


def _shown(ctx: Context, asked: UUID | None) -> UUID | None:
    """Return the request whose cards are wanted. Whoever is limited to outlets may not see it, and is shown those of its cards there."""
    return asked if asked is None or ctx.actor.outlets is not None else get_request(ctx, asked).id


@blueprint.post("/isi")
@operation("activation_request.submit", reads_first=True, idempotent=False)
def fill() -> Response:
    """Show the form with what is typed so far, step by step where no script runs."""
    form = Form.sent()
    return _form(form, follow=place_form.has_pasted(form.values) or not form.get("region_code"))


@blueprint.post("")
@operation("activate", reads_first=True)
def begin() -> AnyResponse:
    """Queue a job that activates the chosen cards."""
    ctx, form = context(), Form.sent()
    is_read = forms.take_pasted(form)
    chosen = form.values.getlist("cards")
    with form.attempt(ctx):
        cards = [{"sam_uid": uid, "hardware_number": form.get(f"machine.{uid}")} for uid in chosen]
        data = form.model(TypedTogetherIn, cards=cards, source=form.get("source") or "typed")
        place_form.require_reason(ctx, data)
        if is_read:
            home = resources().settings.home
            job = service.begin(ctx, resources().settings, resources().hsm, place_check(home), data)
            return seen("job_pages.show", "cards_taken_in", job_id=job.id)
    if not is_read:
        form.errors = forms.without_position(form.errors)
    return _form(form, told=_told(form, chosen))


def _told(form: Form, chosen: list[str]) -> dict[str, str]:
    """Return the errors of single cards by UID, and name their fields as the page does."""
    told: dict[str, str] = {}
    for place, (name, words) in enumerate(form.errors):
        group, _, rest = name.partition(".")
        number, _, column = rest.partition(".")
        if group == "cards" and number.isdigit() and int(number) < len(chosen):
            uid = chosen[int(number)]
            told[uid] = " ".join(filter(None, (told.get(uid), words)))
            form.errors[place] = (f"machine.{uid}" if column == "hardware_number" else f"card.{uid}", f"{uid_pairs(uid)}: {words}")
    return told


def _form(form: Form, *, follow: bool = False, told: dict[str, str] | None = None) -> Response:
    """Show the form. A new one has chosen every card; `told` are the errors of cards by UID."""
    values: dict[str, Any] = forms.placed(form, follow=follow)
    del values["form"]  # again() gives it
    offered = pages.together(context(), _key(form, "permohonan"), _key(form, "gerai"))
    if "cards" not in form.values and request.method == "GET":
        form.values.setlist("cards", [card.uid for card in offered.cards])
    return form.again("activation/together.html", offered=offered, told=told or {}, **values)


def _key(form: Form, name: str) -> UUID | None:
    try:
        return UUID(form.get(name))
    except ValueError:
        return None
