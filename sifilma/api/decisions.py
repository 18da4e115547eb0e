"""The decisions that all requests have as routes: submit, verify, reject, cancel. Return and approve differ by kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Response
from flask_openapi3 import APIBlueprint
from pydantic import BaseModel

from sifilma.api.common import IdPath, answer
from sifilma.approvals.service import Requests
from sifilma.kernel.context import Context
from sifilma.kernel.schemas import NoteIn
from sifilma.web.operations import operation
from sifilma.web.requests import context

Decide = Callable[[Context, UUID, str], Any]


def add_decisions(
    api: APIBlueprint, path: str, prefix: str, requests: Requests[Any], full: Callable[[Context, Any], BaseModel], shown: type[BaseModel]
) -> None:
    """Add the four routes below `path`. The names of their operations begin with `prefix`."""
    for verb, name, does, summary in (
        ("submit", "submit", requests.submit, "Submit: what is submitted does not change"),
        ("verify", "verify", requests.verify, "Verify (optional): the operator has looked at it"),
        ("reject", "approve", requests.reject, "Reject, with a note"),
        ("cancel", "submit", requests.cancel, "Withdraw"),
    ):
        api.post(f"{path}/<uuid:id>/{verb}", responses={200: shown}, summary=summary, endpoint=verb)(_view(f"{prefix}.{name}", does, full))


def _view(name: str, decide: Decide, full: Callable[[Context, Any], BaseModel]) -> Callable[..., Response]:
    @operation(name)
    def view(path: IdPath, body: NoteIn) -> Response:
        ctx = context()
        return answer(full(ctx, decide(ctx, path.id, body.note)))

    return view
