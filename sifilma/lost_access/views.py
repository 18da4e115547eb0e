"""The page for whoever has lost password or second factor: what to do, and a form that asks for help."""

from __future__ import annotations

from flask import Blueprint, Response
from werkzeug.wrappers import Response as AnyResponse

from sifilma.lost_access import service
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("lost_access", __name__, template_folder="templates")


@blueprint.get("/masuk/lupa")
@operation("public", framed=True)
def show() -> Response:
    """Say what whoever has lost password or second factor does next."""
    return _page(Form())


@blueprint.post("/masuk/lupa")
@operation("public", reads_first=True, idempotent=False, framed=True)
def ask() -> AnyResponse:
    """Ask for help. The answer is the same whether there is such an account or not."""
    form, ctx = Form.sent(), context()
    with form.attempt(ctx):
        service.ask(ctx, form.get("username"))
        return seen("lost_access.show", "help_asked")
    return _page(form)


def _page(form: Form) -> Response:
    return form.again("lost_access/lupa.html", settings=resources().settings)
