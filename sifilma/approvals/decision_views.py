"""Decisions on the page of a thing: tried, and then on; refused, and the page is there again with what was typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any
from uuid import UUID

from flask import Blueprint
from werkzeug.wrappers import Response as AnyResponse

from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict
from sifilma.kernel.schemas import ApproveIn, NoteIn, ReturnIn
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

Attempt = Callable[[Context, UUID, Form], AnyResponse]
Decide = Callable[[Context, UUID, Form], Any]
REMARKS = "fields"
Again = Callable[[UUID, Form], AnyResponse]


def attempted(again: Again) -> Callable[[Attempt], Callable[..., AnyResponse]]:
    """Make a view of what tries a form on the thing in the address; where that refuses, `again` shows the page with the form."""

    def make(attempt: Attempt) -> Callable[..., AnyResponse]:
        @wraps(attempt)
        def view(**named: UUID) -> AnyResponse:
            ctx, form, (thing,) = context(), Form.sent(), named.values()
            with form.attempt(ctx):
                return attempt(ctx, thing, form)
            return again(thing, form)

        return view

    return make


@dataclass(frozen=True)
class Decision:
    """One decision: the end of its address, its operation, what it does, and the key of the words that say it is done."""

    path: str
    operation: str
    decide: Decide
    done: str
    reads_first: bool = False


def noted(act: Callable[[Context, UUID, str], Any]) -> Decide:
    """A decision with a note."""

    def decide(ctx: Context, thing: UUID, form: Form) -> None:
        _require_no_remarks(form)
        act(ctx, thing, form.model(NoteIn).note)

    return decide


def bound(act: Callable[[Context, UUID, str, str], Any]) -> Decide:
    """A decision on exactly what was shown, by its digest, with a note."""

    def decide(ctx: Context, thing: UUID, form: Form) -> None:
        _require_no_remarks(form)
        sent = form.model(ApproveIn)
        act(ctx, thing, sent.digest, sent.note)

    return decide


def remarked(act: Callable[[Context, UUID, str, dict[str, str]], Any], schema: type[ReturnIn]) -> Decide:
    """A decision with a note on the whole and notes on fields."""

    def decide(ctx: Context, thing: UUID, form: Form) -> None:
        sent = form.model(schema, fields=form.within(REMARKS))
        act(ctx, thing, sent.note, sent.fields.given())

    return decide


def _require_no_remarks(form: Form) -> None:
    """What somebody wrote beside a field is not lost by pressing another button."""
    if form.within(REMARKS):
        raise Conflict("Notes beside fields go with a return. Return the request, or clear them.")


def add_decisions(blueprint: Blueprint, rule: str, page: str, again: Again, *decisions: Decision) -> None:
    """Add a route below `rule` for each; what is done is told on `page`, the endpoint that shows the thing."""
    key = rule.rpartition(":")[2].rstrip(">")

    def view_of(decision: Decision) -> Callable[..., AnyResponse]:
        def attempt(ctx: Context, thing: UUID, form: Form) -> AnyResponse:
            decision.decide(ctx, thing, form)
            return seen(f"{blueprint.name}.{page}", decision.done, **{key: thing})

        return attempted(again)(attempt)

    for one in decisions:
        view = operation(one.operation, reads_first=one.reads_first)(view_of(one))
        blueprint.post(f"{rule}/{one.path}", endpoint=one.path)(view)
