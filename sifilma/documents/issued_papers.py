"""Look up papers that this system wrote, for anybody, by the content of their QR code: an id and the SHA-256 of what they state."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Paper:
    """What is recorded of a paper and may be told to whoever holds it. It names no person."""

    digest: str
    number: str
    at: datetime
    state: str


@dataclass(frozen=True)
class Kind:
    """A kind of paper: its name and the function that finds one."""

    name: object
    find: Callable[[Session, UUID], Paper | None]


class Verdict(StrEnum):
    """The result for a paper. DIFFERENT: its digest is not the recorded one, so it is forged or was changed."""

    KNOWN = "known"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class LookedUp:
    """The result of a look-up. `paper` is set only if the verdict is KNOWN."""

    kind: Kind
    verdict: Verdict
    paper: Paper | None = None


_kinds: dict[str, Kind] = {}


def register(parameter: str, kind: Kind) -> None:
    """Register a kind of paper under the query parameter in its QR codes."""
    _kinds[parameter] = kind


def look_up(session: Session, query: Mapping[str, str]) -> LookedUp | None:
    """Return what is recorded of the paper that a query names, or None if it names none."""
    parameter = next((name for name in _kinds if name in query), None)
    if parameter is None:
        return None
    kind, paper_id = _kinds[parameter], _id(query[parameter])
    paper = kind.find(session, paper_id) if paper_id else None
    if paper is None:
        return LookedUp(kind, Verdict.UNKNOWN)
    same = hmac.compare_digest(paper.digest.encode(), query.get("sha256", "").strip().lower().encode())
    return LookedUp(kind, Verdict.KNOWN, paper) if same else LookedUp(kind, Verdict.DIFFERENT)


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
