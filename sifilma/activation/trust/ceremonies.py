"""The key ceremonies in the record of a database. They tie the database to one root and to one kind of installation."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings, SettingsError
from manifests.keyset import KeysetOlder
from sifilma.activation.trust import key_checks, keyset, published
from sifilma.activation.trust.keyset import Trust
from sifilma.audit.models import Action, AuditEntry
from sifilma.audit.service import record
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Unavailable
from sifilma.witness import reserved
from sifilma.witness.reserved import Need

VERSION, EPOCH = "keyset-version", "epoch"
VERSIONS = 16
"""Versions of the keyset that are reserved ahead at the witness. Its epoch grows by a reconciliation alone, which reserves it."""


def needs(_session: Session, settings: Settings) -> Iterator[Need]:
    """Yield the counters of the keyset: its version and its epoch."""
    try:
        trust = keyset.load(settings)
    except Unavailable:
        return
    yield Need(VERSION, trust.keyset.version, VERSIONS)
    yield Need(EPOCH, trust.epoch, 0)


def require_next_version(session: Session, settings: Settings) -> None:
    """Raise NumbersNotTold if the witness does not know that the next version of the keyset may be published."""
    if (settings.trust / keyset.FILE).exists():
        reserved.require(session, VERSION, keyset.load(settings).keyset.version + 1)


def record_ceremony(ctx: Context, settings: Settings, trust: Trust) -> None:
    """Record that this keyset was published here, and store it. The entry ties the database to the root, and to the kind of installation.

    It says besides what was recorded of the keys, and who held the ceremony by which file.
    """
    made = key_checks.load_record(settings)
    record(
        ctx, Action.KEYS_CEREMONY, "keyset", str(trust.keyset.version), root_sha256=trust.pin, epoch=trust.epoch, kind=settings.env,
        key_checks={label: one.check for label, one in made.keys.items()}, key_record=made.version, custodians=list(made.by),
        ceremony=made.ceremony,
    )  # fmt: skip
    published.keep(ctx.session, settings, ctx.now)


def newest_version(session: Session) -> int:
    """Return the highest version of a keyset that was published here, by the record of acts; 0 if none is recorded."""
    of_keysets = (AuditEntry.object_kind == "keyset", AuditEntry.action == str(Action.KEYS_CEREMONY))
    return max((int(version) for version in session.scalars(select(AuditEntry.object_id).where(*of_keysets))), default=0)


def require_database(session: Session, settings: Settings, *, mends: bool = False) -> None:
    """Raise SettingsError if the database belongs to another kind of installation, or was filled under another root than `home` has, or
    knows a newer keyset than lies there, or an older one than the witness has seen.

    A home without a keyset, or with an older one, gets the database's. Without any it has no root yet: there the kind alone counts. A
    command that `mends` may publish what the database lacks.
    """
    ceremony = published.find_ceremony(session)
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
    published.fill(session, settings)
    keyset.remember(settings, newest_version(session))
    if pin.exists() and (settings.trust / keyset.FILE).exists():
        try:
            trust = keyset.load(settings)
        except Unavailable as unusable:
            if isinstance(unusable.__cause__, KeysetOlder):
                raise SettingsError(f"SIFILMA_HOME/trust has an old keyset: {unusable.__cause__}.") from unusable
            return
        known, seen = newest_version(session), keyset.witnessed(settings, trust.pin).version
        if known < seen and not mends:
            raise SettingsError(
                f"the database knows version {known} of the keyset, and the witness has seen {seen}: an old database was put back, or a "
                "publication broke off. Find out which; a ceremony (`sifilma hsm ceremony record FILE`) enters what was published."
            )
