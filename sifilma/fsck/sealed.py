"""Invariants of sealed values: each is opened in memory and compared with its row. They need the HSM.

Manifests and tokens never change once stored. So a batch is read, the transaction is ended, and then the HSM is called.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any
from uuid import UUID

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from hsm.derivation import kcv
from hsm.errors import HSMKeyMissing, HSMMisuse
from hsm.keys import MASTER, label_of
from hsm.token import Operations
from manifests import conf
from manifests.payload import Manifest as Payload
from manifests.payload import payload_hash
from manifests.verifier import Expectations, Reason, verify
from sifilma.activation.models import Activation, DataKey, Manifest, Token
from sifilma.activation.tokens import sealing
from sifilma.activation.tokens import service as tokens
from sifilma.activation.trust import key_checks, keyset, status_list
from sifilma.activation.trust.keyset import Trust
from sifilma.approvals.models import ProposalState
from sifilma.cards.models import Card, Unit
from sifilma.cards.upkeep.models import UnitCorrection
from sifilma.fsck.registry import Found, Needs, outside
from sifilma.fsck.snapshot import Broken, Outside, broken

STANDING = ("active", "suspended")


def _then(former: Any, now: Any) -> Any:
    """Return what a number of the unit was when the activation was written: the first correction after it has the former one."""
    after = (UnitCorrection.unit_id == Unit.id, UnitCorrection.state == ProposalState.EXECUTED, UnitCorrection.act_id > Activation.act_id)
    first = select(former).where(*after).order_by(UnitCorrection.act_id).limit(1).correlate(Unit, Activation).scalar_subquery()
    return func.coalesce(first, now)


_stated = aliased(Activation)
_stated_source = select(_stated.source).where(_stated.id == Activation.stated_by).correlate(Activation).scalar_subquery()
_MANIFESTS = (
    select(
        Manifest.id, Manifest.seq, Manifest.epoch, Manifest.kid, Manifest.state, Manifest.issued_at, Manifest.expires_at,
        Manifest.refuse_after, Manifest.payload_hash, Manifest.previous_hash, Manifest.status_list, Manifest.status_index,
        Manifest.sealed_body, Manifest.organisation_id, Card.uid, Card.function, Card.key_version, Card.kcv,
        Card.personalisation_request_id, _then(UnitCorrection.former_hardware_number, Unit.hardware_number).label("hardware_number"),
        _then(UnitCorrection.former_pcid, Unit.pcid).label("pcid"), Activation.latitude_e7, Activation.longitude_e7,
        Activation.accuracy_m, Activation.region_code,
        func.coalesce(_stated_source, Activation.source).label("source"), DataKey.organisation_id.label("key_owner"), DataKey.month,
        DataKey.sealed.label("sealed_key"),
    )
    .join(Card, Card.id == Manifest.card_id)
    .join(Activation, Activation.id == Manifest.activation_id)
    .join(Unit, Unit.id == Activation.unit_id)
    .join(DataKey, DataKey.id == Manifest.data_key_id)
)  # fmt: skip
_TOKENS = select(Token.id, Token.activation_request_id, Token.organisation_id, Token.mac, Token.sealed, Card.uid).join(
    Card, Card.id == Token.card_id
)
Opened = dict[UUID, tuple[bytes, bytes | None]]
"""By manifest: the JWS, and the open key of its card, None where its master key is closed."""


@outside("manifest-verifies", "Every stored manifest verifies, in a program that is not ours too, and says what its row says.", Needs.HSM)
def manifest_verifies(look: Outside) -> Found:
    """Check the signature with joserfc and the rest with our verifier; `conf` must open this card in this unit."""
    published = keyset.load(look.settings)
    for rows in look.batches(_MANIFESTS, Manifest.id):
        opened, unopened = _open_manifests(look, rows)
        yield from unopened
        for row in rows:
            if row.id in opened:
                yield from (broken("manifest", row.id, fault) for fault in _manifest_faults(published, row, *opened[row.id]))


def _open_manifests(look: Outside, rows: Sequence[Any]) -> tuple[Opened, list[Broken]]:
    closed = key_checks.load_record(look.settings).closed
    return look.hsm.run(lambda do: _open(do, rows, closed))


def _open(do: Operations, rows: Sequence[Any], closed: Container[str]) -> tuple[Opened, list[Broken]]:
    keys: dict[bytes, Any] = {}
    opened: Opened = {}
    unopened = []
    for row in rows:
        try:
            # One data key serves an organisation's manifests of a month: it is unsealed once per batch.
            key = keys.get(row.sealed_key) or sealing.open_key(do, row.key_owner, row.month, row.sealed_key)
            keys[row.sealed_key] = key
            line = sealing.open_sealed(key, row.sealed_body, b"manifest", row.id)
            known = f"{MASTER}{row.key_version}" not in closed  # else its cards are out of use, and the check value has to do
            opened[row.id] = (line, do.derive_open_key(row.key_version, bytes.fromhex(row.uid)) if known else None)
        except (HSMMisuse, HSMKeyMissing, ValueError):
            unopened.append(broken("manifest", row.id, "does not open: body or data key was changed or exchanged"))
    return opened, unopened


def _manifest_faults(published: Trust, row: Any, line: bytes, open_key: bytes | None) -> Iterator[str]:
    key = published.keyset.find(row.kid, "manifest")
    if key is None:
        yield "is signed by no manifest key of the keyset"
        return
    try:
        jws.deserialize_compact(line, ECKey.import_key(dict(key.jwk.model_dump())), algorithms=["ES256"])
    except (JoseError, ValueError):
        yield "has a signature that does not verify"
        return
    verdict = verify(line, Expectations(published.pin, published.file, int(row.issued_at.timestamp()), uid=row.uid))
    # A revoked key makes its manifests invalid on purpose: only one that is still in use is a fault.
    retired = verdict.reason is Reason.REVOKED_KEY and row.state not in STANDING
    if not verdict.valid and not retired:
        yield f"is refused by the verifier: {verdict.reason}"
    if verdict.manifest is not None:
        yield from (f"says another {what} than its row" for what in _differences(verdict.manifest, row, open_key))


def _differences(said: Payload, row: Any, open_key: bytes | None) -> Iterator[str]:
    """Yield the names of signed facts that differ from the stored ones."""
    pairs = {
        "jti": (said.jti, str(row.id)),
        "sub": (said.sub, row.uid),
        "fn": (said.fn, row.function),
        "epoch": (said.epoch, row.epoch),
        "seq": (said.seq, row.seq),
        "iat": (said.iat, int(row.issued_at.timestamp())),
        "exp": (said.exp, int(row.expires_at.timestamp())),
        "grace": (said.exp + said.grace, int(row.refuse_after.timestamp())),
        "unit": ((said.unit.hw, said.unit.pcid), (row.hardware_number, row.pcid)),
        "org": (said.org.id, str(row.organisation_id)),
        "place": (
            (said.loc.lat_e7, said.loc.lon_e7, said.loc.acc_m, said.loc.src, said.loc.code),
            (row.latitude_e7, row.longitude_e7, row.accuracy_m, row.source, row.region_code),
        ),
        "card": (
            (said.card.batch, said.card.keyver, said.card.kcv),
            (str(row.personalisation_request_id), row.key_version, kcv(open_key) if open_key else row.kcv),
        ),
        "key check value": (row.kcv, said.card.kcv),
        "conf": (said.cfg.conf, conf.conf(open_key, bytes.fromhex(row.pcid or "00" * 16)) if open_key else said.cfg.conf),
        "prev": (said.prev, row.previous_hash),
        "payload hash": (payload_hash(said.to_bytes()), row.payload_hash),
        "status": (
            (said.status.idx, said.status.uri.endswith(status_list.uri("", row.status_list))),  # the host may have changed since
            (row.status_index, True),
        ),
    }
    return (what for what, (signed, stored) in pairs.items() if signed != stored)


@outside("token-opens", "Every token is sealed under a key of its organisation, and its MAC is of its request and its card.", Needs.HSM)
def token_opens(look: Outside) -> Found:
    """Check that each token opens this card of this request and no other; the MAC only where its key is not closed."""
    closed = key_checks.load_record(look.settings).closed
    for rows, opened in opened_tokens(look):
        known = {row.id: opened[row.id] for row in rows if row.id in opened and _mac_key(row.mac) not in closed}
        wrong = look.hsm.run(lambda do, rows=rows, known=known: _wrong_macs(do, rows, known))  # type: ignore[misc]  # mypy cannot infer the default
        for row in rows:
            if row.id not in opened:
                yield broken("token", row.id, "does not open: it was changed, or is not sealed under a key of its organisation")
            elif row.id in wrong:
                yield broken("token", row.id, f"does not authenticate for its request and card {row.uid}")


def _mac_key(mac: bytes) -> str:
    """Return the label of the key that made a MAC."""
    return label_of(tokens.MAC, sealing.parted(mac, tokens.MAC_LENGTH)[0])


def _wrong_macs(do: Operations, rows: Sequence[Any], opened: dict[UUID, str]) -> set[UUID]:
    return {
        row.id for row in rows if row.id in opened and not tokens.matches(do, row.activation_request_id, row.uid, opened[row.id], row.mac)
    }


def opened_tokens(look: Outside) -> Iterator[tuple[Sequence[Any], dict[UUID, str]]]:
    """Yield tokens in batches, with those that open in clear. The caller holds them only for a comparison."""
    with look.reading() as connection:
        keys = {key.id: key for key in connection.execute(select(DataKey.id, DataKey.organisation_id, DataKey.month, DataKey.sealed))}
    for rows in look.batches(_TOKENS, Token.id):
        yield rows, look.hsm.run(lambda do, rows=rows: _open_tokens(do, rows, keys))  # type: ignore[misc]  # as above


def _open_tokens(do: Operations, rows: Sequence[Any], keys: dict[UUID, Any]) -> dict[UUID, str]:
    opened: dict[UUID, str] = {}
    unsealed: dict[UUID, Any] = {}
    for row in rows:
        data_key = keys.get(UUID(bytes=row.sealed[:16])) if len(row.sealed) > 16 else None
        if data_key is None or data_key.organisation_id != row.organisation_id:
            continue
        try:
            if data_key.id not in unsealed:
                unsealed[data_key.id] = sealing.open_key(do, data_key.organisation_id, data_key.month, data_key.sealed)
            opened[row.id] = sealing.open_sealed(unsealed[data_key.id], row.sealed[16:], b"token", row.id).decode()
        except (HSMMisuse, ValueError):
            continue
    return opened
