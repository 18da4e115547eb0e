"""Set and clear the session cookie, and the cookie of a browser that takes up an invitation."""

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


def enrolment_cookie_name(settings: Settings) -> str:
    """Return the name of the cookie that binds an authenticator's seed to the browser it was shown in."""
    return "__Host-sifilma_enrolment" if settings.https else "sifilma_enrolment"


def set_enrolment_cookie(response: Response, settings: Settings, value: str) -> Response:
    """Set that cookie as the session's is, for as long as a link lives. Strict: only the page itself sends it."""
    response.set_cookie(
        enrolment_cookie_name(settings),
        value,
        max_age=settings.invitation_hours * 3600,
        httponly=True,
        samesite="Strict",
        secure=settings.https,
        path="/",
    )
    return response
