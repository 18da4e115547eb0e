"""Layout, assets, error pages, the request cycle."""

from flask import Blueprint

blueprint = Blueprint("web", __name__, static_folder="static", static_url_path="/static", template_folder="templates")
"""Serves the style sheet, and holds the templates every page extends."""
