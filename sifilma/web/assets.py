"""Serve files of npm packages to pages, from an allow-list. They are sent from `node_modules` as installed by the lock file."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Response, send_file, url_for
from markupsafe import Markup

from sifilma.kernel.errors import NotFound
from sifilma.web.operations import operation

NODE_MODULES = Path(__file__).resolve().parents[2] / "node_modules"
STATIC = Path(__file__).resolve().parent / "static"
FILES = {
    "bootstrap.css": "bootstrap/dist/css/bootstrap.min.css",
    "bootstrap.js": "bootstrap/dist/js/bootstrap.bundle.min.js",
    "htmx.js": "htmx.org/dist/htmx.min.js",
    "leaflet.css": "leaflet/dist/leaflet.css",
    "leaflet.js": "leaflet/dist/leaflet.js",
    "zxing.js": "@zxing/library/umd/index.min.js",
    "inter.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
}
ICONS = NODE_MODULES / "bootstrap-icons" / "icons"
FOREVER = 365 * 86400  # seconds: a year
blueprint = Blueprint("assets", __name__, url_prefix="/static/npm")


@blueprint.get("/<name>")
@operation("public")
def npm(name: str) -> Response:
    """Send one file of the allow-list. Its URL contains a digest of its content, so browsers may keep it."""
    if name not in FILES:
        raise NotFound()
    response = send_file(NODE_MODULES / FILES[name], max_age=FOREVER)
    response.headers["Cache-Control"] = f"public, max-age={FOREVER}, immutable"
    return response


def npm_url(name: str) -> str:
    """Return the URL of an npm file, with its digest."""
    return url_for("assets.npm", name=name, v=_digest(NODE_MODULES / FILES[name]))


def static_url(name: str) -> str:
    """Return the URL of a static file of ours, with its digest."""
    return url_for("web.static", filename=name, v=_digest(STATIC / name))


@lru_cache(maxsize=128)
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


@lru_cache(maxsize=128)
def icon(name: str) -> Markup:
    """Return a Bootstrap icon as inline SVG, hidden from screen readers: a text always stands beside it.

    Raise ValueError for a name that could lead out of the folder of icons.
    """
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise ValueError(f"{name!r} is no icon")
    svg = (ICONS / f"{name}.svg").read_text()
    # Only the shapes are taken: the file's own <svg> has a size and classes of its own.
    inner = svg[svg.index(">") + 1 : svg.rindex("</svg>")].strip()
    return Markup('<svg class="icon" viewBox="0 0 16 16" fill="currentColor" aria-hidden="true">{}</svg>').format(Markup(inner))  # noqa: S704  # an installed package's file
