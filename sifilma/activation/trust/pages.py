"""What the public page answers about a file: whose it is, whether it is genuine, and whether it counts today.

Nothing is told that does not stand in the file itself, but for what became of it since. A file that is unknown here is called unknown,
never refused: it may be somebody else's, or a copy that was saved anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Session

from manifests.payload import Manifest as Payload
from manifests.verifier import Expectations, Reason, Verdict, verify
from sifilma.activation.manifests.pages import place_name
from sifilma.activation.models import Manifest, ManifestState
from sifilma.documents.issued_papers import LookedUp, look_up_file
from sifilma.regions.service import names_of

STATUS_LIST = re.compile(r"/status/(\d+)\.jws$")
JWE_PARTS = 5


class Answer(StrEnum):
    """What the page says of a manifest, in one word. LATER: its status cannot be looked up right now."""

    IN_FORCE = "in_force"
    ENDED = "ended"
    CHANGED = "changed"
    UNTRUSTED = "untrusted"
    UNKNOWN = "unknown"
    LATER = "later"


TEXTS: dict[Reason, tuple[Answer, object]] = {
    Reason.EXPIRED: (Answer.ENDED, _("SI-FILMA issued it. Its validity has ended: the organisation asks for a renewal.")),
    Reason.NOT_YET: (Answer.ENDED, _("SI-FILMA issued it. Its validity begins more than five minutes from now.")),
    Reason.REVOKED: (Answer.ENDED, _("SI-FILMA issued it, and has revoked or replaced it since.")),
    Reason.SUSPENDED: (Answer.ENDED, _("SI-FILMA issued it. It is suspended: no reader takes it until that is lifted.")),
    Reason.STATUS_UNUSABLE: (
        Answer.LATER,
        _("SI-FILMA issued it. Whether it was revoked since cannot be looked up right now: try again in a minute."),
    ),
    Reason.SIGNATURE: (
        Answer.CHANGED,
        _("It names a key of SI-FILMA, but its signature does not fit: somebody changed it. Do not rely on it."),
    ),
    Reason.UNKNOWN_KEY: (
        Answer.UNKNOWN,
        _("It was signed with a key that is not SI-FILMA's. If you were given it as a manifest of SI-FILMA, tell whoever gave it to you."),
    ),
    Reason.REVOKED_KEY: (Answer.UNTRUSTED, _("It was signed with a key that SI-FILMA has withdrawn. Ask for a new manifest.")),
}
UNTRUSTED = _("It was signed by SI-FILMA, but states something that a manifest may not. Do not rely on it, and report it.")
UNKNOWN = _(
    "It is neither a manifest nor a paper of SI-FILMA, as far as this installation knows. A paper must be the very file that SI-FILMA"
    " issued: one that was scanned, signed or saved anew is another file. Then scan the QR code on it, or ask its issuer for the original."
)
ENCRYPTED = _("It is encrypted for one machine, and nobody else can read it. Ask its organisation for the unencrypted file (.jws).")
REPLACED = {
    ManifestState.SUPERSEDED: _("SI-FILMA issued it. A newer manifest of the same card has replaced it."),
    ManifestState.REVOKED: _("SI-FILMA issued it, and has revoked it. The card cannot be used with it any more."),
    ManifestState.EXPIRED: _("SI-FILMA issued it. Its validity has ended: the organisation asks for a renewal."),
}


@dataclass(frozen=True)
class Shown:
    """A manifest in an answer: what stands in it, with the names of its place and the days until which it counts. `ended_at`: since when
    it does not count any more, where that is recorded.
    """

    of: Payload
    place: str
    valid_until: datetime
    grace_until: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class FileAnswer:
    """What is said of an uploaded file. `paper` is set for a paper of ours; `shown` once the signature of a manifest was verified."""

    answer: Answer
    text: object
    paper: LookedUp | None = None
    shown: Shown | None = None
    in_grace: bool = False


@dataclass(frozen=True)
class Trust:
    """What a manifest is verified with: the root's pin, the keyset, and the status list of a number as it is served now."""

    pin: str
    keyset: bytes
    listed: Callable[[int], bytes]
    seconds: Callable[[], int]


def answer_about(session: Session, data: bytes, sha256: str, trust: Trust) -> FileAnswer:
    """Return what is to be said of an uploaded file: its first bytes, more than a manifest has, and the SHA-256 (hex) of all of it."""
    paper = look_up_file(session, sha256)
    if paper is not None:
        return FileAnswer(Answer.IN_FORCE, "", paper)
    verdict = _verdict(data, trust)
    record = session.get(Manifest, UUID(verdict.manifest.jti)) if verdict.manifest else None
    shown = _shown(session, verdict.manifest, record) if verdict.manifest else None
    if verdict.valid:
        return FileAnswer(Answer.IN_FORCE, _("SI-FILMA issued it, and it is valid."), shown=shown, in_grace=bool(verdict.warning))
    if verdict.reason in TEXTS:
        answer, text = TEXTS[verdict.reason]
        if verdict.reason is Reason.REVOKED and record is not None:
            text = REPLACED.get(ManifestState(record.state), text)
        return FileAnswer(answer, text, shown=shown)
    if shown is not None or verdict.reason is Reason.PAYLOAD:
        return FileAnswer(Answer.UNTRUSTED, UNTRUSTED)
    return FileAnswer(Answer.UNKNOWN, ENCRYPTED if data.startswith(b"eyJ") and data.count(b".") == JWE_PARTS - 1 else UNKNOWN)


def _verdict(data: bytes, trust: Trust) -> Verdict:
    # First without a status list: only a manifest that is otherwise valid tells which list to look up.
    verdict = verify(data, Expectations(trust.pin, trust.keyset, trust.seconds()))
    if verdict.valid and verdict.manifest is not None and (found := STATUS_LIST.search(verdict.manifest.status.uri)):
        listed = trust.listed(int(found[1]))
        # The time is read again: signing took time. A list that another node dated slightly ahead is within the format's tolerance.
        verdict = verify(data, Expectations(trust.pin, trust.keyset, trust.seconds(), listed))
    return verdict


def _shown(session: Session, manifest: Payload, record: Manifest | None) -> Shown:
    code = manifest.loc.code
    return Shown(
        of=manifest,
        place=place_name(names_of(session, [code]), code),
        valid_until=datetime.fromtimestamp(manifest.exp, UTC),
        grace_until=datetime.fromtimestamp(manifest.exp + manifest.grace, UTC),
        ended_at=record.changed_at if record is not None and record.state in REPLACED else None,
    )
