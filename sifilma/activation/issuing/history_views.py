"""Activations on the web: where cards stand, what the place check found, and the manifest's file."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, render_template, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from sifilma.activation import queries
from sifilma.activation.manifests import download
from sifilma.activation.requests import form_choices
from sifilma.activation.serializers import shown
from sifilma.activation.trust import keyset
from sifilma.documents import list_views
from sifilma.documents.lists import Export
from sifilma.documents.responses import attachment
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import moment
from sifilma.web.requests import context
from sifilma.web.states import state

blueprint = Blueprint("activated_pages", __name__, url_prefix="/aktivasi/riwayat", template_folder="../templates")
EXPORT = Export(
    "aktivasi",
    {
        _("Time"): lambda one: moment(one.of.at),
        _("SAM card"): lambda one: one.of.sam_uid,
        _("Machine"): lambda one: one.hardware_number,
        _("Organisation"): lambda one: one.organisation,
        _("Province"): lambda one: one.province,
        _("Regency or city"): lambda one: one.regency,
        _("District"): lambda one: one.district,
        _("Village"): lambda one: one.village,
        _("Region code"): lambda one: one.of.region_code,
        _("Address"): lambda one: one.of.address,
        _("Latitude"): lambda one: one.of.latitude,
        _("Longitude"): lambda one: one.of.longitude,
        _("Place"): lambda one: str(state(one.of.place["outcome"]).name),
        _("Manifest"): lambda one: one.of.manifest["seq"],
        _("State"): lambda one: str(state(one.of.state).name),
    },
    counted=lambda number, words: ngettext("%(count)s activation", "%(count)s activations", number, count=words),
    filters={"uid": "", "review": ""},
)
REVIEWS = ["waiting", "accepted", "rejected", "none"]


@blueprint.get("")
@operation("manifest.view")
def index() -> Response:
    """List the activations the actor may see."""
    ctx, form = context(), Form(request.args)
    review = form.get("review") if form.get("review") in REVIEWS else None
    listing = queries.list_activations(ctx, review, part=form.get("uid").strip()[:40])
    return list_views.answer("activation/activations.html", listing, lambda rows: shown(ctx, rows), EXPORT, form=form, reviews=REVIEWS)


@blueprint.get("/<uuid:activation_id>")
@operation("manifest.view")
def show(activation_id: UUID) -> str:
    """Show one activation: card, machine, place, and the manifest it gave."""
    ctx = context()
    found = queries.get_activation(ctx, activation_id)
    settings, own = resources().settings, found.organisation_id == ctx.actor.organisation_id
    coming, number = form_choices.next_card(ctx, found.card_id, found.activation_request_id) if own else (None, 0)
    return render_template(
        "activation/activation.html",
        one=shown(ctx, [found])[0],
        own=own,
        public_url=settings.public_url,
        pin=keyset.load(settings).pin,
        coming=coming,
        number=number,
    )


@blueprint.post("/<uuid:activation_id>/unduh")
@operation("manifest.body", reads_first=True, idempotent=False)
def fetch(activation_id: UUID) -> AnyResponse:
    """Return the manifest's file. The download is recorded."""
    ctx = context()
    found = queries.get_activation(ctx, activation_id)
    file = download.download(ctx, resources().hsm, found.manifest_id, "jws")
    return attachment(file.data, "application/jose", file.name)
