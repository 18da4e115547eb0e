"""The sheets of the base map, for the scripts of all maps."""

from __future__ import annotations

import gzip

from flask import Blueprint, Response, request, url_for

from sifilma.kernel.errors import NotFound
from sifilma.regions.sources import map_in_use
from sifilma.resources import resources
from sifilma.web.assets import FOREVER
from sifilma.web.operations import operation

blueprint = Blueprint("region_pages", __name__, url_prefix="/peta/dasar")


@blueprint.get("/<string:name>.json")
@operation("reference.read")
def sheet(name: str) -> Response:
    """Send a sheet. Its URL holds the map's digest, so browsers may keep it."""
    found = map_in_use(resources().settings.home)
    data = found.sheet(name) if found is not None else None
    if found is None or data is None:
        raise NotFound()
    answer = Response(data, content_type="application/json", headers={"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})
    if not request.accept_encodings["gzip"]:
        answer.set_data(gzip.decompress(data))
        del answer.headers["Content-Encoding"]
    answer.headers["Cache-Control"] = f"private, max-age={FOREVER}, immutable"
    answer.set_etag(f"{found.digest}-{name}")
    answer.make_conditional(request)
    return answer


@blueprint.app_template_global("map_address")
def map_address() -> str:
    """Return the address of the sheets, with NAMA where the name of one goes, or an empty text without a map."""
    found = map_in_use(resources().settings.home)
    return url_for("region_pages.sheet", name="NAMA", v=found.digest) if found else ""


@blueprint.app_template_global("map_credit")
def map_credit() -> str:
    """Return whom to name as the source of the outlines."""
    found = map_in_use(resources().settings.home)
    return found.credit if found else ""
