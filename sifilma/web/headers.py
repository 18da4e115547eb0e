"""Response headers of every answer: what browsers may do with it, and that nothing is cached."""

from __future__ import annotations

from flask import Flask, Response, g, request

from config.settings import Settings

CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)


def register(app: Flask, settings: Settings) -> None:
    """Attach the headers to every answer, errors included."""

    @app.after_request
    def set_headers(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", CSP)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        response.headers.setdefault("Permissions-Policy", "geolocation=(self), camera=(self), microphone=()")
        response.headers["X-Request-Id"] = g.get("request_id", "")
        if not request.path.startswith(("/static/", "/.well-known/", "/status/")):
            response.headers.setdefault("Cache-Control", "no-store")
        if settings.https:
            response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        return response
