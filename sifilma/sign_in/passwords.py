"""Passwords: argon2id, a minimum length, a list of common passwords, and the operator's file of breached ones (OWASP ASVS 5.0, 6.2)."""

from __future__ import annotations

import threading
from functools import lru_cache

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from config import breached_passwords
from config.settings import Settings
from sifilma.kernel.errors import Invalid, Unavailable
from sifilma.kernel.text import say

log = structlog.get_logger()
MAX_LENGTH = 256
CONTEXT = ("sifilma", "dukcapil", "disdukcapil", "kemendagri", "indonesia", "samcard", "kartusam", "ktpel")


def hasher() -> PasswordHasher:
    """Return a hasher with the parameters OWASP recommends: 18 ms of CPU."""
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


_hasher = hasher()
# At most two at a time in a process (docs/quality.md): each hash takes 19 MiB of memory and a core.
_two_at_a_time = threading.BoundedSemaphore(2)


def hash_password(password: str) -> str:
    """Return the argon2id hash as a PHC string."""
    with _two_at_a_time:
        return _hasher.hash(password)


def verify_password(hashed: str, password: str) -> bool:
    """Return whether the password fits the hash.

    An empty or unknown hash takes the same time, so that the time does not tell which accounts exist. A longer password than MAX_LENGTH is
    refused without hashing.
    """
    if len(password) > MAX_LENGTH:
        return False
    with _two_at_a_time:
        try:
            # Without a hash the password is compared with a dummy: that takes the same time.
            _hasher.verify(hashed or _dummy(), password)
            return bool(hashed)
        except (VerificationError, InvalidHashError):
            return False


def check_strength(password: str, username: str, settings: Settings) -> None:
    """Raise Invalid, with a sentence for the user, if a password is too short or long, common, made of this system's words, or breached.

    There are no rules on its composition (OWASP ASVS 5.0, 6.2.5). Raise Unavailable if the operator's file of breached passwords is set and
    cannot be searched.
    """
    minimum = settings.password_min
    if not minimum <= len(password) <= MAX_LENGTH:
        raise Invalid.field("password", say("A password has %(least)s to %(most)s characters.", least=minimum, most=MAX_LENGTH))
    plain = password.casefold()
    # A common word with digits or signs around it is as easy to guess.
    core = plain.strip("0123456789!@#$%^&*()-_=+.,?")
    if plain in _common() or core in _common() or core in CONTEXT or username.casefold() in plain or len(set(plain)) < 5:
        raise Invalid.field("password", "This password is too easy to guess: choose several words nobody would put together.")
    if settings.breached_passwords and _is_breached(settings.breached_passwords, password):
        raise Invalid.field("password", "This password is in a list of passwords that were stolen elsewhere: choose another one.")


def _is_breached(path: str, password: str) -> bool:
    try:
        return breached_passwords.is_breached(path, password)
    except breached_passwords.Unreadable as why:
        # Letting it pass would switch the check off for whoever takes the file away. Signing in needs no look-up and goes on.
        log.error("breached passwords not searched", reason=str(why))
        told = say("New passwords cannot be checked right now, so none is set. Tell whoever runs this service.")
        raise Unavailable(told, type="passwords-unchecked", retry_after=300) from why


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415  # 10 MB that are needed only when somebody chooses a password

    return frozenset(FREQUENCY_LISTS["passwords"]) | frozenset(CONTEXT)


@lru_cache(maxsize=1)
def _dummy() -> str:
    return _hasher.hash("nobody has this password")
