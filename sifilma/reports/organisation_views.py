"""Organisations on the web: the searchable list, and one with what it holds."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, render_template, request

from sifilma.accounts.service import list_organisations
from sifilma.documents import list_views
from sifilma.documents.file_views import paper
from sifilma.documents.indonesian import zone_of
from sifilma.kernel.actor import OrganisationKind
from sifilma.reports import organisations
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.requests import context
from sifilma.web.states import kind

blueprint = Blueprint("organisation_pages", __name__, url_prefix="/organisasi", template_folder="templates")


@blueprint.get("")
@operation("reference.read")
def index() -> Response:
    """List organisations by kind and a part of the name."""
    form = Form(request.args)
    listing = list_organisations(form.get("jenis") or None, form.get("nama").strip()[:100] or None)
    return list_views.answer(
        "reports/organisations.html", listing, list, organisations.EXPORT, form=form, kinds=[(k.value, kind(k)) for k in OrganisationKind]
    )


@blueprint.get("/<uuid:organisation_id>")
@operation("reference.read")
def show(organisation_id: UUID) -> str:
    """Show one organisation."""
    ctx = context()
    today = ctx.now.astimezone(zone_of(ctx.actor.region_code)).date()
    return render_template("reports/organisation.html", facts=organisations.get_facts(ctx, organisation_id), today=today)


@blueprint.get("/<uuid:organisation_id>/pks/<uuid:agreement_id>")
@operation("reference.read")
def agreement(organisation_id: UUID, agreement_id: UUID) -> Response:
    """Return the PDF of an agreement (PKS) to whoever may see it. The download is recorded."""
    handed = organisations.agreement_document(context(), resources().files, organisation_id, agreement_id)
    return paper(handed.data, handed.media_type, handed.filename)
