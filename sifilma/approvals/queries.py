"""Queues of requests that are submitted and approved: which of them somebody looks for, and which wait for a decision of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, or_

from sifilma.approvals.letters import letter_key
from sifilma.approvals.service import Requests
from sifilma.identity.permissions import grants
from sifilma.kernel.context import Context

T = TypeVar("T")


@dataclass(frozen=True)
class Wanted:
    """Which requests. `text` is a part of the letter number or of an organisation's name; `waiting`: only what the actor can act on;
    `days`: only what was submitted (or, as yet, drafted) at least so long ago.
    """

    state: str = ""
    text: str = ""
    waiting: bool = False
    function: str = ""
    days: int = 0


def narrowed_query(ctx: Context, query: Select[T], model: Any, wanted: Wanted, named: ColumnElement[bool]) -> Select[T]:
    """The requests of `model` that fit, but for `waiting`; `named` says which belong to an organisation of the wanted text."""
    if wanted.state:
        query = query.where(model.state == wanted.state)
    if wanted.function:
        query = query.where(model.function == wanted.function)
    if wanted.days:
        query = query.where(func.coalesce(model.submitted_at, model.created_at) <= ctx.now - timedelta(days=wanted.days))
    if wanted.text:
        query = query.where(or_(model.letter_key.contains(letter_key(wanted.text), autoescape=True), named))
    return query


def decisions(ctx: Context, requests: Requests[Any]) -> Iterator[ColumnElement[bool]]:
    """What waits for the actor's approval or verification."""
    if grants(ctx.actor, requests.operations.approve):
        yield requests.way.approvable(ctx)
    if grants(ctx.actor, requests.operations.verify):
        yield requests.way.verifiable()
