"""Activation: UID, token, machine and place become a manifest (docs/manifest.md, Issuing).

An activation reads in one statement, signs in the HSM with no transaction open, and writes in one transaction. It needs at most ten
statements, which are compiled once. Everywhere locks are taken in the same order: request, token, manifest, card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from config.settings import Settings
from hsm import HSM
from hsm.derivation import kcv as key_check_value
from hsm.errors import HSMKeyChanged
from hsm.keys import MASTER
from hsm.token import Operations
from manifests import conf, jws, payload
from sifilma.activation.issuing.rules import expiry, is_misplaced, placed, require_admitted
from sifilma.activation.issuing.statements import (
    ANSWER,
    BREAK_UNIT,
    COMPLETE,
    END_SUSPENSION,
    INSERT_ACTIVATION,
    INSERT_AUDIT,
    INSERT_MANIFEST,
    READ,
    REDEEM,
    SUPERSEDE,
    UPDATE_CARD,
    write,
)
from sifilma.activation.issuing.tries import one_at_a_time
from sifilma.activation.models import Activation, ManifestState, RequestKind
from sifilma.activation.schemas import ActivationIn, PlaceIn
from sifilma.activation.tokens import sealing
from sifilma.activation.tokens import service as tokens
from sifilma.activation.trust import keyset, status_list
from sifilma.audit import recorded
from sifilma.audit.models import Action
from sifilma.audit.service import entry_values
from sifilma.cards.models import CARD, CardState, UnitCondition
from sifilma.documents.indonesian import WIB
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Invalid
from sifilma.kernel.ids import uuid7
from sifilma.kernel.many.parallel import in_parts
from sifilma.kernel.statements.prepared import Prepared, Step
from sifilma.kernel.text import say
from sifilma.kernel.unit_of_work import assert_no_transaction
from sifilma.regions import codes
from sifilma.regions.place import Outcome, PlaceCheck, Placed

DataKeys = dict[bytes, AESGCM]


@dataclass(frozen=True)
class Issued:
    """The result of an activation: its id, and the manifest's id, sequence and times."""

    activation_id: UUID
    manifest_id: UUID
    seq: int
    epoch: int
    issued_at: datetime
    expires_at: datetime
    place: Placed


@dataclass(frozen=True)
class Ready:
    """An activation that passed every check but that of its token: the input, the row that was read, the place, the manifest's new id."""

    data: ActivationIn
    row: Any
    code: str
    placed: Placed
    manifest_id: UUID


@dataclass(frozen=True)
class Terms:
    """What a manifest states besides its row: its id, the place, and the end of its validity in seconds since 1970."""

    id: UUID
    location: payload.Location
    ends: int


@dataclass(frozen=True)
class Signed:
    """What the HSM made. No transaction was open."""

    manifest: payload.Manifest
    payload_hash: str
    kid: str
    sealed_body: bytes


def activate(ctx: Context, settings: Settings, hsm: HSM, places: PlaceCheck, data: ActivationIn) -> Issued:
    """Activate one card in one machine at one place, and issue its manifest.

    Raise ClockNotTrusted, NotFound if the organisation holds no such card, Conflict if token, card, unit or agreement do not allow it, and
    Invalid for a wrong place or a wrong token. Each wrong try is counted, and the fifth cancels the token. A fault (HSM, database) does not
    change it.
    """
    with one_at_a_time((ctx.actor.organisation_id, data.sam_uid)):
        ctx.uow.restart_read()  # SQLite shows what the request saw when it came: the tries that were counted while it waited, too
        ready = check(ctx, hsm, places, data)
        signed = sign(ctx, settings, hsm, [ready])[0]
        if signed is None:
            _refuse_token(ctx, ready.row.token_id)
    ctx.uow.begin_write()
    return issue(ctx, [(ready, signed)])[0]


def check(ctx: Context, hsm: HSM, places: PlaceCheck, data: ActivationIn) -> Ready:
    """Check everything that can be checked before signing, and end the reading transaction. Raise as `activate` does."""
    ctx.require_trusted_clock()
    data = placed(ctx, data)
    code = codes.normalise(data.region_code)
    row = _read(ctx, data, code)
    if row.data_key_sealed is None:  # the organisation's first manifest of the month
        sealing.ensure_key(ctx, hsm, row.holder_id)
        row = _read(ctx, data, code)
    ctx.uow.end_read()
    return made_ready(places, data, code, row)


def made_ready(places: PlaceCheck, data: ActivationIn, code: str, row: Any) -> Ready:
    """Return an activation whose row is admitted, once its place is checked too. Raise as `check_place` does. Asks no database."""
    return Ready(data, row, code, check_place(places, data, code, row.regency_name), uuid7())


