"""The OpenAPI document and its reference page, which loads nothing from other sites."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, Response, current_app, jsonify, render_template, request

from sifilma.api.common import REFUSALS
from sifilma.web.application import Application
from sifilma.web.links import API
from sifilma.web.operations import operation

blueprint = Blueprint("api_documentation", __name__, url_prefix=API, template_folder="templates")


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    app = cast(Application, current_app)
    return cast("dict[str, Any]", app.api_doc)


@blueprint.get("/openapi.json")
@operation("public")
def openapi() -> Response:
    """Return the OpenAPI document as JSON."""
    return jsonify(document())


@blueprint.get("/docs")
@operation("public", framed=True)
def docs() -> str:
    """Show the calls of the OpenAPI document as a page, or with `part=schemas` its schemas: each stays light as the API grows."""
    refusals = [str(status.value) for status in REFUSALS]
    return render_template("api/docs.html", document=document(), refusals=refusals, part=request.args.get("part", ""))
