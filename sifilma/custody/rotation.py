"""Rotate keys: a further version is made, recorded and published, and then used; what earlier versions made stays valid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary, Row, exists, func, literal, or_, select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from hsm import HSM, KeyKind, KeyPlan, ceremony, transport
from hsm.errors import HSMError
from hsm.keys import MASTER, ROTATED, carried_plan, label_of, master_plan, role_of, version_plan
from hsm.records import check_of
from hsm.token import Operations
from manifests.keyset import Key
from sifilma.activation.carrying import service as carrying
from sifilma.activation.manifests.revocation import STANDING
from sifilma.activation.models import Activation, DataKey, Manifest
from sifilma.activation.tokens import sealing
from sifilma.activation.trust import key_checks, keyset
from sifilma.activation.trust.key_checks import Record
from sifilma.activation.trust.keyset import Trust
from sifilma.audit.models import Action, AuditEntry
from sifilma.cards.models import Card, Unit
from sifilma.custody.ceremony_file import CeremonyRefused
from sifilma.identity.models import Organisation
from sifilma.kernel.context import Context

MASTER_ROLE = MASTER.removesuffix("-v")
REVOKED = ("manifest-sign", "status-sign")
"""The roles whose keys can be revoked: what readers verify."""
ROLES = (*sorted(ROTATED), MASTER_ROLE)
AT_ONCE = 500


@dataclass(frozen=True)
class Rotated:
    """What a rotation did: the label of the new key, whether it is in use now, and the keyset.

    `is_finished` if it made nothing, and finished a rotation that broke off after its key came into use.
    """

    label: str
    is_used: bool
    trust: Trust
    is_finished: bool = False


def rotate(
    settings: Settings,
    signing: HSM,
    root: HSM,
    now: datetime,
    role: str,
    by: Sequence[str] = (),
    *,
    publish_only: bool = False,
    entered: Record | None = None,
    revoking: str = "",
) -> Rotated:
    """Make the next version of a role's key, record and publish it, and then use it.

    A version that was made before and is not used yet is taken, so a call that broke off can be repeated. So it can be after the key came
    into use: `entered` is the record that the database holds, which does not know of it then. `publish_only` leaves it at publishing, so
    that readers get the keyset before anything is signed with the key. A card master key is used when the settings say so. `revoking` is
    the label of the key that is compromised. Raise CeremonyRefused if the keys are not recorded yet or the role is unknown, and as the
    ceremony does.
    """
    before = key_checks.load_record(settings)
    if role not in ROLES or not before.version:
        raise CeremonyRefused(f"{role} is no key that is rotated" if before.version else "the keys are not recorded yet: hold a ceremony")
    _require_present(settings, signing)
    if (label := _broken_off(before, entered, role)) is not None:
        published = keyset.publish(settings, signing, root, now)
        if role in dict(keyset.USES):
            keyset.publish_certificates(settings, signing, root, now)
        return Rotated(label, role != MASTER_ROLE, published, is_finished=True)
    plan = _next(before, role)
    # Made, then recorded, then published, then used: whoever uses a key finds it recorded and published.
    _make(settings, signing, plan)
    published = keyset.publish(settings, signing, root, now)
    if publish_only or role == MASTER_ROLE:
        return Rotated(plan.label, False, published)
    use(settings, signing, root, now, plan, by, revoking)
    return Rotated(plan.label, True, published)


def _broken_off(made: Record, entered: Record | None, role: str) -> str | None:
    """Return the label of a key that came into use, or of a card master key that was recorded, by a call that had no entry."""
    if entered is None or not entered.version:
        return None
    if role == MASTER_ROLE:
        return next((label for label in sorted(made.keys) if label.startswith(MASTER) and label not in entered.keys), None)
    used = made.versions.get(role, 1)
    return label_of(role, used) if used > entered.versions.get(role, 1) else None


@dataclass(frozen=True)
class Compromised:
    """A key that was revoked: its label, its ids (two HSMs have a key each), and the keyset in which it is revoked."""

    label: str
    kids: Sequence[str]
    trust: Trust


def compromise(
    settings: Settings, signing: HSM, root: HSM, now: datetime, role: str, by: Sequence[str] = (), version: int | None = None
) -> Compromised:
    """Revoke a version of a signing key, by default the one in use, after its successor is used. Raise as `rotate` does.

    Nothing is signed with it afterwards, and what it signed verifies nowhere any more. A call that broke off can be repeated with its
    version (`unfinished`).
    """
    used = key_checks.versions(settings).get(role, 1)
    label = label_of(role, used if version is None else version)
    kids = [key.kid for key in _published(settings, label)]
    if role_of(label)[1] >= used:
        while key_checks.versions(settings).get(role, 1) <= role_of(label)[1]:  # one that waits is passed over by its successor
            rotate(settings, signing, root, now, role, by, revoking=label)
    elif key_checks.load_record(settings).revoking == label:  # it may have broken off before the successor's certificates
        keyset.publish_certificates(settings, signing, root, now)
    return Compromised(label, kids, keyset.revoke(settings, root, kids, now))


def unfinished(session: Session, settings: Settings, role: str) -> int | None:
    """Return the version of a key whose successor came into use because it is revoked, if that act has no entry: it broke off.

    Raise CeremonyRefused if it is a key of another role: the record of keys names one such key.
    """
    label = key_checks.load_record(settings).revoking
    if not label:
        return None
    of_it = (AuditEntry.object_kind == "key", AuditEntry.object_id == label, AuditEntry.action == str(Action.KEYS_COMPROMISE))
    if session.scalar(select(exists().where(*of_it))):
        return None
    if role_of(label)[0] != role:
        raise CeremonyRefused(
            f"the act that revokes {label} had broken off: finish it first (`sifilma hsm compromise {role_of(label)[0]}`)"
        )
    return role_of(label)[1]


def _published(settings: Settings, label: str) -> list[Key]:
    """Return the keys of a label in the keyset, one for each HSM; no token need have them any more. Raise CeremonyRefused without one."""
    checks = {one.check for one in key_checks.load_record(settings).all_of(label)}
    found = [key for key in keyset.load(settings).keyset.keys if check_of(key.jwk.key()) in checks]
    if not found:
        raise CeremonyRefused(f"no {label} is recorded")
    return found


def replaced(settings: Settings, version: int) -> tuple[str, Sequence[str], str]:
    """Return label, ids and cause of a version of `manifest-sign` whose manifests can be issued anew. Raise CeremonyRefused for others."""
    role = "manifest-sign"
    label = label_of(role, version)
    keys = _published(settings, label)
    if version >= key_checks.versions(settings).get(role, 1):
        raise CeremonyRefused(f"{label} is in use: `sifilma hsm rotate {role}` comes before")
    revoked = any(key.revoked_at is not None for key in keys)
    return label, [key.kid for key in keys], carrying.COMPROMISED if revoked else carrying.REPLACED


def affected(session: Session, kids: Sequence[str]) -> Sequence[Row[str, UUID, str, str]]:
    """Return the manifests in force that keys signed: UID of the card, id of the manifest, holder, hardware number of its machine."""
    query = select(Card.uid, Manifest.id, Organisation.name, Unit.hardware_number)
    query = query.join(Card, Card.id == Manifest.card_id).join(Organisation, Organisation.id == Manifest.organisation_id)
    query = query.join(Activation, Activation.id == Manifest.activation_id).join(Unit, Unit.id == Activation.unit_id)
    return session.execute(query.where(Manifest.kid.in_(kids), Manifest.state.in_(STANDING)).order_by(Organisation.name, Card.uid)).all()


def use(settings: Settings, signing: HSM, root: HSM, now: datetime, plan: KeyPlan, by: Sequence[str], revoking: str = "") -> None:
    """Have all processes use a recorded key for its role from now on. `revoking` is the label of a key that is compromised."""
    role, version = role_of(plan.label)
    made = key_checks.load_record(settings)
    versions = dict(made.versions) | {role: version}
    after = replace(made, version=made.version + 1, by=list(by), ceremony="", versions=versions, revoking=revoking or made.revoking)
    key_checks.write(settings, root, now, after)
    if role in dict(keyset.USES):
        keyset.publish_certificates(settings, signing, root, now)


def _joined(settings: Settings, signing: HSM) -> list[HSM]:
    """Return the second HSM's token, if it has joined."""
    return [token for token in signing.tokens[1:] if key_checks.load(settings, token.label)]


