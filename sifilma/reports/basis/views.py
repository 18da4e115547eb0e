"""What the basis of a decision gives to the pages of requests: `basis(kind, id)`."""

from __future__ import annotations

from uuid import UUID

from flask import Flask, render_template
from markupsafe import Markup

from sifilma.reports.basis import pages
from sifilma.web.requests import context


def register(app: Flask) -> None:
    """Give the function to the templates."""
    app.jinja_env.globals.update(basis=basis)


def basis(kind: str, key: UUID) -> Markup:
    """Return what is weighed beside a request that the actor may decide on."""
    found = pages.basis_page(context(), kind, key)
    return Markup(render_template("reports/basis.html", basis=found))  # noqa: S704  # a template
