"""The key ceremonies in the record of a database. They tie the database to one root and to one kind of installation."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings, SettingsError
from manifests.keyset import KeysetOlder
from sifilma.activation.trust import key_checks, keyset
from sifilma.activation.trust.keyset import Trust
from sifilma.audit.models import Action, AuditEntry
from sifilma.audit.service import record
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Unavailable


@dataclass(frozen=True)
class Ceremony:
    """The newest ceremony that a database has in its record: the pin of the root, and the kind of installation (empty: not recorded)."""

    pin: str
    kind: str


def record_ceremony(ctx: Context, settings: Settings, trust: Trust) -> None:
    """Record that this keyset was published here. The entry ties the database to the root, and to the kind of installation.

    It says besides what was recorded of the keys, and who held the ceremony by which file.
    """
    made = key_checks.load_record(settings)
    record(
        ctx, Action.KEYS_CEREMONY, "keyset", str(trust.keyset.version), root_sha256=trust.pin, epoch=trust.epoch, kind=settings.env,
        key_checks={label: one.check for label, one in made.keys.items()}, key_record=made.version, custodians=list(made.by),
        ceremony=made.ceremony,
    )  # fmt: skip


def find_ceremony(session: Session) -> Ceremony | None:
    """Return the newest ceremony in the record, or None if there was none."""
    query = (
        select(AuditEntry.data)
        .where(AuditEntry.object_kind == "keyset", AuditEntry.action == str(Action.KEYS_CEREMONY))
        .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        .limit(1)
    )
    data = session.scalars(query).first()
    return Ceremony(data.get("root_sha256", ""), data.get("kind", "")) if data is not None else None


def newest_version(session: Session) -> int:
    """Return the highest version of a keyset that was published here, by the record of acts; 0 if none is recorded."""
    of_keysets = (AuditEntry.object_kind == "keyset", AuditEntry.action == str(Action.KEYS_CEREMONY))
    return max((int(version) for version in session.scalars(select(AuditEntry.object_id).where(*of_keysets))), default=0)


def require_database(session: Session, settings: Settings, *, mends: bool = False) -> None:
    """Raise SettingsError if the database belongs to another kind of installation, or was filled under another root than `home` has, or
    knows a newer keyset than lies there, or an older one than the witness has seen.

    A home without a keyset has no root yet: there the kind alone counts. A command that `mends` may publish what the database lacks.
    """
    ceremony = find_ceremony(session)
    if ceremony is None:
        return
    if ceremony.kind not in ("", settings.env):
        raise SettingsError(
            f"SIFILMA_DATABASE_URL is the database of a {ceremony.kind} installation, and SIFILMA_ENV says {settings.env}: "
            "set one of its own."
        )
    pin = settings.trust / "root.sha256"
    if pin.exists() and pin.read_text().strip() != ceremony.pin:
        raise SettingsError("SIFILMA_DATABASE_URL is a database of another root than SIFILMA_HOME: set those that belong together.")
    keyset.remember(settings, newest_version(session))
    if pin.exists() and (settings.trust / keyset.FILE).exists():
        try:
            published = keyset.load(settings)
        except Unavailable as unusable:
            if isinstance(unusable.__cause__, KeysetOlder):
                raise SettingsError(f"SIFILMA_HOME/trust has an old keyset: {unusable.__cause__}.") from unusable
            return
        known, seen = newest_version(session), keyset.witnessed(settings, published.pin).version
        if known < seen and not mends:
            raise SettingsError(
                f"the database knows version {known} of the keyset, and the witness has seen {seen}: an old database was put back, or a "
                "publication broke off. Find out which; a ceremony (`sifilma hsm ceremony record FILE`) enters what was published."
            )
