"""Manifests issued anew, on the web: the list says what took the place of what, and where the new file is."""

from __future__ import annotations

from flask import Blueprint, Response, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext

from sifilma.activation.carrying import queries
from sifilma.activation.carrying.pages import CAUSES, OUTCOMES, shown
from sifilma.documents import list_views
from sifilma.documents.lists import Export
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import day
from sifilma.web.requests import context
from sifilma.web.texts import translate

blueprint = Blueprint("carried_pages", __name__, url_prefix="/manifest/terbit-ulang", template_folder="../templates")
EXPORT = Export(
    "manifest-terbit-ulang",
    {
        _("SAM card"): lambda one: one.uid,
        _("Machine"): lambda one: one.hardware_number,
        _("Organisation"): lambda one: one.organisation,
        _("Former manifest"): lambda one: one.seq,
        _("New manifest"): lambda one: one.new_seq if one.new_seq is not None else "",
        _("Outcome"): lambda one: str(OUTCOMES[one.outcome]),
        _("Reason"): lambda one: translate(one.reason),
        _("Cause"): lambda one: str(CAUSES[one.cause]),
        _("Ordered"): lambda one: day(one.ordered_at),
    },
    counted=lambda number, words: ngettext("%(count)s card", "%(count)s cards", number, count=words),
    filters={"hasil": ""},
)


@blueprint.get("")
@operation("manifest.view")
def index() -> Response:
    """List the cards whose manifests are issued anew, of those that the actor may see."""
    ctx, form = context(), Form(request.args)
    wanted = form.get("hasil")
    listing = queries.list_cards(ctx, wanted if wanted in OUTCOMES else "")
    return list_views.answer(
        "activation/carried.html", listing, lambda rows: shown(ctx, rows), EXPORT, form=form, outcomes=list(OUTCOMES.items()), causes=CAUSES
    )