@contextmanager
def _needing(token: HSM, left: str) -> Iterator[None]:
    """Raise CeremonyRefused if the token does not do what the block asks of it. `left` says in words how things stand then."""
    try:
        yield
    except HSMError as away:
        raise CeremonyRefused(f"Token {token.label} does not answer ({away}): {left}") from away


def _require_present(settings: Settings, signing: HSM) -> None:
    """Raise CeremonyRefused if one of two HSMs does not answer: what both get is not begun at one of them."""
    joined = _joined(settings, signing)
    for token in (signing.tokens[0], *joined) if joined else ():
        with _needing(token, "both HSMs are needed, and nothing was begun."):
            token.sign_of_life()


def _make(settings: Settings, signing: HSM, plan: KeyPlan) -> None:
    """Make a key where it is missing: on the only token, or on those of two HSMs. One that signs is each token's own."""
    first, joined = signing.tokens[0], _joined(settings, signing)
    if joined and plan.kind is not KeyKind.EC_SIGN:
        transport.carry(first, joined[0], [carried_plan(plan)], settings.secret("hsm_so_pin"))
        return
    for token in (first, *joined):  # one may go away after it was asked: what the other has got is taken by the repeated command
        with _needing(token, "nothing is revoked; repeat the command."):
            ceremony.create_keys(token, [plan])


