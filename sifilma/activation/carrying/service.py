"""Issue manifests anew with the same binding: card, unit, place, organisation and end stay; the key, the sequence and the time are new.

This is the one way in which manifests are issued without their holder asking. An order names every manifest in force that one key signed.
For each, the worker makes a token, redeems it and writes the activation in one transaction; nobody ever sees that token. The place was
stated, checked and reviewed with the activation that is repeated (`stated_by`), so it is not checked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, insert, literal, select, update
from sqlalchemy.orm import Session, aliased

from config.settings import Settings
from hsm import HSM
from hsm.token import Operations
from manifests import payload
from sifilma.activation.carrying import queries
from sifilma.activation.carrying.models import Outcome, Reissue, ReissueCard
from sifilma.activation.carrying.queries import Order
from sifilma.activation.issuing import service as issuing
from sifilma.activation.issuing.rules import expiry
from sifilma.activation.issuing.service import Signed, Terms
from sifilma.activation.issuing.statements import INSERT_AUDIT, INSERT_CARRIED, INSERT_MANIFEST, REDEEM, SUPERSEDE, UPDATE_CARD
from sifilma.activation.models import REPEATED, TOKEN, Activation, Manifest, ManifestState, Token, TokenState
from sifilma.activation.tokens import sealing
from sifilma.activation.tokens import service as tokens
from sifilma.activation.tokens.service import Fresh
from sifilma.activation.trust import keyset, status_list
from sifilma.audit import recorded
from sifilma.audit.models import Action, AuditEntry
from sifilma.audit.service import entry_values
from sifilma.cards.models import CARD, CardState, UnitCondition
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import changed
from sifilma.kernel.errors import Conflict
from sifilma.kernel.ids import uuid7
from sifilma.kernel.statements.prepared import Step, run_all
from sifilma.kernel.text import say

COMPROMISED, REPLACED = "compromised", "replaced"
STANDING = (ManifestState.ACTIVE.value, ManifestState.SUSPENDED.value)
SINCE = say("This manifest was replaced, or has ended, since the order was given.")
UNIT_BROKEN = say("The machine is broken: the card gets its manifest with the replacement, or by a new order after the repair.")
NO_AGREEMENT = say("The institution has no agreement (PKS) that is valid today.")
OTHER_KEY = say("The card's key is not the one it was registered with: it cannot be activated.")
MOVED = say("Something happened to this card, or to its machine, a moment ago. Look again.")
Ended = Callable[[Session, Reissue, UUID, int], None]
_hooks: list[Ended] = []


def on_ended(hook: Ended) -> None:
    """Have `hook` called for each holder when an order has ended: the order, the organisation, and how many manifests are new to it."""
    if hook not in _hooks:
        _hooks.append(hook)


def begin(ctx: Context, act: Act, label: str, kid: str, cause: str) -> Reissue:
    """Order every manifest in force that a key signed to be issued anew, but those that wait in an order already. Return the order.

    `act` is that of the first custodian. The key must not be the one in use: the caller has rotated it.
    """
    order = Reissue(id=uuid7(), kid=kid, label=label, cause=cause, total=_standing_count(ctx, kid), began_at=ctx.now, act_id=act.id)
    ctx.session.add(order)
    ctx.session.flush()
    named = select(literal(order.id), Manifest.id, Manifest.card_id, Manifest.organisation_id, literal(Outcome.WAITING.value), literal(""))
    columns = ["reissue_id", "manifest_id", "card_id", "organisation_id", "outcome", "reason"]
    ctx.session.execute(insert(ReissueCard).from_select(columns, named.where(*_to_carry(kid)), include_defaults=False))
    return order


def _standing_count(ctx: Context, kid: str) -> int:
    return ctx.session.scalar(select(func.count()).select_from(Manifest).where(*_to_carry(kid))) or 0


def _to_carry(kid: str) -> tuple[Any, ...]:
    other = aliased(ReissueCard)
    waits = exists().where(other.manifest_id == Manifest.id, other.outcome == Outcome.WAITING.value)
    return Manifest.kid == kid, Manifest.state.in_(STANDING), ~waits


# --- what the worker does ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """What the HSM made for one card of an order: the token, and the manifest. `row` says what is bound (`queries.bindings`)."""

    row: Any
    fresh: Fresh
    signed: Signed


def carry(ctx: Context, settings: Settings, hsm: HSM, order: Order, manifests: Sequence[UUID]) -> int:
    """Issue these manifests of an order anew, in one transaction. Return how many cards of it were settled.

    Raise ClockNotTrusted and HSMError; Conflict or IntegrityError if something that was read has changed since. Then nothing is written.
    """
    at = ctx.trusted_now
    rows = _rows(ctx, hsm, order, manifests)
    ctx.uow.end_read()
    left = {row.standing_manifest_id: reason for row in rows if (reason := _objection(row, at))}
    ready = [row for row in rows if row.standing_manifest_id not in left]
    places = ctx.uow.separately(lambda session: status_list.reserve(session, len(ready), settings.status_list_size))
    bound = [_Bound(row._mapping, number, index) for row, (number, index) in zip(ready, places, strict=True)]
    made = hsm.through(lambda token: _signed(at, settings, token, order, bound))
    left |= {row.standing_manifest_id: str(OTHER_KEY) for row, one in zip(bound, made, strict=True) if one is None}
    ctx.uow.begin_write()
    _write(ctx, settings, order, [one for one in made if one is not None])
    for manifest_id, reason in left.items():
        _settle(ctx, order, manifest_id, {"outcome": Outcome.PASSED_OVER.value, "reason": reason})
    return len(rows)


class _Bound:
    """A row of `bindings` with the index of the status list that its new manifest has."""

    def __init__(self, row: Mapping[Any, Any], number: int, index: int) -> None:
        self.__dict__.update(row, status_list=number, status_index=index)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def _rows(ctx: Context, hsm: HSM, order: Order, manifests: Sequence[UUID]) -> list[Any]:
    rows = queries.bindings(ctx.session, order.id, manifests, ctx.now)
    without = {row.holder_id for row in rows if row.data_key_id is None}
    for organisation_id in sorted(without):  # the organisation's first manifest of the month
        ctx.uow.begin_read()
        sealing.ensure_key(ctx, hsm, organisation_id)
    if without:
        ctx.uow.begin_read()
        rows = queries.bindings(ctx.session, order.id, manifests, ctx.now)
    return rows


def _objection(row: Any, at: datetime) -> str:
    """Return why a card gets no new manifest, or an empty text."""
    if row.manifest_state not in STANDING or row.state not in (CardState.ACTIVE, CardState.SUSPENDED):
        return str(SINCE.template)
    if row.unit_condition != UnitCondition.WORKING:
        return str(UNIT_BROKEN.template)
    if row.organisation_kind == OrganisationKind.INSTITUTION and row.agreement_end is None:
        return str(NO_AGREEMENT.template)
    return str(SINCE.template) if row.expires_at <= at + timedelta(seconds=1) else ""


def _signed(at: datetime, settings: Settings, token: HSM, order: Order, bound: Sequence[Any]) -> list[Made | None]:
    """Make tokens and manifests in one call to one HSM. Raise Conflict while its key is that of the order: a new keyset is not read yet."""
    signer = keyset.signer(settings, token, "manifest-sign", at)
    if signer.kid == order.kid:
        raise Conflict(MOVED, type="card-not-ready")
    return token.run(lambda do: _make_all(do, at, settings, bound, signer))


def _make_all(do: Operations, at: datetime, settings: Settings, bound: Sequence[Any], signer: keyset.Signer) -> list[Made | None]:
    keys: issuing.DataKeys = {}
    return [_make(do, at, settings, row, signer, keys) for row in bound]


def _make(do: Operations, at: datetime, settings: Settings, row: Any, signer: keyset.Signer, keys: issuing.DataKeys) -> Made | None:
    """Make the token and the manifest of one card. Return None for a card whose key is another one than it was registered with."""
    try:
        signed = issuing.make(do, at, settings, row, _terms(at, settings, row), signer, keys)
    except Conflict:
        return None
    key = keys[row.data_key_sealed]  # `make` has opened it
    return Made(row, tokens.make_one(do, (row.request_id, row.card_id, row.uid), row.data_key_id, key), signed)


def _terms(at: datetime, settings: Settings, row: Any) -> Terms:
    """Return place and end as they were: no manifest lives longer because it was issued anew."""
    ends = min(int(row.expires_at.timestamp()), expiry(at, settings.manifest_years, row.agreement_end))
    place = {"lat_e7": row.latitude_e7, "lon_e7": row.longitude_e7, "acc_m": row.accuracy_m, "src": row.source, "code": row.region_code}
    return Terms(uuid7(), payload.Location(at=int(row.stated_at.timestamp()), **place), ends)


def _write(ctx: Context, settings: Settings, order: Order, made: Sequence[Made]) -> None:
    """Write tokens, activations and manifests in the order of the locks: token, manifest, card."""
    ordered = ctx.session.get_one(AuditEntry, order.act_id)
    for one in made:
        ctx.session.add(_token(ctx, settings, order, one, Act(ordered.id, ordered.at, ordered.user_id)))
    ctx.session.flush()
    steps = [step for one in made for step in _steps(ctx, one)]
    if run_all(ctx.session, steps) is not None:
        raise Conflict(MOVED, type="card-not-ready")
    for one in made:
        carried = {"outcome": Outcome.CARRIED.value, "new_manifest_id": UUID(one.signed.manifest.jti)}
        _settle(ctx, order, one.row.standing_manifest_id, carried)


def _token(ctx: Context, settings: Settings, order: Order, one: Made, act: Act) -> Token:
    token = Token(
        id=one.fresh.id,
        activation_request_id=one.row.request_id,
        card_id=one.row.card_id,
        organisation_id=one.row.holder_id,
        mac=one.fresh.mac,
        sealed=one.fresh.sealed,
        tries=0,
        expires_at=ctx.trusted_now + timedelta(days=settings.token_days),
        status_list=one.row.status_list,
        status_index=one.row.status_index,
        reissue_id=order.id,
    )
    TOKEN.born(token, TokenState.ISSUED, act)
    return token


def _steps(ctx: Context, one: Made) -> list[Step]:
    row, manifest, activation_id = one.row, one.signed.manifest, uuid7()
    state = CardState(row.state)
    facts = {"card": row.uid, "seq": manifest.seq, "manifest": manifest.jti, "stated_by": str(row.stated_by)}
    entry = entry_values(ctx, Action.ACTIVATION_CARRY, "activation", activation_id, row.holder_id, facts)
    made = _activation_values(ctx, one, activation_id)
    facts |= recorded.entry_facts(Activation, made, entry["salt"])
    act = {"act_id": entry["id"], "changed_at": entry["at"], "changed_by": ctx.actor.user_id}
    bound = {f"b_{name}": value for name, value in act.items()}
    CARD.require(row, state)
    of_card = {"b_card": row.card_id, "b_revision": row.revision, "b_seq": manifest.seq, "b_state": state.value}
    return [
        (INSERT_AUDIT, entry),
        (REDEEM, bound | {"b_token": one.fresh.id, "b_now": ctx.now}),
        (SUPERSEDE, bound | {"b_manifest": row.standing_manifest_id}),
        (INSERT_CARRIED, made | {"act_id": entry["id"]}),
        (INSERT_MANIFEST, issuing.manifest_values(row, one.signed, activation_id, state) | act | {"change_note": "", "revision": 1}),
        (UPDATE_CARD, bound | of_card | {"b_unit": row.unit_id, "b_unit_revision": row.unit_revision}),
    ]


def _activation_values(ctx: Context, one: Made, activation_id: UUID) -> dict[str, Any]:
    row = one.row
    own = {"organisation_id": row.holder_id, "activation_request_id": row.request_id}
    return {name: own.get(name) or getattr(row, name) for name in REPEATED} | {
        "id": activation_id,
        "token_id": one.fresh.id,
        "manifest_id": UUID(one.signed.manifest.jti),
        "at": ctx.now,
        "source": "carried",
        "stated_by": row.stated_by,
        "review_state": "none",
        "review_note": "",
        "user_id": None,
        "api_key_id": None,
    }


def _settle(ctx: Context, order: Order, manifest_id: UUID, values: Mapping[str, Any]) -> None:
    of_it = (ReissueCard.reissue_id == order.id, ReissueCard.manifest_id == manifest_id, ReissueCard.outcome == Outcome.WAITING)
    statement = update(ReissueCard).where(*of_it).values(**values).execution_options(synchronize_session=False)
    if not changed(ctx.session.execute(statement)):
        raise Conflict(MOVED, type="card-not-ready")


def end(ctx: Context, order_id: UUID) -> bool:
    """End an order of which no card waits, and tell the holders. Return False if cards wait."""
    order = ctx.session.get_one(Reissue, order_id, with_for_update=True)
    if order.ended_at is not None or queries.waiting_manifests(ctx.session, order.id, None, 1):
        return False
    order.ended_at = ctx.now
    ctx.session.flush()
    for organisation_id, carried in queries.organisations(ctx.session, order.id):
        for hook in _hooks:
            hook(ctx.session, order, organisation_id, carried)
    return True
