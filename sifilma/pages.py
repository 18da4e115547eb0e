"""Every page of the HTML side, and what strangers fetch: registered in one place."""

from __future__ import annotations

from flask import Flask

from sifilma import web
from sifilma.accounts import views as accounts
from sifilma.activation import views as activation


def register(app: Flask) -> None:
    """Attach the blueprints."""
    for blueprint in (web.blueprint, accounts.blueprint, activation.blueprint):
        app.register_blueprint(blueprint)