def check_place(places: PlaceCheck, data: PlaceIn, code: str, regency: str) -> Placed:
    """Return what is found about a position and a village of this regency. Raise Invalid for a doubtful place without a reason."""
    placed = places.check(data.latitude, data.longitude, data.accuracy_m, code)
    if placed.outcome is not Outcome.PASS and not data.reason.strip():
        raise _place_needs_reason(placed, regency)
    return placed


def sign(ctx: Context, settings: Settings, hsm: HSM, ready: Sequence[Ready]) -> list[Signed | None]:
    """Sign the manifests in the HSM, outside any transaction: many of them in several sessions at a time.

    An entry is None for a wrong token. Raise ClockNotTrusted.
    """

    def on(token: HSM, some: Sequence[Ready]) -> list[Signed | None]:
        at = ctx.trusted_now
        signer = keyset.signer(settings, token, "manifest-sign", at)
        return token.run(lambda do: _sign_all(do, at, settings, some, signer))

    assert_no_transaction()  # here, since the threads of many know of no transaction
    return in_parts(lambda some: hsm.through(lambda token: on(token, some)), ready)


def issue(ctx: Context, pairs: Sequence[tuple[Ready, Signed]]) -> list[Issued]:
    """Write the activations in one transaction. Raise Conflict if something that was read has changed since; then nothing is written.

    Raise ClockNotTrusted if the clock was set since it was read for the signature.
    """
    _ = ctx.trusted_now
    issued, steps = [], list[Step]()
    for ready, signed in pairs:
        made, activation_id = signed.manifest, uuid7()
        steps += steps_of(ctx, ready, signed, activation_id)
        issued.append(Issued(activation_id, ready.manifest_id, made.seq, made.epoch, _moment(made.iat), _moment(made.exp), ready.placed))
    late = write(ctx.session, steps, len(pairs))
    if late is not None:
        _refuse_late(late)
    return issued


def _read(ctx: Context, data: ActivationIn, code: str) -> Any:
    """Read everything an activation needs in one statement. Raise as `activate` does."""
    row = READ.first(ctx.session, asked_by(ctx) | asked_for(data, code))
    require_admitted(ctx, row, code)
    return row


def asked_by(ctx: Context) -> dict[str, Any]:
    """Return the parameters of READ that are the same for every row of one actor at one moment."""
    today = ctx.now.astimezone(WIB).date()
    return {"organisation": ctx.actor.organisation_id, "month": sealing.month_of(ctx.now), "today": today}


def asked_for(data: ActivationIn, code: str) -> dict[str, Any]:
    """Return the parameters of READ that each row has of its own."""
    return {"uid": data.sam_uid, "hardware": data.hardware_number, "code": code, "regency": codes.regency_of(code)}


def outside_own_region(ctx: Context, code: str) -> bool:
    """Return whether a code lies outside the region of the actor's organisation. Institutions have no region: nothing lies outside."""
    own = ctx.actor.region_code
    return own is not None and not codes.is_within(codes.normalise(code), own)


def warnings(ctx: Context, code: str) -> list[str]:
    """Return what is unusual about an activation at a code, though allowed."""
    return [say("The place lies outside the region of your office.")] if outside_own_region(ctx, code) else []


def _place_needs_reason(placed: Placed, regency: str) -> Invalid:
    distance = round(placed.distance_m / 1000, 1)
    if placed.at_border and not distance:
        told = say("The position lies at the border, perhaps on the other side: check it, or give the reason.")
    else:
        told = say("The position lies %(distance)s km from %(regency)s: check it, or give the reason.", distance=distance, regency=regency)
    return Invalid.field("reason", told, type="place-needs-reason")


def _refuse_token(ctx: Context, token_id: UUID) -> NoReturn:
    raise wrong_token(ctx.uow.separately(lambda session: tokens.count_wrong_try(session, ctx, token_id)))


def wrong_token(left: int) -> Invalid:
    """Return the refusal for a wrong token after the try was counted."""
    hint = say("%(left)s tries are left.", left=left) if left else say("It is cancelled now; ask for a new one.")
    return Invalid.field("token", say("The token is not this card's. %(hint)s", hint=hint), type="token-refused")


def _sign_all(do: Operations, at: datetime, settings: Settings, ready: Sequence[Ready], signer: keyset.Signer) -> list[Signed | None]:
    keys: DataKeys = {}
    return [_sign(do, at, settings, one, signer, keys) for one in ready]


