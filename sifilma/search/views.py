"""The search on the web: one box on every page, and the page of what was found."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from sifilma.search import pages
from sifilma.web.operations import operation
from sifilma.web.requests import context

blueprint = Blueprint("search_pages", __name__, url_prefix="/cari", template_folder="templates")


@blueprint.get("")
@operation("session.self")
def show() -> str:
    """Show what is found for `q`; with `bagian`, parts too where something has exactly this identifier."""
    found = pages.look_up(context(), request.args.get("q", ""), parts=bool(request.args.get("bagian")))
    return render_template("search/search.html", found=found)