def _next(before: Record, role: str) -> KeyPlan:
    """Return the version after the one in use: one that was made already and waits, or else a new one."""
    if role == MASTER_ROLE:
        return master_plan(1 + max(int(label.removeprefix(MASTER)) for label in before.keys if label.startswith(MASTER)))
    return version_plan(role, 1 + before.versions.get(role, 1))


def seal_anew(open_: Callable[[], AbstractContextManager[Context]], settings: Settings, signing: HSM) -> int:
    """Seal data keys with the version of `seal-kek` that is in use, some at once. Return how many. The keys themselves stay the same.

    Without a later version nothing is asked of the HSM.
    """
    version = key_checks.versions(settings).get(sealing.KEK, 1)
    if version == 1:
        return 0
    first = func.substr(DataKey.sealed, 1, 1, type_=LargeBinary)
    old = or_(func.length(DataKey.sealed) == sealing.SEALED_KEY, first != literal(bytes((version,)), LargeBinary))
    with open_() as ctx:
        ctx.uow.begin_read()
        query = select(DataKey.id, DataKey.organisation_id, DataKey.month, DataKey.sealed).where(old).limit(AT_ONCE)
        rows = ctx.session.execute(query).all()
    if not rows:
        return 0
    made = signing.run(lambda do: [_anew(do, row.organisation_id, row.month, row.sealed) for row in rows])
    with open_() as ctx:
        ctx.uow.begin_write()
        for row, sealed in zip(rows, made, strict=True):
            # The condition holds off another worker: of two, one sealed it, and the other finds nothing to change.
            statement = update(DataKey).where(DataKey.id == row.id, DataKey.sealed == row.sealed).values(sealed=sealed)
            ctx.session.execute(statement.execution_options(synchronize_session=False))
    return len(rows)


def _anew(do: Operations, organisation_id: UUID, month: str, sealed: bytes) -> bytes:
    return sealing.seal_key(do, organisation_id, month, sealing.open_data_key(do, organisation_id, month, sealed))