def _sign(do: Operations, at: datetime, settings: Settings, ready: Ready, signer: keyset.Signer, keys: DataKeys) -> Signed | None:
    """Compare the token, and make the manifest. Return None for a wrong token."""
    row = ready.row
    if not tokens.matches(do, row.request_id, row.uid, ready.data.token, row.mac):
        return None
    ends = expiry(at, settings.manifest_years, row.agreement_end)
    return make(do, at, settings, row, Terms(ready.manifest_id, _location(ready.data, int(at.timestamp()), ready.code), ends), signer, keys)


def make(do: Operations, at: datetime, settings: Settings, row: Any, terms: Terms, signer: keyset.Signer, keys: DataKeys) -> Signed:
    """Derive the card's key and compare it, sign the manifest and seal it. Raise as `_require_key` does.

    `keys` are the data keys that were opened in this call, by their sealed bytes: each is opened once.
    """
    open_key = do.derive_open_key(row.key_version, bytes.fromhex(row.uid))
    kcv = _require_key(do, row, open_key)
    manifest = _manifest(at, settings, row, terms, signer.epoch, open_key, kcv)
    body = manifest.to_bytes()
    line = jws.sign(body, signer.kid, jws.MANIFEST_TYPE, lambda digest: do.sign(signer.label, digest))
    key = keys.get(row.data_key_sealed)
    if key is None:
        key = keys[row.data_key_sealed] = sealing.open_key(do, row.holder_id, row.data_key_month, row.data_key_sealed)
    return Signed(manifest, payload.payload_hash(body), signer.kid, sealing.seal(key, line.encode(), b"manifest", terms.id))


def _require_key(do: Operations, row: Any, open_key: bytes) -> str:
    """Return the check value of the key with which the card was personalised.

    Raise HSMKeyChanged for another key if that may be the token's fault, else Conflict.
    """
    found = key_check_value(open_key)
    if found == row.kcv:
        return found
    master = f"{MASTER}{row.key_version}"
    if not do.is_known(master):
        raise HSMKeyChanged(f"{master} is not the key with which {row.uid} was personalised")
    raise Conflict("This card's key is not the one it was registered with: it cannot be activated. Tell the directorate.", type="card-key")


def _manifest(at: datetime, settings: Settings, row: Any, terms: Terms, epoch: int, open_key: bytes, kcv: str) -> payload.Manifest:
    issued = int(at.timestamp())
    return payload.Manifest(
        ver=1,
        iss=settings.issuer,
        jti=str(terms.id),
        sub=row.uid,
        fn=row.function,
        epoch=epoch,
        seq=row.seq + 1,
        iat=issued,
        nbf=issued,
        exp=terms.ends,
        grace=settings.manifest_grace_days * 86400,
        unit=payload.Unit(hw=row.hardware_number, model=row.model_name, pcid=row.pcid),
        org=payload.Organisation(id=str(row.holder_id), name=row.organisation_name, kind=row.organisation_kind),
        loc=terms.location,
        card=payload.Card(batch=str(row.personalisation_request_id), keyver=row.key_version, kcv=kcv),
        cfg=payload.Configuration(profile="pcid-conf/1", conf=conf.conf(open_key, bytes.fromhex(row.pcid))),
        prev=row.previous_hash,
        status=payload.Status(idx=row.status_index, uri=status_list.uri(settings.public_url, row.status_list)),
    )


def _location(data: ActivationIn, at: int, code: str) -> payload.Location:
    degrees = (round(data.latitude * 1e7), round(data.longitude * 1e7))
    return payload.Location(lat_e7=degrees[0], lon_e7=degrees[1], acc_m=round(data.accuracy_m), src=data.source, at=at, code=code)


