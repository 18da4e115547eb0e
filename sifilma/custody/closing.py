"""Close versions of keys that nothing needs any more: they are destroyed on the token, and the record of keys says what they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, func, literal, select
from sqlalchemy.orm import Session

from config.settings import Settings
from hsm import HSM, ceremony
from hsm.errors import HSMError
from hsm.keys import MASTER, label_of, role_of
from hsm.records import KeyRecord
from sifilma.activation.models import DataKey, Token, TokenState
from sifilma.activation.tokens import sealing
from sifilma.activation.tokens.service import MAC, MAC_LENGTH
from sifilma.activation.trust import key_checks
from sifilma.activation.trust.key_checks import Record
from sifilma.cards.models import Card
from sifilma.cards.queries import ENDED
from sifilma.custody.ceremony_file import CeremonyRefused

MASTER_ROLE = MASTER.removesuffix("-v")


def label(role: str, version: int) -> str:
    """Return the label of a version of a key, card master keys included."""
    return f"{MASTER}{version}" if role == MASTER_ROLE else label_of(role, version)


def parted(name: str) -> tuple[str, int]:
    """Return role and version of a label, card master keys included."""
    return (MASTER_ROLE, int(name.removeprefix(MASTER))) if name.startswith(MASTER) else role_of(name)


def needs(session: Session, settings: Settings, role: str, version: int) -> Iterator[str]:
    """Yield what still needs a version of a key, in words; nothing if it can be closed.

    What an earlier key signed needs its public half alone, which stays in the keyset.
    """
    used = settings.master_version if role == MASTER_ROLE else key_checks.versions(settings).get(role, 1)
    if version == used:
        yield "it is in use"
    elif version > used:
        yield "it waits to be used"
    if role == MASTER_ROLE:
        cards = select(func.count()).select_from(Card).where(Card.key_version == version, Card.state.not_in(ENDED))
        yield from _counted(session, cards, "cards that are not destroyed, damaged, locked or revoked")
    elif role == MAC:
        made_by = _stored(Token.mac, MAC_LENGTH, version)
        waiting = select(func.count()).select_from(Token).where(Token.state == TokenState.ISSUED, made_by)
        yield from _counted(session, waiting, "open tokens")
    elif role == sealing.KEK:
        sealed = select(func.count()).select_from(DataKey).where(_stored(DataKey.sealed, sealing.SEALED_KEY, version))
        yield from _counted(session, sealed, "data keys, which the worker has not sealed anew yet")


def _counted(session: Session, query: Any, words: str) -> Iterator[str]:
    if found := session.scalar(query):
        yield f"{found} {words}"


def _stored(column: Any, length: int, version: int) -> ColumnElement[bool]:
    """Return the condition that a version made what is stored (`sealing.versioned`). The first one may say its version or not."""
    first = func.substr(column, 1, 1, type_=LargeBinary)
    named = (func.length(column) > length) & (first == literal(bytes((version,)), LargeBinary))
    return named | (func.length(column) == length) if version == 1 else named


def require_closable(session: Session, settings: Settings, role: str, version: int) -> None:
    """Raise CeremonyRefused for a version that is not recorded, or that something needs."""
    made, name = key_checks.load_record(settings), label(role, version)
    if name not in made.keys and name not in made.closed:
        raise CeremonyRefused(f"no {name} is recorded")
    if name in made.keys and (found := list(needs(session, settings, role, version))):
        raise CeremonyRefused(f"{name} is needed: {', '.join(found)}")


def close(settings: Settings, root: HSM, now: datetime, role: str, version: int, by: Sequence[str] = ()) -> Record:
    """Record that a version of a key is closed, so that nobody misses it when it is destroyed. Can be repeated.

    The caller has seen that nothing needs it (`require_closable`).
    """
    made, name = key_checks.load_record(settings), label(role, version)
    if name in made.keys:
        left = replace(made, version=made.version + 1, by=list(by), ceremony="", keys=_without(made.keys, name))
        others = {token: _without(keys, name) for token, keys in made.others.items()}
        made = key_checks.write(settings, root, now, replace(left, others=others, closed={**made.closed, name: made.all_of(name)}))
    return made


def destroy(signing: HSM, name: str) -> None:
    """Destroy a closed key for good, on each token, and read back that it is gone. Can be repeated.

    Every node has the record by now that says so, or gets it within seconds. Raise CeremonyRefused after all of them if it may still be on
    one: that names the token.
    """
    left = []
    for token in signing.tokens:
        try:
            ceremony.destroy(token, name)
            token.sign_of_life()  # a token that is away shows no key, which is no proof that this one is gone
            if name in _labels(token):
                left.append(f"it is on token {token.label} still")
        except HSMError as away:
            left.append(f"token {token.label} does not answer: {away}")
    if left:
        raise CeremonyRefused(f"{name} is closed, and not destroyed everywhere ({'; '.join(left)}): repeat the command.")


def lingering(made: Record, token: HSM) -> list[str]:
    """Return the labels of keys that are closed and still on a token: an act broke off, or a backup of the token was put back."""
    return sorted(set(made.closed) & _labels(token))


def _labels(token: HSM) -> set[str]:
    return {found for found, _, _ in token.labels()}


def _without(keys: Mapping[str, KeyRecord], name: str) -> dict[str, KeyRecord]:
    return {label: one for label, one in keys.items() if label != name}
