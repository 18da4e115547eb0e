"""The web layer that all packages share: layout, assets, error pages and the request cycle."""

from flask import Blueprint

blueprint = Blueprint("web", __name__, static_folder="static", static_url_path="/static", template_folder="templates")
"""Serves the style sheet, and holds the templates that every page extends."""
