"""Convert activation requests, activations and manifests to schemas and page objects. Tokens and bodies are never among them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import aliased

from sifilma.accounts.serializers import party
from sifilma.activation.carrying.queries import made_for
from sifilma.activation.models import (
    ACTIVATION_REQUEST,
    Activation,
    ActivationRequest,
    ActivationRequestCard,
    Manifest,
    RequestKind,
    Revocation,
    Token,
)
from sifilma.activation.models import RequestState as State
from sifilma.activation.queries import uids
from sifilma.activation.schemas import (
    ActivationOut,
    ActivationRequestBrief,
    ActivationRequestOut,
    ManifestOut,
    ReplacementOut,
    TokenStateOut,
)
from sifilma.activation.tokens import service as tokens
from sifilma.activation.tokens.service import MAX_TRIES
from sifilma.activation.trust import status_list
from sifilma.approvals.letters import letter_warnings
from sifilma.cards.models import Card, Unit
from sifilma.cards.schemas import CardOut
from sifilma.cards.serializers import cards_out, history_out
from sifilma.documents.service import sha256_of
from sifilma.identity.models import Organisation
from sifilma.kernel.context import Context
from sifilma.kernel.db import among
from sifilma.kernel.statements.built_once import one_of_given
from sifilma.kernel.statements.prepared import Prepared
from sifilma.personalisation.serializers import approval_out
from sifilma.regions.service import names_of
from sifilma.web.links import API, links, steps

VERBS = {
    "submit": State.SUBMITTED,
    "return": State.RETURNED,
    "approve": State.APPROVED,
    "reject": State.REJECTED,
    "cancel": State.CANCELLED,
    "tokens": State.COMPLETED,
}


def tokens_to_come(ctx: Context, request: ActivationRequest) -> int:
    """Return for how many cards of an approved request the worker still makes tokens."""
    if request.state != State.APPROVED or request.machines <= tokens.AT_ONCE:
        return 0
    issue = tokens.find_issue(ctx.session, request.id)
    return request.machines - issue.made_to if issue is not None and issue.ended_at is None else 0


def brief(request: ActivationRequest) -> ActivationRequestBrief:
    """Return a request for a list."""
    return ActivationRequestBrief.model_validate(_common(request))


def full(ctx: Context, request: ActivationRequest) -> ActivationRequestOut:
    """Return a request with its cards, the states of its tokens and its steps."""
    part = ActivationRequestCard
    of_request = select(Card.uid).join(part, part.card_id == Card.id).where(part.activation_request_id == request.id)
    return ActivationRequestOut(
        **_common(request),
        notes=request.notes,
        personalisation_request=request.personalisation_request_id,
        files=sha256_of(ctx, {"letter": request.letter_document_id}),
        cards=list(ctx.session.scalars(of_request.order_by(part.position))),
        replacements=_replacements_out(ctx, request),
        tokens=_token_states(ctx, request),
        tokens_to_come=tokens_to_come(ctx, request),
        history=history_out(ctx, ACTIVATION_REQUEST.kind, request.id),
        warnings=list[str](letter_warnings(ctx.now, request.letter_number, request.letter_date)),
    )


def _token_states(ctx: Context, request: ActivationRequest) -> list[TokenStateOut]:
    """Return the tokens of a request, oldest first: as columns, since there may be a hundred thousand."""
    query = select(Card.uid, Token.state, Token.tries, Token.expires_at).join(Card, Card.id == Token.card_id)
    query = query.where(Token.activation_request_id == request.id, Token.reissue_id.is_(None)).order_by(Token.id)
    return [
        TokenStateOut(sam_uid=uid, state=state, tries_left=MAX_TRIES - tries, expires_at=expires_at)
        for uid, state, tries, expires_at in ctx.session.execute(query)
    ]


def _replacements_out(ctx: Context, request: ActivationRequest) -> list[ReplacementOut]:
    if request.kind != RequestKind.REPLACEMENT:
        return []
    part, former, unit = ActivationRequestCard, aliased(Unit), aliased(Unit)
    query = (
        select(Card.uid, former.hardware_number, unit.hardware_number, part.reason)
        .join(part, part.card_id == Card.id)
        .join(former, former.id == part.former_unit_id)
        .join(unit, unit.id == part.unit_id)
        .where(part.activation_request_id == request.id)
        .order_by(part.position)
    )
    return [
        ReplacementOut(sam_uid=uid, former_hardware_number=left, hardware_number=number, reason=reason)
        for uid, left, number, reason in ctx.session.execute(query)
    ]


def replaced_numbers(ctx: Context, cards: Iterable[Any]) -> dict[UUID, str]:
    """Return the hardware numbers of the units that cards of a replacement name, by id; of other kinds none. At most one query."""
    ids = {unit_id for one in cards for unit_id in (one.unit_id, one.former_unit_id) if unit_id is not None}
    return _pairs(ctx, Unit.id, Unit.hardware_number, ids) if ids else {}


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
        "submitted_at": request.submitted_at,
        "links": steps("activation-requests", request.id, ACTIVATION_REQUEST, request.state, VERBS),
    }


_PROPOSALS = Prepared(
    select(Revocation.manifest_id, Revocation.state, Revocation.reason, Revocation.proposed_at)
    .where(one_of_given(Revocation.manifest_id, "manifests"))
    .order_by(Revocation.id)
)


def manifests_out(ctx: Context, manifests: list[Manifest], public_url: str) -> list[ManifestOut]:
    """Return the metadata of manifests, each with the latest proposal to revoke it."""
    named = uids(ctx, [manifest.card_id for manifest in manifests])
    proposals = {row.manifest_id: row for row in _PROPOSALS.read(ctx.session, {"manifests": [manifest.id for manifest in manifests]})}
    anew = made_for(ctx.session, [manifest.id for manifest in manifests])
    return [
        _manifest_out(manifest, named[manifest.card_id], public_url, proposals.get(manifest.id), anew.get(manifest.id))
        for manifest in manifests
    ]


def _manifest_out(manifest: Manifest, uid: str, public_url: str, proposal: Any, anew: tuple[UUID, str] | None) -> ManifestOut:
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
        status={"idx": manifest.status_index, "uri": status_list.uri(public_url, manifest.status_list)},
        activation=manifest.activation_id,
        reissue={"replaces": str(anew[0]), "cause": anew[1]} if anew else None,
        revocation={"state": proposal.state, "reason": proposal.reason, "proposed_at": proposal.proposed_at} if proposal else None,
        links=links("manifests", manifest.id, download="download", revoke="revoke"),
    )


def activations_out(ctx: Context, activations: list[Activation]) -> list[ActivationOut]:
    """Return activations with their places and what the place check found."""
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
        stated_by=activation.stated_by,
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


@dataclass(frozen=True)
class RequestedCard:
    """A card of a request with its latest token. `token` is the token's state, empty before the approval.

    `replacement` is of a replacement: the numbers of the unit that the card leaves and of the one that takes it, and the reason.
    """

    card: CardOut
    token: str = ""
    tries_left: int = 0
    expires_at: datetime | None = None
    replacement: tuple[str, str, str] | None = None


def requested_cards(ctx: Context, request: ActivationRequest, most: int | None = None, after: int = 0) -> list[RequestedCard]:
    """Return the cards of a request in its order, the first `most` behind a position if it is given, in a fixed number of queries."""
    part = ActivationRequestCard
    columns = (part.card_id, part.position, part.unit_id, part.former_unit_id, part.reason)
    rows = select(*columns).where(part.activation_request_id == request.id, part.position > after).order_by(part.position).limit(most)
    named = {one.card_id: one for one in ctx.session.execute(rows)}
    order = {card_id: one.position for card_id, one in named.items()}
    cards = cards_out(ctx, list(ctx.session.scalars(select(Card).where(among(ctx.session, Card.id, order)))))
    of_all = select(Token.card_id, Token.state, Token.tries, Token.expires_at).where(Token.activation_request_id == request.id)
    of_all = of_all.where(Token.reissue_id.is_(None)).order_by(Token.id)
    latest = {
        token.card_id: token for token in ctx.session.execute(of_all.where(among(ctx.session, Token.card_id, order)) if most else of_all)
    }
    numbers = replaced_numbers(ctx, named.values())
    made = []
    for card in sorted(cards, key=lambda card: order[card.id]):
        token, one = latest.get(card.id), named[card.id]
        moved = (numbers[one.former_unit_id], numbers[one.unit_id], one.reason) if one.unit_id and one.former_unit_id else None
        if token is None:
            made.append(RequestedCard(card, replacement=moved))
        else:
            made.append(RequestedCard(card, token.state, MAX_TRIES - token.tries, token.expires_at, moved))
    return made


@dataclass(frozen=True)
class ShownActivation:
    """An activation for a page, with names beside codes and ids."""

    of: ActivationOut
    hardware_number: str
    organisation: str
    village: str
    district: str
    regency: str
    province: str
    nearest: str


def shown(ctx: Context, activations: list[Activation]) -> list[ShownActivation]:
    """Return activations with the names of machines, organisations and places, in three more queries."""
    units = _pairs(ctx, Unit.id, Unit.hardware_number, {a.unit_id for a in activations})
    organisations = _pairs(ctx, Organisation.id, Organisation.name, {a.organisation_id for a in activations})
    names = names_of(ctx.session, [code for a in activations for code in (a.region_code, a.place_nearest)])
    return [
        ShownActivation(
            of=out,
            hardware_number=units[a.unit_id],
            organisation=organisations[a.organisation_id],
            village=names.get(a.region_code, ""),
            district=names.get(a.region_code[:8], ""),
            regency=names.get(a.region_code[:5], ""),
            province=names.get(a.region_code[:2], ""),
            nearest=names.get(a.place_nearest, a.place_nearest),
        )
        for a, out in zip(activations, activations_out(ctx, activations), strict=True)
    ]


def _pairs(ctx: Context, key: Any, value: Any, ids: set[UUID]) -> dict[UUID, str]:
    return dict(ctx.session.execute(select(key, value).where(among(ctx.session, key, ids))).all())
