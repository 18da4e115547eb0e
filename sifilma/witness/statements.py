"""Statements: what is told to a witness, each signed by the HSM's `audit-sign` key and naming the one before.

A statement is a compact JWS of type `sifilma-witness+jwt`. Its payload is a JSON object with `seq`, `iat`, `iss`, `kind`, `previous` (the
SHA-256 of the bytes of the statement before, in hex; empty in the first) and `told`, what it tells. Who takes one out, changes one or puts
an older row in its place breaks this chain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from manifests import jws
from manifests.encoding import Malformed, strict_json

TYPE = "sifilma-witness+jwt"
MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 6
_MEMBERS = {"seq", "iat", "iss", "kind", "previous", "told"}


class Kind(StrEnum):
    """What a statement tells, and the members of its `told`."""

    RESERVED = "reserved"
    """Numbers of a counter up to `end` (the last one included) may leave from now on: `name`, `end`."""
    STATUS_LIST = "status-list"
    """A published status list: `list`, `seq`, `jws` (the list as a signed line)."""
    REVOKED = "revoked"
    """Manifests and cards that ended or were suspended: `items`, each with `kind`, `id`, `state`, `entry` (of the record), `at`."""
    DISABLED = "disabled"
    """People and keys that were disabled: `items`, as in `revoked`."""
    KEYSET = "keyset"
    """A published keyset: `version`, `epoch`, `jws` (the keyset as a signed line)."""
    CHECKPOINT = "checkpoint"
    """A checkpoint of the transparency log: `origin`, `size`, `note`."""
    MADE = "made"
    """Cards, papers, requests, people and manifests that were made or moved on: `items`, as in `revoked`."""
    RECONCILED = "reconciled"
    """A restored database goes on from here: `epoch`, `statements` (how many the witness had), `log` (the origin of its log)."""


class StatementRefused(ValueError):
    """This is no statement of this installation, or not the one that comes here. The text says why."""


@dataclass(frozen=True)
class Statement:
    """A statement as it was read. `told` is what its kind says."""

    seq: int
    iat: int
    iss: str
    kind: str
    previous: str
    told: dict[str, Any]


def log_subject(origin: str) -> str:
    """Return what checkpoints of a log are counted under."""
    return hashlib.sha256(origin.encode()).hexdigest()[:32]


def digest(content: bytes) -> str:
    """Return the SHA-256 of a statement in hex, as the next one names it."""
    return hashlib.sha256(content).hexdigest()


def payload(statement: Statement) -> bytes:
    """Return the bytes that are signed."""
    return json.dumps(vars(statement), separators=(",", ":"), sort_keys=True).encode()


def sign(statement: Statement, kid: str, signer: jws.Sign) -> bytes:
    """Return a statement as a signed line. `signer` takes the 32-byte SHA-256 digest and returns 64 bytes r ‖ s."""
    return jws.sign(payload(statement), kid, TYPE, signer).encode()


def claim(content: bytes) -> Statement:
    """Return what a statement says, without checking who signed it. Raise StatementRefused for anything malformed."""
    return _read(content)[1]


def verify(content: bytes, keys: Iterable[ec.EllipticCurvePublicKey], *, seq: int, previous: str) -> Statement:
    """Return a statement that one of the keys signed, that has this number, and that names the one before. Raise StatementRefused."""
    parts, found = _read(content)
    key = next((one for one in keys if jws.thumbprint(one) == parts.kid), None)
    if key is None:
        raise StatementRefused(f"statement {seq} is signed by a key that the keyset does not vouch for")
    if not jws.verify(parts, key):
        raise StatementRefused(f"statement {seq} is not what was signed")
    if found.seq != seq:
        raise StatementRefused(f"under the number {seq} lies statement {found.seq}")
    if found.previous != previous:
        raise StatementRefused(f"statement {seq} does not follow the one before it")
    return found


def _read(content: bytes) -> tuple[jws.Parts, Statement]:
    if len(content) > MAX_BYTES:
        raise StatementRefused("the statement is too large")
    try:
        parts = jws.split(content, TYPE)
        said = strict_json(parts.payload, max_depth=MAX_DEPTH)
    except Malformed as broken:
        raise StatementRefused(f"the statement is malformed: {broken}") from broken
    if set(said) != _MEMBERS:
        raise StatementRefused("the statement has other members")
    found = Statement(**said)
    texts, numbers = (found.iss, found.kind, found.previous), (found.seq, found.iat)
    if not (all(isinstance(one, str) for one in texts) and all(type(one) is int for one in numbers) and isinstance(found.told, dict)):
        raise StatementRefused("the statement's members are of other types")
    return parts, found
