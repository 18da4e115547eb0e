"""The errors that callers see. `sifilma.web.errors` maps them to `application/problem+json` and to pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sifilma.kernel.text import say

NOT_TRUSTED = say(
    "Nothing was changed. Until the clock is right, nothing is approved, issued or signed, and nothing expires."
    " Reading and signing in go on."
)

MISSING = say("This is needed.")


class SifilmaError(Exception):
    """The base class of all refusals. `type` is stable and public (RFC 9457). `detail` may be shown to the user."""

    status = 500
    type = "error"
    title: str = say("Something went wrong")

    def __init__(self, detail: str = "", *, type: str | None = None, **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.type = type or self.type
        self.extra: Mapping[str, Any] = extra


class Invalid(SifilmaError):
    """The input cannot be accepted. `errors` names each field: `[{field, message, row?}]`."""

    status = 422
    type = "invalid"
    title: str = say("The input cannot be accepted")

    def __init__(self, detail: str = "", *, errors: list[dict[str, Any]] | None = None, type: str | None = None) -> None:
        super().__init__(detail, type=type, **({"errors": errors} if errors else {}))
        self.errors = errors or []

    @classmethod
    def field(cls, field: str, message: str, *, type: str | None = None) -> Invalid:
        """Return a refusal that concerns one field."""
        return cls(message, errors=[{"field": field, "message": message}], type=type)


class Faults(list[dict[str, Any]]):
    """What is wrong with an input, all of it: `[{field, message, row?}]`. A service collects it and refuses once."""

    def __init__(self, faults: Iterable[dict[str, Any]] = ()) -> None:
        super().__init__(faults)
        self._taken: list[Invalid] = []

    def add(self, field: str, message: str, **more: Any) -> None:
        """Add a fault of a field."""
        self.append({**more, "field": field, "message": message})

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Take over what the block refuses, and go on after it."""
        try:
            yield
        except Invalid as refused:
            self._taken.append(refused)
            self.extend(refused.errors or [{"field": "", "message": refused.detail}])

    def refusal(self, detail: str = "") -> Invalid:
        """Return the refusal that names all of it: the one that was taken over if there is nothing besides."""
        if len(self._taken) == 1 and len(self) == max(1, len(self._taken[0].errors)):
            return self._taken[0]
        alone = self[0]["message"] if len(self) == 1 else say("Some fields cannot be accepted as they are.")
        return Invalid(detail or alone, errors=list(self))

    def refuse(self, detail: str = "") -> None:
        """Raise Invalid if anything is wrong."""
        if self:
            raise self.refusal(detail)


class Unauthenticated(SifilmaError):
    """Nobody is signed in, or the session has ended."""

    status = 401
    type = "unauthenticated"
    title: str = say("Sign in first")


class Forbidden(SifilmaError):
    """The actor may not do this to any object."""

    status = 403
    type = "forbidden"
    title: str = say("This is not permitted")


class StepUpRequired(Forbidden):
    """The act needs a fresh one-time code (POST /session/step-up)."""

    type = "step-up-required"
    title: str = say("A fresh one-time code is needed")


class NotFound(SifilmaError):
    """The object does not exist, or it lies outside the actor's scope. Both get the same answer, which reveals nothing."""

    status = 404
    type = "not-found"
    title: str = say("There is no such thing")


class Conflict(SifilmaError):
    """The object exists, but its state does not allow this."""

    status = 409
    type = "conflict"
    title: str = say("The state of the thing does not allow this")


class NotSealed(Conflict):
    """A row is to be changed whose present seal does not fit. To seal it now would vouch for what somebody planted (`kernel.seals`)."""

    type = "not-sealed"
    title: str = say("This was changed past the service. Tell the administrator of the server (sifilma users reseal).")


class TooLarge(SifilmaError):
    """The request body is larger than accepted."""

    status = 413
    type = "too-large"
    title: str = say("The upload is too large")


class TooMany(SifilmaError):
    """There were too many attempts. The caller may try again after `retry_after` seconds."""

    status = 429
    type = "too-many-attempts"
    title: str = say("Too many attempts")

    def __init__(self, detail: str = "", *, retry_after: int = 60, type: str | None = None) -> None:
        super().__init__(detail, type=type)
        self.retry_after = retry_after


class TooOften(TooMany):
    """A caller makes more requests than the rate limits allow."""

    type = "too-many-requests"
    title: str = say("Too many requests")


class Unavailable(SifilmaError):
    """Something that the act needs does not answer; nothing was changed. The caller may try again after `retry_after` seconds."""

    status = 503
    type = "unavailable"
    title: str = say("The service is not available right now")

    def __init__(self, detail: str = "", *, retry_after: int = 5, type: str | None = None) -> None:
        super().__init__(detail, type=type)
        self.retry_after = retry_after


class OutcomeUnknown(Unavailable):
    """The connection to the database was lost while it committed: the act was saved, or it was not."""

    type = "outcome-unknown"
    title: str = say("It is not known whether this was saved")

    def __init__(self) -> None:
        super().__init__(
            say(
                "The connection to the database was lost at the moment of saving. What was sent is saved, or it is not: look before you "
                "send it again. A program that sent an Idempotency-Key repeats its call with the same key."
            )
        )


class ClockNotTrusted(Unavailable):
    """The clock is wrong or may be, so nothing that is dated for good is done."""

    type = "clock-not-trusted"
    title: str = say("The clock of this service is not trusted right now")

    def __init__(self) -> None:
        super().__init__(NOT_TRUSTED, retry_after=60)


class KeyOutsidePeriod(Unavailable):
    """A signing key is not within the period that the keyset gives it."""

    type = "key-outside-period"
