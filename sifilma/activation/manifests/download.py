"""Download a manifest: by a person with a fresh code, or as a JWE that only the unit can open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from joserfc import jwe
from joserfc.jwk import ECKey
from sqlalchemy import select

from hsm import HSM
from sifilma.activation.models import Activation, DataKey, Manifest, ManifestState
from sifilma.activation.queries import get_manifest
from sifilma.activation.tokens import sealing
from sifilma.audit import rounds
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import Card, Unit
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict
from sifilma.kernel.text import say

_ALGORITHMS = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "typ": "sam-manifest+jwe", "cty": "sam-manifest+jws"}


@dataclass(frozen=True)
class File:
    """A file to be sent: its name, such as `30154B0100001234-3.jws`, and one ASCII line of type `application/jose`."""

    name: str
    data: bytes


def download(ctx: Context, hsm: HSM, manifest_id: UUID, form: str) -> File:
    """Open the body in memory, record the download, and return the file. An API key gets a JWE to the unit's key, and no other form.

    Raise NotFound outside the actor's scope, and Conflict if the manifest is not active, the unit has no public key, or its row was changed
    past the service (`row-differs`).
    """
    manifest = get_manifest(ctx, manifest_id, Operation.MANIFEST_BODY)
    _require_standing(manifest.state)
    wants_jwe = form == "jwe" or ctx.actor.api_key_id is not None
    uid, unit_id, public_jwk = _card_and_key(ctx, manifest)
    if wants_jwe and public_jwk is None:
        raise Conflict("The unit has registered no public key: a person must fetch this file.", type="no-public-key")
    if wants_jwe:
        rounds.require_recorded(ctx, Unit, unit_id)  # whoever puts a key of their own into the row would read the file
    data_key = ctx.session.get_one(DataKey, manifest.data_key_id)
    name = f"{uid}-{manifest.seq}"
    ctx.uow.end_read()
    key = sealing.unwrap(hsm, data_key)
    line = sealing.open_sealed(key, manifest.sealed_body, b"manifest", manifest_id)
    ctx.uow.begin_write()
    # It may have been revoked since it was read. The lock keeps it active until the record of this download is committed.
    _require_standing(ctx.session.scalars(select(Manifest.state).where(Manifest.id == manifest_id).with_for_update()).one())
    record(ctx, Action.MANIFEST_DOWNLOAD, "manifest", manifest_id, form="jwe" if wants_jwe else "jws", card=uid, seq=manifest.seq)
    if wants_jwe and public_jwk is not None:
        return File(f"{name}.jwe", encrypt(line, public_jwk))
    return File(f"{name}.jws", line)


def _require_standing(state: str) -> None:
    if state != ManifestState.ACTIVE:
        raise Conflict(say("A manifest that is %(state)s is not given out any more.", state=state), state=state)


def _card_and_key(ctx: Context, manifest: Manifest) -> tuple[str, UUID, dict[str, Any] | None]:
    row = ctx.session.execute(
        select(Card.uid, Unit.id, Unit.public_jwk)
        .select_from(Activation)
        .join(Card, Card.id == Activation.card_id)
        .join(Unit, Unit.id == Activation.unit_id)
        .where(Activation.id == manifest.activation_id)
    ).one()
    return row.uid, row.id, row.public_jwk


def encrypt(line: bytes, public_jwk: dict[str, Any]) -> bytes:
    """Return a compact JWE around the JWS (RFC 7516; `alg` ECDH-ES+A256KW, `enc` A256GCM; docs/manifest.md, JWE)."""
    return jwe.encrypt_compact(_ALGORITHMS, line, ECKey.import_key(public_jwk), algorithms=["ECDH-ES+A256KW", "A256GCM"]).encode()