def steps_of(ctx: Context, ready: Ready, signed: Signed, activation_id: UUID) -> list[Step]:
    """Return the writes of one activation, in the order of the locks: conditional UPDATEs of what was read, and INSERTs.

    Activation, manifest and card come after the token: the triggers of each require what stands before it (`activation/rules.py`).
    """
    data, row, placed = ready.data, ready.row, ready.placed
    facts = {"card": row.uid, "seq": signed.manifest.seq, "manifest": signed.manifest.jti, "place": placed.outcome.value}
    entry = entry_values(ctx, Action.ACTIVATION_CREATE, "activation", activation_id, row.holder_id, facts)
    made = _activation_values(ctx, data, row, placed, signed, activation_id)
    facts |= recorded.entry_facts(Activation, made, entry["salt"])
    act = {"act_id": entry["id"], "changed_at": entry["at"], "changed_by": ctx.actor.user_id}
    bound = {f"b_{name}": value for name, value in act.items()}
    unit = {"b_unit": row.unit_id, "b_unit_revision": row.unit_revision}
    state = _state_after(ready)
    CARD.require(row, state)
    steps: list[Step] = [
        (INSERT_AUDIT, entry),
        (COMPLETE, bound | {"b_request": row.request_id, "b_count": 1}),
        (REDEEM, bound | {"b_token": row.token_id, "b_now": ctx.now}),
    ]
    if row.place_id is not None and placed.outcome is Outcome.PASS:
        steps.append((ANSWER, bound | {"b_place": row.place_id, "b_place_state": row.place_state}))
        if row.place_suspension_id is not None:
            steps.append((END_SUSPENSION, {"b_suspension": row.place_suspension_id, "b_act_id": entry["id"]}))
    if row.standing_manifest_id is not None:
        steps.append((SUPERSEDE, bound | {"b_manifest": row.standing_manifest_id}))
    if row.request_kind == RequestKind.REPLACEMENT and row.former_condition == UnitCondition.WORKING:
        broken = {"b_former": row.tied_unit_id, "b_former_revision": row.former_revision, "b_reason": row.replacement_reason}
        steps.append((BREAK_UNIT, bound | broken))
    return [
        *steps,
        (INSERT_ACTIVATION, made | {"act_id": entry["id"]}),
        (INSERT_MANIFEST, manifest_values(row, signed, activation_id, state) | act | {"change_note": "", "revision": 1}),
        (UPDATE_CARD, bound | unit | {"b_card": row.card_id, "b_revision": row.revision, "b_seq": signed.manifest.seq,
                                      "b_state": state.value}),
    ]  # fmt: skip


def _state_after(ready: Ready) -> CardState:
    """Return the state of the card after its activation.

    One that is suspended for its place stays so, with its new manifest, until an operator has accepted a new place that is doubtful too.
    """
    stays = is_misplaced(ready.row) and ready.placed.outcome is not Outcome.PASS
    return CardState.SUSPENDED if stays else CardState.ACTIVE


_MOVED = ("card-not-ready", say("Something happened to this card, or to its machine, a moment ago. Look again."))
_LATE = {
    COMPLETE: ("request-not-approved", say("The activation request is no longer open: its tokens are used, or it was cancelled.")),
    REDEEM: ("token-used", say("This card's token has been used, or has expired.")),
    SUPERSEDE: ("card-not-ready", say("Something happened to this card's manifest a moment ago. Look again.")),
    ANSWER: _MOVED,
    END_SUSPENSION: _MOVED,
    BREAK_UNIT: _MOVED,
    UPDATE_CARD: _MOVED,
}


def _refuse_late(step: Prepared) -> NoReturn:
    """Raise Conflict for the step whose condition does not hold any more, since another act came first."""
    kind, text = _LATE[step]
    raise Conflict(text, type=kind)


def _activation_values(ctx: Context, data: ActivationIn, row: Any, placed: Placed, signed: Signed, activation_id: UUID) -> dict[str, Any]:
    return {
        "id": activation_id,
        "token_id": row.token_id,
        "card_id": row.card_id,
        "unit_id": row.unit_id,
        "organisation_id": row.holder_id,
        "activation_request_id": row.request_id,
        "manifest_id": UUID(signed.manifest.jti),
        "at": ctx.now,
        "latitude_e7": signed.manifest.loc.lat_e7,
        "longitude_e7": signed.manifest.loc.lon_e7,
        "accuracy_m": signed.manifest.loc.acc_m,
        "source": data.source,
        "address": data.address,
        "region_code": row.region_code,
        "region_version": row.region_version,
        "place_outcome": placed.outcome.value,
        "place_distance_m": placed.distance_m,
        "place_nearest": placed.nearest,
        "place_source": placed.source,
        "place_source_sha256": placed.source_sha256,
        "reason": data.reason,
        "review_state": "none" if placed.outcome is Outcome.PASS else "waiting",
        "review_note": "",
        "user_id": ctx.actor.user_id,
        "api_key_id": ctx.actor.api_key_id,
    }


def manifest_values(row: Any, signed: Signed, activation_id: UUID, state: CardState) -> dict[str, Any]:
    """Return the columns of a manifest, without those of its act. It is in the state of its card."""
    made = signed.manifest
    return {
        "id": UUID(made.jti),
        "activation_id": activation_id,
        "card_id": row.card_id,
        "organisation_id": row.holder_id,
        "epoch": made.epoch,
        "seq": made.seq,
        "kid": signed.kid,
        "issued_at": _moment(made.iat),
        "expires_at": _moment(made.exp),
        "refuse_after": _moment(made.exp) + timedelta(seconds=made.grace),
        "status_list": row.status_list,
        "status_index": row.status_index,
        "payload_hash": signed.payload_hash,
        "previous_hash": made.prev,
        "data_key_id": row.data_key_id,
        "sealed_body": signed.sealed_body,
        "state": ManifestState(state.value).value,
    }


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
