"""Ask before an act that cannot be undone: what will happen, and to which thing. The page works without a script.

A view whose operation is marked with a Question runs only for a form that holds SURE. A page that asks itself, beside the button, sends it
along; after any other form the question comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, current_app, make_response, render_template, request
from flask_babel import LazyString

from sifilma.kernel.context import Context
from sifilma.web import kept
from sifilma.web.links import API
from sifilma.web.operations import policy_of

SURE = "sure"
"""The field of a form whose sender has answered the question."""


@dataclass(frozen=True)
class Question:
    """What is asked. `act` names the act and stands on the button, `follows` says what will happen and what cannot be undone.

    `thing` names the object, given the last part of the URL that names one, and raises as the act does if it is not the actor's to act on:
    a question tells nobody more than its answer would. `page` is the endpoint of the page to go back to, whose URL
    has the same parts; `when` tells whether this form is asked about.
    """

    act: LazyString
    follows: LazyString
    thing: Callable[[Context, Any], str]
    page: str
    when: Callable[[Mapping[str, str]], bool] = lambda _form: True


def question_of(view: Callable[..., Any] | None) -> Question | None:
    """Return the question of a view function, by its policy."""
    policy = policy_of(view)
    return policy.question if policy is not None and isinstance(policy.question, Question) else None


def ask(ctx: Context) -> Response | None:
    """Return the page with the question of this request, or None if there is none, or it is answered. Raise NotFound for no object."""
    question = question_of(current_app.view_functions.get(request.endpoint or ""))
    if question is None or request.path.startswith(API) or request.form.get(SURE) or not question.when(request.form):
        return None
    *_, named = (request.view_args or {}).values()
    thing, files = question.thing(ctx, named), kept.keep_files()
    fields = [(name, value) for name, value in request.form.items(multi=True) if name != "otp_code"]
    fields += [(name, key) for name, keys in files.items() for key in keys]
    lost = any(file.filename for file in request.files.values()) and not files
    page = render_template("web/confirm.html", question=question, thing=thing, fields=fields, lost_files=lost, sure=SURE)
    return make_response(page)
