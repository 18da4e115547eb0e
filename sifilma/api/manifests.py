"""The routes of manifests: metadata, the file (for the holder of the card only), and revocation."""

from __future__ import annotations

from flask import Response, g
from pydantic import Field

from sifilma.activation import queries
from sifilma.activation.archives import packing
from sifilma.activation.archives import pages as archive_pages
from sifilma.activation.archives import service as archives
from sifilma.activation.archives.queries import archived_query
from sifilma.activation.archives.views import is_long
from sifilma.activation.manifests import download, revocation
from sifilma.activation.schemas import ArchiveIn, DownloadIn, ManifestOut, RevokeIn
from sifilma.activation.serializers import manifests_out
from sifilma.api.common import IdPath, Page, StateQuery, answer, blueprint, file_of, page_of
from sifilma.cards.identifiers import Uid
from sifilma.documents.responses import attachment, streamed_attachment
from sifilma.own_files import service as own_files
from sifilma.own_files.schemas import OwnFileOut
from sifilma.own_files.serializers import file_out
from sifilma.resources import resources
from sifilma.sign_in.request_gate import require_fresh
from sifilma.web import languages
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("manifests")


class ManifestsQuery(StateQuery):
    """A page of manifests, by state or card."""

    sam_uid: Uid | None = Field(None)


@api.get("/manifests", responses={200: Page[ManifestOut]}, summary="Manifests")
@operation("manifest.view")
def list_manifests(query: ManifestsQuery) -> Response:
    """Newest first; of one card if `sam_uid` is given."""
    ctx = context()
    select, key = queries.list_manifests(ctx, query.state, query.sam_uid)
    return page_of(select, key, query, lambda rows: manifests_out(ctx, rows, resources().settings.public_url))


@api.get("/manifests/<uuid:id>", responses={200: ManifestOut}, summary="A manifest's metadata")
@operation("manifest.view")
def show(path: IdPath) -> Response:
    """Never its body."""
    ctx = context()
    return answer(manifests_out(ctx, [queries.get_manifest(ctx, path.id)], resources().settings.public_url)[0])


@api.post("/manifests/<uuid:id>/download", responses={200: file_of("application/jose")}, summary="The manifest file (application/jose)")
@operation("manifest.body", reads_first=True, idempotent=False)
def fetch(path: IdPath, body: DownloadIn) -> Response:
    """Recorded. A machine gets it only as a JWE to the unit's key."""
    file = download.download(context(), resources().hsm, path.id, body.form)
    return attachment(file.data, "application/jose", file.name)


@api.post(
    "/manifests/archive",
    responses={200: file_of("application/zip"), 202: OwnFileOut},
    summary="Many manifest files as one ZIP (application/zip)",
)
@operation("manifest.body", reads_first=True, idempotent=False)
def fetch_archive(body: ArchiveIn) -> Response:
    """Each manifest is recorded as downloaded. Only active ones are packed; `index.csv` names them all. A machine gets JWEs only.

    Many are packed by the worker (202): the answer says where to look for the file.
    """
    ctx, manifests = context(), archived_query(context(), body)
    if is_long(manifests):
        ctx.uow.begin_write()
        asked = packing.asked_for(body.model_dump(), languages.current())
        return answer(file_out(ctx, own_files.ask(ctx, asked)), 202)
    archive = archives.prepare(ctx, resources().hsm, manifests)
    return streamed_attachment(archive_pages.parts(ctx, resources().settings, archive), archive_pages.ZIP, archive_pages.filename(ctx))


@api.post("/manifests/<uuid:id>/revoke", responses={200: ManifestOut, 202: ManifestOut}, summary="Propose, or decide, to revoke")
@operation("manifest.revoke")
def revoke(path: IdPath, body: RevokeIn) -> Response:
    """By an operator a proposal (202); by an approver who is another person, with a fresh code, its execution (200)."""
    ctx = context()
    manifest = queries.get_manifest(ctx, path.id)
    proposal = queries.find_open_revocation(ctx, path.id)
    if proposal is None:
        revocation.propose(ctx, path.id, body.reason)
        status = 202
    else:
        require_fresh(g.actor, resources().settings)
        manifest = revocation.decide(ctx, proposal, execute=body.decision == "execute", note=body.reason)
        status = 200
    return answer(manifests_out(ctx, [manifest], resources().settings.public_url)[0], status)
