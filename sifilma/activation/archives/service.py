"""Many manifests as one ZIP: each recorded as a download of its own, then written group by group."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Select, select

from hsm import HSM
from sifilma.activation.manifests.download import encrypt
from sifilma.activation.models import Activation, DataKey, Manifest, ManifestState
from sifilma.activation.tokens import sealing
from sifilma.audit import rounds
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import Card, DeviceModel, Unit
from sifilma.cards.outlets.queries import card_at_outlets
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict
from sifilma.kernel.text import say
from sifilma.own_files.zips import ZipPart

AT_ONCE = 200
NONE = say("None of these manifests can be given out: no manifest is active, or no machine has a public key.")


@dataclass(frozen=True)
class Listed:
    """A manifest as the archive's index names it. `packed` tells whether its file is in the archive; `jwk` is the unit's key for a JWE."""

    id: UUID
    uid: str
    seq: int
    hardware_number: str
    model: str
    address: str
    region_code: str
    state: str
    expires_at: datetime
    packed: bool
    data_key_id: UUID
    jwk: dict[str, Any] | None

    @property
    def name(self) -> str:
        """Return the name of its files without their extension, the same as of a single download."""
        return f"{self.uid}-{self.seq}"


@dataclass(frozen=True)
class Archive:
    """What is recorded and may be written now: the manifests, the keys that open them, and whether only JWEs are given."""

    manifests: Sequence[Listed]
    keys: dict[UUID, AESGCM] = field(repr=False)
    only_jwe: bool

    @property
    def packed(self) -> list[Listed]:
        """Return the manifests whose files are in the archive."""
        return [one for one in self.manifests if one.packed]


@dataclass(frozen=True)
class Entry:
    """One line of the index: a manifest, and the SHA-256 of each of its files by name."""

    of: Listed
    files: dict[str, str]


def prepare(ctx: Context, hsm: HSM, manifests: Select[Manifest]) -> Archive:
    """Choose what is packed, and record a download for each manifest of it. Whoever may not have the files finds none.

    Packed are the active manifests; the others are listed. An API key gets JWEs only, so a manifest whose unit has no public key is listed.
    Raise Conflict (`no-manifests`) if there is none to be packed, or a unit's row was changed past the service.
    """
    archive = record_downloads(ctx, hsm, manifests)
    if not archive.packed:
        raise Conflict(NONE, type="no-manifests")
    return archive


def record_downloads(ctx: Context, hsm: HSM, manifests: Select[Manifest]) -> Archive:
    """Choose what is packed of some manifests, in the order in which they were issued, and record a download for each.

    Ends the reading transaction, and leaves the records to be committed. Raise Conflict if a unit's row was changed past the service.
    """
    only_jwe = ctx.actor.api_key_id is not None
    found = [_listed(row, only_jwe) for row in ctx.session.execute(_rows_query(ctx, manifests))]
    for unit_id in _units_with_keys(ctx, [one for one in found if one.packed]):
        rounds.require_recorded(ctx, Unit, unit_id)  # whoever puts a key of their own into the row would read the file
    data_keys = ctx.session.scalars(select(DataKey).where(DataKey.id.in_({one.data_key_id for one in found if one.packed}))).all()
    ctx.uow.end_read()
    keys = {one.id: sealing.unwrap(hsm, one) for one in data_keys}
    ctx.uow.begin_write()
    archive = Archive(_as_they_stand(ctx, found), keys, only_jwe)
    for one in archive.packed:
        record(ctx, Action.MANIFEST_DOWNLOAD, "manifest", one.id, form=_form(one, only_jwe), card=one.uid, seq=one.seq, archive=True)
    return archive


def _form(one: Listed, only_jwe: bool) -> str:
    return "jwe" if only_jwe else "jws, jwe" if one.jwk else "jws"


def given_out_query(ctx: Context, manifests: Select[Manifest]) -> Select[Manifest]:
    """Restrict a query to the manifests whose files the actor may have."""
    there = card_at_outlets(Manifest.card_id)
    return scoped(manifests, ctx.actor, Operation.MANIFEST_BODY, Manifest.organisation_id, unit=there).order_by(None)


def _rows_query(ctx: Context, manifests: Select[Manifest]) -> Select[Any]:
    mine = given_out_query(ctx, manifests)
    return (
        select(Manifest.id, Card.uid, Manifest.seq, Unit.hardware_number, DeviceModel.name.label("model"))
        .add_columns(Activation.address, Activation.region_code, Manifest.state, Manifest.expires_at, Manifest.data_key_id, Unit.public_jwk)
        .join(Activation, Activation.id == Manifest.activation_id)
        .join(Card, Card.id == Manifest.card_id)
        .join(Unit, Unit.id == Activation.unit_id)
        .join(DeviceModel, DeviceModel.id == Unit.model_id)
        .where(Manifest.id.in_(mine.with_only_columns(Manifest.id)))
        .order_by(Manifest.id)
    )


def _listed(row: Any, only_jwe: bool) -> Listed:
    values = row._asdict()
    jwk = values.pop("public_jwk")
    return Listed(**values, packed=row.state == ManifestState.ACTIVE and (jwk is not None or not only_jwe), jwk=jwk)


def _units_with_keys(ctx: Context, packed: Sequence[Listed]) -> list[UUID]:
    ids = [one.id for one in packed if one.jwk is not None]
    return list(ctx.session.scalars(select(Activation.unit_id).where(Activation.manifest_id.in_(ids)).distinct())) if ids else []


def _as_they_stand(ctx: Context, found: Sequence[Listed]) -> list[Listed]:
    """Return the manifests with their states of now. One may have been revoked since it was read.

    The lock keeps them as they are until the records of the downloads are committed.
    """
    states: dict[UUID, str] = {}
    for part in _parts(found):
        query = select(Manifest.id, Manifest.state).where(Manifest.id.in_([one.id for one in part])).order_by(Manifest.id)
        states |= dict(ctx.session.execute(query.with_for_update()).all())
    return [replace(one, state=states[one.id], packed=one.packed and states[one.id] == ManifestState.ACTIVE) for one in found]


def _parts(found: Sequence[Listed]) -> Iterator[Sequence[Listed]]:
    return (found[start : start + AT_ONCE] for start in range(0, len(found), AT_ONCE))


def groups(ctx: Context, archive: Archive, out: ZipPart) -> Generator[list[Entry], None, None]:
    """Write the files into the ZIP, AT_ONCE manifests at a time, and yield their entries of the index. The transactions are its own.

    The HSM is not needed any more. A manifest that was revoked since its download was recorded is left out, and listed as it stands now.
    """
    for part in _parts(archive.manifests):
        ctx.uow.begin_read()
        rows = _bodies(ctx, part)
        ctx.uow.end_read()
        yield [Entry(*_written(archive, one, rows[one.id], out)) for one in part]


def write_all(ctx: Context, archive: Archive, out: ZipPart) -> list[Entry]:
    """Write the files into the ZIP in the transaction in which their downloads are recorded. Return their entries of the index."""
    rows = _bodies(ctx, archive.manifests)
    return [Entry(*_written(archive, one, rows[one.id], out)) for one in archive.manifests]


def _bodies(ctx: Context, some: Sequence[Listed]) -> dict[UUID, Any]:
    query = select(Manifest.id, Manifest.state, Manifest.sealed_body).where(Manifest.id.in_([one.id for one in some]))
    return {row.id: row for row in ctx.session.execute(query)}


def _written(archive: Archive, one: Listed, row: Any, out: ZipPart) -> tuple[Listed, dict[str, str]]:
    if not one.packed or row.state != ManifestState.ACTIVE:
        return replace(one, state=row.state, packed=False), {}
    line = sealing.open_sealed(archive.keys[one.data_key_id], row.sealed_body, b"manifest", one.id)
    files = {} if archive.only_jwe else {f"{one.name}.jws": line}
    if one.jwk is not None:
        files[f"{one.name}.jwe"] = encrypt(line, one.jwk)
    return one, {name: out.add(name, data) for name, data in files.items()}
