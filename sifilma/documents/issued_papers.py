"""Papers this system wrote, as anybody may look them up by what their QR code brings: an id and the SHA-256 of what they say."""

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
    """What is recorded of a paper and may be said to whoever holds it: nothing of a person."""

    digest: str
    number: str
    at: datetime
    state: str


@dataclass(frozen=True)
class Kind:
    """A kind of paper: what it is called, and how one is found."""

    name: object
    find: Callable[[Session, UUID], Paper | None]


class Verdict(StrEnum):
    """What is to be said of a paper: a digest that is not the recorded one is that of a forgery, or of a paper that was changed."""

    KNOWN = "known"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class LookedUp:
    """The verdict; `paper` only where it is known."""

    kind: Kind
    verdict: Verdict
    paper: Paper | None = None


_kinds: dict[str, Kind] = {}


def register(parameter: str, kind: Kind) -> None:
    """Make a kind known by the parameter its QR codes bear."""
    _kinds[parameter] = kind


def look_up(session: Session, query: Mapping[str, str]) -> LookedUp | None:
    """What is known of the paper an address names; None where it names none."""
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
