"""What a view says about itself: the operation it performs and how its request is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Policy:
    """`operation` is a name in the permission table. `reads_first`: the view ends its reading transaction itself before slow
    work; `idempotent`: whether Idempotency-Key is honoured (never for sessions, tokens and downloads).
    """

    operation: str
    reads_first: bool = False
    idempotent: bool = True


def operation(name: str, *, reads_first: bool = False, idempotent: bool = True) -> Callable[[View], View]:
    """Name the operation of a view. A view without one fails the tests and is refused at run time."""

    def mark(view: View) -> View:
        view.__sifilma_policy__ = Policy(str(name), reads_first, idempotent)  # type: ignore[attr-defined]  # our own mark
        return view

    return mark


def policy_of(view: Callable[..., Any] | None) -> Policy | None:
    """The policy of a view function, looking through the wrappers frameworks put around it."""
    while view is not None:
        found: Policy | None = getattr(view, "__sifilma_policy__", None)
        if found is not None:
            return found
        view = getattr(view, "__wrapped__", None)
    return None
