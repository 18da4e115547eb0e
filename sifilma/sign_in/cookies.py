"""Set and clear the session cookie."""

from __future__ import annotations

from flask import Response

from config.settings import Settings
from sifilma.sign_in.authentication import cookie_name


def set_cookie(response: Response, settings: Settings, value: str) -> Response:
    """Set the cookie: HttpOnly, SameSite=Lax, for this host only; with https also Secure and prefixed `__Host-`."""
    response.set_cookie(
        cookie_name(settings), value, max_age=settings.session_hours * 3600, httponly=True, samesite="Lax", secure=settings.https, path="/"
    )
    return response


def clear_cookie(response: Response, settings: Settings) -> Response:
    """Delete the cookie in the browser."""
    response.delete_cookie(cookie_name(settings), httponly=True, samesite="Lax", secure=settings.https, path="/")
    return response
