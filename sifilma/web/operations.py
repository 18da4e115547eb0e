"""Mark a view with the operation it performs and with how its request is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Policy:
    """`operation` is a name in the permission table. Public views name `public`.

    With `reads_first` the view ends its reading transaction itself, before slow work. `idempotent` tells whether Idempotency-Key is
    honoured; it never is for sessions, tokens and downloads, whose answers must not be stored. With `lists` the view takes
    JSON of up to 4 MB (sifilma/web/body_limits.py). `question` comes before an act that cannot be undone (`web.confirmation.Question`).

    A public page that is `framed` shows a signed-in person their own frame. `strangers` is the endpoint of the page that is shown, under
    the same address, to whoever has no session; without one they are led to the sign-in.
    """

    operation: str
    reads_first: bool = False
    idempotent: bool = True
    lists: bool = False
    question: object = None
    framed: bool = False
    strangers: str = ""


def operation(name: str, **how: Any) -> Callable[[View], View]:
    """Mark a view with its operation; `how` are further fields of Policy. A view without one fails the tests, its requests are refused."""

    def mark(view: View) -> View:
        view.__sifilma_policy__ = Policy(str(name), **how)  # type: ignore[attr-defined]  # our own mark
        return view

    return mark


def policy_of(view: Callable[..., Any] | None) -> Policy | None:
    """Return the policy of a view function. Wrappers that frameworks put around the view are followed."""
    while view is not None:
        found: Policy | None = getattr(view, "__sifilma_policy__", None)
        if found is not None:
            return found
        view = getattr(view, "__wrapped__", None)
    return None


def also(besides: Callable[[], list[dict[str, Any]]]) -> Callable[[View], View]:
    """Mark a view with a function that returns what else is wrong with an input that its schema refuses."""

    def mark(view: View) -> View:
        view.__sifilma_also__ = besides  # type: ignore[attr-defined]  # our own mark
        return view

    return mark


def besides(view: Callable[..., Any] | None) -> list[dict[str, Any]]:
    """Return what else is wrong with the input of this request, by the mark of its view."""
    while view is not None:
        if (found := getattr(view, "__sifilma_also__", None)) is not None:
            return list(found())
        view = getattr(view, "__wrapped__", None)
    return []
