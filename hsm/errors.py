"""The exceptions an HSM call may raise. Any other exception is a bug in this package."""

from __future__ import annotations


class HSMError(Exception):
    """The base class of all HSM failures. Its text names an error class and a label, and never holds a PIN or data."""


class HSMUnavailable(HSMError):
    """The HSM does not answer now. The caller may try again after `retry_after` seconds."""

    def __init__(self, reason: str, retry_after: float = 2.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class HSMCredential(HSMError):
    """The HSM refused the PIN. The process does not try it again before a restart: each attempt uses up one of the token's tries."""


class HSMRefused(HSMError):
    """The token is of a maker that this installation does not take, such as a software token in production."""


class HSMKeyMissing(HSMError):
    """No key has this label. Raised only when the token shows other keys, or when a fresh login finds no key either.

    A token that went away looks empty to a search, so a search without a result alone is not proof.
    """


class HSMKeyAmbiguous(HSMError):
    """Several keys, or several tokens, have this label. The call is refused, because choosing one could use the wrong key."""


class HSMKeyChanged(HSMError):
    """The token holds another key under a label than the one that was pinned, or recorded at the ceremony. Nothing is made with it."""


class HSMMisuse(HSMError):
    """The calling code made a mistake (digest length, mechanism, closed handle). The call is never repeated."""
