"""Manifests on the web: list, one manifest's page, its file, and revoking it by two persons."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, g, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from sifilma.activation import queries
from sifilma.activation.archives.queries import SOON
from sifilma.activation.carrying import queries as carried
from sifilma.activation.carrying.pages import CAUSES
from sifilma.activation.derived.queries import standing_number
from sifilma.activation.manifests import download, revocation
from sifilma.activation.manifests.pages import Proposal, proposals_shown, shown
from sifilma.activation.models import MANIFEST, Manifest, ManifestState
from sifilma.activation.schemas import DownloadIn, RevokeIn
from sifilma.cards.serializers import timeline
from sifilma.documents import list_views
from sifilma.documents.lists import Export
from sifilma.documents.responses import attachment
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import may_reach
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Context
from sifilma.kernel.paging import Listing
from sifilma.resources import resources
from sifilma.sign_in.request_gate import require_fresh
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import day, seen
from sifilma.web.requests import context
from sifilma.web.states import named, state

blueprint = Blueprint("manifest_pages", __name__, url_prefix="/manifest", template_folder="../templates")
EXPORT = Export(
    "manifest",
    {
        _("SAM card"): lambda one: one.of.sam_uid,
        _("Sequence"): lambda one: one.of.seq,
        _("State"): lambda one: str(state(one.of.state).name),
        _("Organisation"): lambda one: one.organisation,
        _("Machine"): lambda one: one.hardware_number,
        _("Model"): lambda one: one.model,
        _("Place"): lambda one: one.region,
        _("Region code"): lambda one: one.region_code,
        _("Issued"): lambda one: day(one.of.issued_at),
        _("Valid until"): lambda one: day(one.of.expires_at),
    },
    orders={"berlaku": (_("Valid until"), Manifest.expires_at)},
    counted=lambda number, words: ngettext("%(count)s manifest", "%(count)s manifests", number, count=words),
    filters={"uid": "", "state": "", "soon": ""},
)
PROPOSALS = Export(
    "usulan-pencabutan",
    {
        _("Proposed"): lambda one: day(one.proposed_at),
        _("Proposed by"): lambda one: one.proposed_by,
        _("Reason"): lambda one: one.reason,
        _("SAM card"): lambda one: one.manifest.of.sam_uid,
        _("Sequence"): lambda one: one.manifest.of.seq,
        _("Organisation"): lambda one: one.manifest.organisation,
        _("Place"): lambda one: one.manifest.region,
    },
    counted=lambda number, words: ngettext("%(count)s proposal", "%(count)s proposals", number, count=words),
)


@blueprint.get("")
@operation("manifest.view")
def index() -> Response:
    """List the manifests the actor may see."""
    ctx, form, url = context(), Form(request.args), resources().settings.public_url
    return list_views.answer(
        "activation/manifests.html",
        listed(form),
        lambda rows: shown(ctx, rows, url),
        EXPORT,
        number=_number(form),
        form=form,
        usual="berlaku" if form.get("soon") else "",
        states=named(ManifestState),
        most=resources().settings.direct_manifests,
    )


def _number(form: Form) -> int | None:
    """Return how many manifests the list has, where the tally knows: of one state, with no other filter."""
    if request.args.get("unduh") or form.get("soon") or form.get("uid").strip():
        return None
    return standing_number(context(), form.get("state"))


def listed(form: Form) -> Listing[Manifest]:
    """Return the list that the form's filters leave."""
    ctx = context()
    before = ctx.now + SOON if form.get("soon") else None
    return queries.list_manifests(ctx, form.get("state")[:20] or None, None, part=form.get("uid").strip()[:40], ends_before=before)


@blueprint.get("/usulan")
@operation("manifest.view")
def proposals() -> Response:
    """List the proposals to revoke that wait for a decision, oldest first."""
    ctx, url = context(), resources().settings.public_url
    listing = queries.list_revocations(ctx)
    return list_views.answer(
        "activation/proposals.html", listing, lambda rows: proposals_shown(ctx, rows, url), PROPOSALS, oldest_first=True
    )


@blueprint.get("/<uuid:manifest_id>")
@operation("manifest.view")
def show(manifest_id: UUID) -> Response:
    """Show the metadata of a manifest, never its body."""
    return _page(manifest_id, Form.begun())


@blueprint.post("/<uuid:manifest_id>/unduh")
@operation("manifest.body", reads_first=True, idempotent=False)
def fetch(manifest_id: UUID) -> AnyResponse:
    """Return the manifest's file. The download is recorded."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        file = download.download(ctx, resources().hsm, manifest_id, form.model(DownloadIn).form)
        return attachment(file.data, "application/jose", file.name)
    return _page(manifest_id, form)


@blueprint.post("/<uuid:manifest_id>/usul-cabut")
@operation("manifest.revoke")
def propose(manifest_id: UUID) -> AnyResponse:
    """Propose to revoke the manifest."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        revocation.propose(ctx, manifest_id, form.model(RevokeIn).reason)
        return seen("manifest_pages.show", "proposed", manifest_id=manifest_id)
    return _page(manifest_id, form)


def _named(ctx: Context, manifest_id: UUID) -> str:
    found = shown(ctx, [queries.get_manifest(ctx, manifest_id)], resources().settings.public_url)[0].of
    return f"{found.sam_uid} · {found.seq}"


DECIDE = Question(
    _("Decide on the proposal"),
    _("If it is executed, the manifest is revoked for good, and readers refuse it. If it is rejected, the proposal ends here."),
    _named,
    "manifest_pages.show",
)


@blueprint.post("/<uuid:manifest_id>/putusan")
@operation("manifest.revoke", reads_first=True, question=DECIDE)
def decide(manifest_id: UUID) -> AnyResponse:
    """Execute or reject the proposal. A fresh code is required here, since the permission table asks none of an operator."""
    require_fresh(g.actor, resources().settings)
    ctx, form = context(), Form.sent()
    ctx.uow.begin_write()
    with form.attempt(ctx):
        given = form.model(RevokeIn)
        executed = given.decision == "execute"
        revocation.decide(ctx, revocation.get_open_proposal(ctx, manifest_id), execute=executed, note=given.reason)
        return seen("manifest_pages.show", "withdrawn" if executed else "rejected", manifest_id=manifest_id)
    return _page(manifest_id, form)


def _page(manifest_id: UUID, form: Form) -> Response:
    ctx, url = context(), resources().settings.public_url
    manifest = queries.get_manifest(ctx, manifest_id)
    chain = shown(ctx, queries.chain(ctx, manifest.card_id), url)
    return form.again(
        "activation/manifest.html",
        one=next(one for one in chain if one.of.id == manifest_id),
        chain=chain,
        proposal=_proposal(manifest_id, url),
        anew=carried.of_manifest(ctx, manifest_id),
        causes=CAUSES,
        proposable=manifest.state in revocation.STANDING and Role.OPERATOR in ctx.actor.roles,
        may_decide=Role.APPROVER in ctx.actor.roles,
        ends_soon=manifest.expires_at <= ctx.now + SOON,
        asks=may_reach(ctx.actor, Operation.ACTIVATION_DRAFT, manifest.organisation_id),
        downloadable=manifest.state == ManifestState.ACTIVE and may_reach(ctx.actor, Operation.MANIFEST_BODY, manifest.organisation_id),
        steps=timeline(ctx, MANIFEST.kind, manifest.id),
    )


def _proposal(manifest_id: UUID, url: str) -> Proposal | None:
    ctx = context()
    found = queries.find_open_revocation(ctx, manifest_id)
    return proposals_shown(ctx, [found], url)[0] if found else None
