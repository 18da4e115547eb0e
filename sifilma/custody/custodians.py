"""The two people who hold a ceremony or act on a key: each says which file or key it is about, and proves who they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.custody.ceremony_file import CODE, NEEDED, CeremonyRefused
from sifilma.identity.models import AccountState, User, UserRole
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.actor import Actor, Role
from sifilma.sign_in.service import account_name, prove_presence
from sifilma.web.command import command_context

Ask = Callable[[str], str]
"""Asks a person for something that is not shown while it is typed."""


def confirm(settings: Settings, names: Sequence[str], sha256: str, ask: Ask) -> list[Actor]:
    """Have each custodian type the first characters of a file's SHA-256, and their present code. Return whom the database knows.

    An installation whose database has no account of a custodian yet holds its first ceremony with the file alone.
    Raise CeremonyRefused for other characters or somebody who is no custodian, and Unauthenticated for a wrong code.
    """
    known = require_custodians(names)
    people = []
    for name in names:
        if ask(f"{name}: first {CODE} characters of the file's SHA-256").strip().lower() != sha256[:CODE]:
            raise CeremonyRefused(f"{name} holds another file than this one.")
        if known:
            people.append(_present(settings, name, ask))
    return _different(people)


def require_custodians(names: Sequence[str]) -> bool:
    """Raise CeremonyRefused for a name that is no custodian's. Return False where the database knows no custodian yet: any is taken."""
    with command_context() as ctx:
        known = _custodians(ctx.session)
    strangers = sorted(name for name in names if account_name(name) not in known)
    if known and strangers:
        raise CeremonyRefused(f"{', '.join(strangers)}: no account of this name has the role of a custodian.")
    return bool(known)


def confirm_act(settings: Settings, names: Sequence[str], ask: Ask) -> list[Actor]:
    """Have two custodians prove that they are present; a demonstration needs one. Raise as `confirm` does."""
    needed = 1 if settings.env in ("demo", "test") else NEEDED
    if len(names) < needed:
        raise CeremonyRefused(f"{needed} custodians are needed: --custodian NAME for each.")
    return _different([_present(settings, name, ask) for name in names])


def agree_on_transport(settings: Settings, names: Sequence[str], ask: Ask, fingerprint: str) -> None:
    """Have each custodian type the first characters of the transport key's fingerprint, as the second HSM shows it.

    In practice nobody is asked. Raise CeremonyRefused for other characters.
    """
    if settings.env in ("demo", "test"):
        return
    for name in names:
        if ask(f"{name}: first {CODE} characters of the transport key's SHA-256").strip().lower() != fingerprint[:CODE]:
            raise CeremonyRefused(f"{name} read another transport key: it is not trusted.")


def _different(people: list[Actor]) -> list[Actor]:
    if len({one.person_id for one in people}) != len(people):
        raise CeremonyRefused("Two different persons are needed.")
    return people


def _custodians(session: Session) -> set[str]:
    """Return the user names of the custodians whom the database knows."""
    held = select(User.username).join(UserRole, User.id == UserRole.user_id)
    return set(session.scalars(held.where(UserRole.role == Role.CUSTODIAN, UserRole.until.is_(None), User.state == AccountState.ACTIVE)))


def _present(settings: Settings, name: str, ask: Ask) -> Actor:
    code = ask(f"present code of {name}")
    with command_context() as ctx:
        actor = prove_presence(ctx, settings, name, code)
    if not grants(actor, Operation.KEYS_HOLD):
        raise CeremonyRefused(f"{name} is no custodian.")
    return actor
