"""What an HSM call may raise. Everything else is a bug in this package."""

from __future__ import annotations


class HSMError(Exception):
    """The base of all HSM failures. The text names a class and a label, never a PIN or data."""


class HSMUnavailable(HSMError):
    """The HSM does not answer now; trying again after `retry_after` seconds may succeed."""

    def __init__(self, reason: str, retry_after: float = 2.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class HSMCredential(HSMError):
    """The PIN was refused. Latched: it is not tried again before a restart, to spare the token's counter."""


class HSMKeyMissing(HSMError):
    """The token answers and shows its other keys, or a fresh login finds nothing: there is no key of this label."""


class HSMKeyAmbiguous(HSMError):
    """More than one key, or token, has this label: refusing is safer than choosing."""


class HSMKeyChanged(HSMError):
    """A signature does not verify with the public key pinned when this process first used it."""


class HSMMisuse(HSMError):
    """A mistake in the calling code (digest length, mechanism, closed handle). Never retried."""
