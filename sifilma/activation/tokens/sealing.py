"""Seal tokens and manifest bodies with AES-256-GCM. The data key is one per organisation and month, and is itself sealed in the HSM."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select
from sqlalchemy.orm import Session

from hsm import HSM
from hsm.errors import HSMMisuse
from hsm.keys import label_of
from hsm.token import Operations
from sifilma.activation.models import DataKey
from sifilma.kernel.context import Context
from sifilma.kernel.db import upsert
from sifilma.kernel.ids import uuid7

KEK = "seal-kek"
SEALED_KEY = 60
"""Bytes of a sealed data key: IV (12), key (32) and tag (16)."""
OWN_IV, LONG_IV = 1, 2
"""The format of what the HSM sealed, in one byte before it. OWN_IV: the service chose the IV; LONG_IV: the HSM did, a longer one."""
IVS = {OWN_IV: 12, LONG_IV: 16}
"""Bytes of the IV in each format. Some HSMs insist on an IV of their own; where that has 12 bytes, it opens as OWN_IV does."""
IV, KEY, TAG = 12, 32, 16


def month_of(now: datetime) -> str:
    """Return the month as `YYYY-MM` (UTC)."""
    return f"{now:%Y-%m}"


def key_identity(organisation_id: UUID, month: str) -> bytes:
    """Return the associated data with which a data key is sealed."""
    return b"data-key|" + organisation_id.bytes + month.encode()


def ensure_key(ctx: Context, hsm: HSM, organisation_id: UUID) -> DataKey:
    """Return this month's data key of an organisation, and make it if there is none. Ends the reading transaction.

    The row is committed before anything is sealed with the key, so that two processes that make it at once both use the first row.
    """
    month = month_of(ctx.trusted_now)
    found = _find(ctx.session, organisation_id, month)
    ctx.uow.end_read()
    # No transaction is open: sealing is a call to the HSM.
    if found is None:
        sealed = hsm.run(lambda do: seal_key(do, organisation_id, month, os.urandom(32)))
        ctx.uow.separately(lambda session: _insert(session, organisation_id, month, sealed))
        ctx.uow.begin_read()
        found = _find(ctx.session, organisation_id, month)
        ctx.uow.end_read()
        assert found is not None  # noqa: S101  # inserted a moment ago, by us or by another
    return found


def _find(session: Session, organisation_id: UUID, month: str) -> DataKey | None:
    return session.scalars(select(DataKey).where(DataKey.organisation_id == organisation_id, DataKey.month == month)).first()


def _insert(session: Session, organisation_id: UUID, month: str, sealed: bytes) -> None:
    values: dict[str, Any] = {"id": uuid7(), "organisation_id": organisation_id, "month": month, "sealed": sealed}
    session.execute(upsert(session, DataKey).values(values).on_conflict_do_nothing(index_elements=["organisation_id", "month"]))


def open_key(do: Operations, organisation_id: UUID, month: str, sealed: bytes) -> AESGCM:
    """Return the data key, opened in the HSM. The caller keeps it in memory for one act only."""
    return AESGCM(open_data_key(do, organisation_id, month, sealed))


def open_data_key(do: Operations, organisation_id: UUID, month: str, sealed: bytes) -> bytes:
    """Return the 32 bytes of a data key, opened with the version of `seal-kek` that it was sealed with.

    Raise HSMMisuse for a format that is not known, and for one that does not fit its length.
    """
    version, iv, part = _unpacked(sealed)
    return do.open_sealed(label_of(KEK, version), part, key_identity(organisation_id, month), iv)


def seal_key(do: Operations, organisation_id: UUID, month: str, key: bytes) -> bytes:
    """Return a data key, sealed with the version of `seal-kek` that is in use."""
    version = do.version(KEK)
    made = do.seal(label_of(KEK, version), key, key_identity(organisation_id, month))
    return made if version == 1 else bytes((version, OWN_IV)) + made


def _unpacked(sealed: bytes) -> tuple[int, int, bytes]:
    """Return the version of the key that sealed a data key, the length of the IV in bytes, and IV ‖ ciphertext ‖ tag."""
    if len(sealed) <= SEALED_KEY + 1:  # those of before say no format, and of the first key no version
        version, part = parted(sealed, SEALED_KEY)
        iv = IV
    else:
        version, named, part = sealed[0], sealed[1], sealed[2:]
        if named not in IVS:
            raise HSMMisuse(f"a data key is sealed in the format {named}, which this version does not know")
        iv = IVS[named]
    if len(part) != iv + KEY + TAG or not version:
        raise HSMMisuse(f"a sealed data key of {len(sealed)} bytes is not what any version has made")
    return version, iv, part


def versioned(version: int, made: bytes) -> bytes:
    """Return what a version of a key made, with one byte before it that names the version. The first version is not named."""
    return made if version == 1 else bytes((version,)) + made


def parted(stored: bytes, length: int) -> tuple[int, bytes]:
    """Return the version and what it made, of this length in bytes."""
    return (stored[0], stored[1:]) if len(stored) == length + 1 else (1, stored)


def unwrap(hsm: HSM, data_key: DataKey) -> AESGCM:
    """Return the data key of a row, opened in one call to the HSM. No transaction may be open."""
    return hsm.run(lambda do: open_key(do, data_key.organisation_id, data_key.month, data_key.sealed))


def seal(key: AESGCM, plaintext: bytes, what: bytes, row_id: UUID) -> bytes:
    """Return IV ‖ ciphertext ‖ tag (12, n and 16 bytes). The associated data are `what` and the row's id."""
    iv = os.urandom(IV)
    return iv + key.encrypt(iv, plaintext, what + b"|" + row_id.bytes)


def open_sealed(key: AESGCM, sealed: bytes, what: bytes, row_id: UUID) -> bytes:
    """Return the plaintext. Raise HSMMisuse if the row was changed, or its bytes come from another row."""
    try:
        return key.decrypt(sealed[:IV], sealed[IV:], what + b"|" + row_id.bytes)
    except InvalidTag as changed:
        raise HSMMisuse(f"a sealed {what.decode()} does not open: the row was changed") from changed
