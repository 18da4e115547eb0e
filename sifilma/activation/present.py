"""Activation requests, activations and manifests as the API shows them. Never a token, never a body."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select

from sifilma.accounts.present import party
from sifilma.activation import status
from sifilma.activation.models import ACTIVATION_REQUEST, Activation, ActivationRequest, Manifest, Revocation
from sifilma.activation.models import RequestState as State
from sifilma.activation.reading import uids
from sifilma.activation.schemas import ActivationOut, ActivationRequestBrief, ActivationRequestOut, ManifestOut, TokenStateOut
from sifilma.activation.tokens import MAX_TRIES, of_request
from sifilma.cards.present import history_out
from sifilma.documents.service import sha256_of
from sifilma.kernel.context import Context
from sifilma.kernel.letters import number_warning
from sifilma.personalisation.present import approval_out
from sifilma.web.links import API, links, steps

VERBS = {
    "submit": State.SUBMITTED, "return": State.RETURNED, "approve": State.APPROVED, "reject": State.REJECTED, "cancel": State.CANCELLED,
    "tokens": State.COMPLETED,
}  # fmt: skip


def brief(request: ActivationRequest) -> ActivationRequestBrief:
    """A request in a list."""
    return ActivationRequestBrief.model_validate(_common(request))


def full(ctx: Context, request: ActivationRequest) -> ActivationRequestOut:
    """A request with all it holds."""
    named = uids(ctx, [card.card_id for card in request.cards])
    warning = number_warning(request.letter_number)
    return ActivationRequestOut(
        **_common(request),
        notes=request.notes,
        personalisation_request=request.personalisation_request_id,
        files=sha256_of(ctx, {"letter": request.letter_document_id}),
        cards=[named[card.card_id] for card in request.cards],
        tokens=[
            TokenStateOut(sam_uid=uid, state=token.state, tries_left=MAX_TRIES - token.tries, expires_at=token.expires_at)
            for token, uid in of_request(ctx.session, request.id)
        ],
        history=history_out(ctx, ACTIVATION_REQUEST.kind, request.id),
        warnings=[warning] if warning else [],
    )


def _common(request: ActivationRequest) -> dict[str, Any]:
    return {
        "id": request.id,
        "state": request.state,
        "kind": request.kind,
        "organisation": party(request.organisation),
        "function": request.function,
        "machines": request.machines,
        "redeemed": request.redeemed,
        "letter_number": request.letter_number,
        "letter_date": request.letter_date,
        "subject": request.subject,
        "digest": request.digest,
        "approvals": [approval_out(approval) for approval in request.approvals if approval.digest == request.digest],
        "required_approvals": request.required_approvals,
        "verified": request.verified_at is not None,
        "created_at": request.created_at,
        "links": steps("activation-requests", request.id, ACTIVATION_REQUEST, request.state, VERBS),
    }


def manifests_out(ctx: Context, manifests: list[Manifest], public_url: str) -> list[ManifestOut]:
    """Metadata of manifests, with the latest word on revoking each."""
    named = uids(ctx, [manifest.card_id for manifest in manifests])
    query = select(Revocation).where(Revocation.manifest_id.in_([m.id for m in manifests])).order_by(Revocation.id)
    proposals = {proposal.manifest_id: proposal for proposal in ctx.session.scalars(query)}
    return [_manifest_out(manifest, named[manifest.card_id], public_url, proposals.get(manifest.id)) for manifest in manifests]


def _manifest_out(manifest: Manifest, uid: str, public_url: str, proposal: Revocation | None) -> ManifestOut:
    return ManifestOut(
        id=manifest.id,
        state=manifest.state,
        sam_uid=uid,
        epoch=manifest.epoch,
        seq=manifest.seq,
        kid=manifest.kid,
        issued_at=manifest.issued_at,
        expires_at=manifest.expires_at,
        refuse_after=manifest.refuse_after,
        status={"idx": manifest.status_index, "uri": status.uri(public_url, manifest.status_list)},
        activation=manifest.activation_id,
        revocation={"state": proposal.state, "reason": proposal.reason, "proposed_at": proposal.proposed_at} if proposal else None,
        links=links("manifests", manifest.id, download="download", revoke="revoke"),
    )


def activations_out(ctx: Context, activations: list[Activation]) -> list[ActivationOut]:
    """Activations with their places and what was found about them."""
    named = uids(ctx, [activation.card_id for activation in activations])
    query = select(Manifest).where(Manifest.id.in_([a.manifest_id for a in activations]))
    manifests = {manifest.id: manifest for manifest in ctx.session.scalars(query)}
    return [_activation_out(activation, named, manifests) for activation in activations]


def _activation_out(activation: Activation, named: dict[UUID, str], manifests: dict[UUID, Manifest]) -> ActivationOut:
    manifest = manifests[activation.manifest_id]
    return ActivationOut(
        id=activation.id,
        state=manifest.state,
        sam_uid=named[activation.card_id],
        unit_id=activation.unit_id,
        at=activation.at,
        latitude=activation.latitude_e7 / 1e7,
        longitude=activation.longitude_e7 / 1e7,
        accuracy_m=activation.accuracy_m,
        source=activation.source,
        address=activation.address,
        region_code=activation.region_code,
        place={
            "outcome": activation.place_outcome,
            "distance_m": activation.place_distance_m,
            "nearest": activation.place_nearest,
            "source": activation.place_source,
            "source_sha256": activation.place_source_sha256,
            "region_version": activation.region_version,
        },
        reason=activation.reason,
        review={"state": activation.review_state, "note": activation.review_note, "at": activation.reviewed_at},
        manifest={
            "id": str(manifest.id),
            "seq": manifest.seq,
            "epoch": manifest.epoch,
            "state": manifest.state,
            "expires_at": manifest.expires_at,
            "links": links("manifests", manifest.id, download="download"),
        },
        links=links("activations", activation.id, review="review") | {"manifest": f"{API}/manifests/{manifest.id}"},
    )
