"""Verify manifests: the steps of docs/manifest.md in the order given there. Each refusal has one reason from a closed list."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import ValidationError

from manifests import jws, status
from manifests.encoding import Malformed
from manifests.keyset import Key, Keyset, KeysetRefused, verify_keyset
from manifests.payload import MAX_BYTES, Manifest
from manifests.status import StatusRefused, StatusValue

MAX_FILE = MAX_BYTES * 4 // 3 + 1024  # base64url of the longest payload, and room for header and signature
TOLERANCE = 300  # seconds that the verifier's clock may be behind the issuer's: clocks of readers drift by minutes


class Reason(StrEnum):
    """Why a file is refused. The values are stable and public."""

    TOO_LONG = "too-long"
    MALFORMED = "malformed"
    KEYSET = "keyset-not-trusted"
    UNKNOWN_KEY = "unknown-key"
    REVOKED_KEY = "revoked-key"
    SIGNATURE = "signature-wrong"
    PAYLOAD = "payload-not-allowed"
    ISSUED_OUTSIDE_KEY = "issued-outside-key-validity"
    WRONG_CARD = "wrong-card"
    ROLLBACK = "older-than-seen"
    EPOCH = "epoch-not-of-keyset"
    NOT_YET = "not-yet-valid"
    EXPIRED = "expired"
    STATUS_UNUSABLE = "status-list-unusable"
    REVOKED = "revoked"
    SUSPENDED = "suspended"


@dataclass(frozen=True)
class Verdict:
    """The result. `warning` is set in the grace period after `exp`. `manifest` is set as soon as its signature was verified."""

    valid: bool
    reason: Reason | None = None
    detail: str = ""
    manifest: Manifest | None = None
    warning: str = ""


@dataclass(frozen=True)
class Expectations:
    """What the verifier knows: the root's pin, the keyset, and what its reader remembers. Times are seconds since 1970 (UTC).

    Checks whose value is None are left out. `min_epoch` and `min_seq` are the newest pair the reader has seen for this card,
    `min_keyset_version` is the highest version of a keyset that it has seen at all.
    """

    root_sha256: str
    keyset: bytes
    at: int
    status: bytes | None = None
    uid: str | None = None
    min_epoch: int | None = None
    min_seq: int = 0
    min_status_seq: int = 0
    min_keyset_version: int = 0


class _Refused(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def verify(data: bytes, expected: Expectations) -> Verdict:
    """Verify one manifest file. Never raise for bad input: the verdict gives the reason."""
    manifest: Manifest | None = None
    try:
        keyset, key, parts = _authenticate(data, expected)
        manifest = _parse(parts)
        _check_issue(manifest, key)
        _check_card(manifest, keyset, expected)
        warning = _check_times(manifest, expected.at)
        _check_status(manifest, keyset, expected)
    except _Refused as refused:
        return Verdict(False, refused.reason, refused.detail, manifest)
    return Verdict(True, manifest=manifest, warning=warning)


def _authenticate(data: bytes, expected: Expectations) -> tuple[Keyset, Key, jws.Parts]:
    """Check length, parts, header, key and signature. No byte of the payload is parsed before all of them passed."""
    if len(data) > MAX_FILE:
        raise _Refused(Reason.TOO_LONG, f"the file has {len(data)} bytes, more than {MAX_FILE}")
    try:
        parts = jws.split(data, jws.MANIFEST_TYPE)
    except Malformed as broken:
        raise _Refused(Reason.MALFORMED, str(broken)) from broken
    try:
        keyset = verify_keyset(expected.keyset, expected.root_sha256, expected.min_keyset_version)
    except KeysetRefused as refused:
        raise _Refused(Reason.KEYSET, str(refused)) from refused
    key = keyset.find(parts.kid, "manifest")
    if key is None:
        raise _Refused(Reason.UNKNOWN_KEY, "no manifest key of this kid is in the keyset")
    if key.revoked_at is not None:
        raise _Refused(Reason.REVOKED_KEY, "the key was revoked")
    if not jws.verify(parts, key.jwk.key()):
        raise _Refused(Reason.SIGNATURE, "the signature does not fit the bytes")
    return keyset, key, parts


def _parse(parts: jws.Parts) -> Manifest:
    try:
        return Manifest.from_bytes(parts.payload)
    except Malformed as broken:
        raise _Refused(Reason.PAYLOAD, str(broken)) from broken
    except ValidationError as broken:
        first = broken.errors(include_input=False, include_url=False)[0]
        raise _Refused(Reason.PAYLOAD, f"{'.'.join(map(str, first['loc'])) or 'payload'}: {first['msg']}") from broken


def _check_issue(manifest: Manifest, key: Key) -> None:
    if not key.nbf <= manifest.iat <= key.exp:
        raise _Refused(Reason.ISSUED_OUTSIDE_KEY, "issued when its key was not valid")


def _check_card(manifest: Manifest, keyset: Keyset, expected: Expectations) -> None:
    # The card first: what another card's manifest says of epochs and sequences is no concern of this one.
    if expected.uid is not None and manifest.sub != expected.uid:
        raise _Refused(Reason.WRONG_CARD, f"made for card {manifest.sub}")
    if manifest.epoch > keyset.epoch:
        raise _Refused(Reason.EPOCH, f"epoch {manifest.epoch} is ahead of the keyset's {keyset.epoch}")
    # A reader that remembers no epoch compares `seq` within the manifest's own epoch.
    newest = (manifest.epoch if expected.min_epoch is None else expected.min_epoch, expected.min_seq)
    if (manifest.epoch, manifest.seq) < newest:
        raise _Refused(Reason.ROLLBACK, f"epoch {manifest.epoch} seq {manifest.seq} is older than one already seen")


def _check_times(manifest: Manifest, at: int) -> str:
    # The tolerance is for beginnings only: an end that is put off would let a manifest live longer than its issuer meant.
    if at + TOLERANCE < manifest.nbf:
        raise _Refused(Reason.NOT_YET, f"valid from {manifest.nbf}")
    if at > manifest.exp + manifest.grace:
        raise _Refused(Reason.EXPIRED, f"ended at {manifest.exp}, grace until {manifest.exp + manifest.grace}")
    return "past its end, within the grace period: renew it" if at > manifest.exp else ""


def _check_status(manifest: Manifest, keyset: Keyset, expected: Expectations) -> None:
    # The list is optional, because a reader may be without a network.
    if expected.status is None:
        return
    try:
        key = keyset.find(status.split_status(expected.status).kid, "status")
        if key is None or key.revoked_at is not None:
            raise StatusRefused("no status key of this kid is in the keyset")
        listed = status.verify_status(expected.status, key.jwk.key(), min_seq=expected.min_status_seq)
        if listed.iss != manifest.iss or not manifest.status.uri.endswith(f"/status/{listed.list}.jws"):
            raise StatusRefused("this is not the list the manifest points to")
        # A list from the future would stay usable for longer than its issuer meant: it is refused like one from outside its key's period.
        # The tolerance is for the clock of the verifier; the period of the key is compared as it is.
        if not key.nbf <= listed.iat <= min(key.exp, expected.at + TOLERANCE):
            raise StatusRefused("the status list was issued at an impossible time")
        if expected.at > listed.exp:
            raise StatusRefused("the status list is too old: fetch a fresh one")
        value = listed.value(manifest.status.idx)
    except (StatusRefused, Malformed) as refused:
        raise _Refused(Reason.STATUS_UNUSABLE, str(refused)) from refused
    if value is not StatusValue.VALID:
        reason = Reason.REVOKED if value is StatusValue.REVOKED else Reason.SUSPENDED
        raise _Refused(reason, f"the status list says {value.name.lower()}")
