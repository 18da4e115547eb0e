"""The newest checkpoint of the log and the proof of its growth, for everybody who keeps one or compares it with a witness."""

from __future__ import annotations

import base64

from flask import Blueprint, Response, request
from pydantic import BaseModel, Field

from sifilma.audit import checkpoints, proofs
from sifilma.audit.witnessed import newest_cosigned_note
from sifilma.kernel.errors import NotFound
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.requests import context

KEPT = 10  # seconds for which caches may keep an answer
LONGEST = 2**53 - 1
blueprint = Blueprint("log", __name__, url_prefix="/log")


class Growth(BaseModel):
    """From which size to which the log is said to have grown."""

    old: int = Field(ge=1, le=LONGEST)
    new: int = Field(ge=1, le=LONGEST)


@blueprint.get("/checkpoint")
@operation("public")
def checkpoint() -> Response:
    """Return the newest checkpoint that a witness has cosigned, with its cosignatures; where there is none, the newest one."""
    session = context().session
    return _text(newest_cosigned_note(session) or checkpoints.get_newest(session).note)


@blueprint.get("/consistency")
@operation("public")
def consistency() -> Response:
    """Return the proof that the log of `old` entries is the beginning of that of `new`: a hash in base64 a line (RFC 6962, 2.1.2)."""
    asked, ctx = Form(request.args).model(Growth), context()
    newest = checkpoints.get_newest(ctx.session)
    if asked.new > newest.size:
        raise NotFound("The log is not that long.")
    hashes = proofs.prove_growth(ctx, asked.old, asked.new)
    return _text("".join(f"{base64.b64encode(one).decode()}\n" for one in hashes))


def _text(text: str) -> Response:
    response = Response(text, content_type="text/plain; charset=utf-8")
    response.headers["Cache-Control"] = f"public, max-age={KEPT}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
