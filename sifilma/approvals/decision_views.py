"""Views of decisions on the page of an object. After a refusal the page is shown again with what was typed."""

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
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import onward
from sifilma.web.requests import context

Attempt = Callable[[Context, UUID, Form], AnyResponse]
Decide = Callable[[Context, UUID, Form], Any]
REMARKS = "fields"
"""The group of form fields that hold notes on single fields (`fields.<name>`)."""
Again = Callable[[UUID, Form], AnyResponse]


def attempted(again: Again) -> Callable[[Attempt], Callable[..., AnyResponse]]:
    """Return a decorator that makes a view of a function that takes the object's id from the URL and the form.

    If the function refuses, `again` returns the page with the form as typed.
    """

    def make(attempt: Attempt) -> Callable[..., AnyResponse]:
        @wraps(attempt)
        def view(**named: UUID) -> AnyResponse:
            # The URL has one parameter, the id, under a name of its own on each page.
            ctx, form, (thing,) = context(), Form.sent(), named.values()
            with form.attempt(ctx):
                return attempt(ctx, thing, form)
            return again(thing, form)

        return view

    return make


@dataclass(frozen=True)
class Decision:
    """One decision. `path` is the last part of its URL, and `done` names a text of `web.pages.DONE`.

    With `reads_first` the function ends its reading transaction itself (`web.operations.Policy`). `question` comes before a decision that
    cannot be undone.
    """

    path: str
    operation: str
    decide: Decide
    done: str
    reads_first: bool = False
    question: Question | None = None


def noted(act: Callable[[Context, UUID, str], Any]) -> Decide:
    """Make a decision of an act that takes a note. Notes on fields are refused."""

    def decide(ctx: Context, thing: UUID, form: Form) -> None:
        _require_no_remarks(form)
        act(ctx, thing, form.model(NoteIn).note)

    return decide


def bound(act: Callable[[Context, UUID, str, str], Any]) -> Decide:
    """Make a decision of an act that takes the digest of what was shown, and a note. Notes on fields are refused."""

    def decide(ctx: Context, thing: UUID, form: Form) -> None:
        _require_no_remarks(form)
        sent = form.model(ApproveIn)
        act(ctx, thing, sent.digest, sent.note)

    return decide


def remarked(act: Callable[[Context, UUID, str, dict[str, str]], Any], schema: type[ReturnIn]) -> Decide:
    """Make a decision of an act that takes a note on the whole and notes on fields, by their names."""

    def decide(ctx: Context, thing: UUID, form: Form) -> None:
        sent = form.model(schema, fields=form.within(REMARKS))
        act(ctx, thing, sent.note, sent.fields.given())

    return decide


def _require_no_remarks(form: Form) -> None:
    """Raise Conflict if notes on fields were typed: this decision would drop them without a word."""
    if form.within(REMARKS):
        raise Conflict("Notes beside fields go with a return. Return the request, or clear them.")


def add_decisions(blueprint: Blueprint, rule: str, page: str, again: Again, *decisions: Decision) -> None:
    """Add a POST route below `rule` for each decision.

    After the decision the browser is redirected to the endpoint `page`, which shows the object, or to the next that waits if the form asks
    for it; after a refusal `again` returns that page.
    """
    # The name of the last parameter: `request_id` of `/<uuid:request_id>`.
    key = rule.rpartition(":")[2].rstrip(">")

    def view_of(decision: Decision) -> Callable[..., AnyResponse]:
        def attempt(ctx: Context, thing: UUID, form: Form) -> AnyResponse:
            decision.decide(ctx, thing, form)
            return onward(f"{blueprint.name}.{page}", decision.done, **{key: thing})

        return attempted(again)(attempt)

    for one in decisions:
        view = operation(one.operation, reads_first=one.reads_first, question=one.question)(view_of(one))
        blueprint.post(f"{rule}/{one.path}", endpoint=one.path)(view)
