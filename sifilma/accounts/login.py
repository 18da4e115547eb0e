"""Flask-Login's view of who is signed in: `current_user` for pages. Sessions themselves lie in the database (`authentication`)."""

from __future__ import annotations

from flask import Flask, Request, g
from flask_login import LoginManager, UserMixin

from sifilma.kernel.actor import Actor


class SignedIn(UserMixin):  # type: ignore[misc]  # Flask-Login brings no types
    """The person behind a request."""

    def __init__(self, actor: Actor) -> None:
        self.id = str(actor.user_id)
        self.username = actor.username


def register(app: Flask) -> None:
    """Attach Flask-Login. Its own session cookie is never set: a signed cookie would survive the sign-out."""
    manager = LoginManager(app)
    manager.session_protection = None
    manager.request_loader(_load)


def _load(_request: Request) -> SignedIn | None:
    actor: Actor | None = g.get("actor")
    return SignedIn(actor) if actor is not None and actor.user_id is not None else None
