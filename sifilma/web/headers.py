"""Set the response headers of every answer: what browsers may do with it, and that it must not be cached."""

from __future__ import annotations

from flask import Flask, Response, g, request

from config.settings import Settings

# `data:` is for QR codes. Inline scripts and styles are not allowed anywhere.
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)


ALWAYS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(self), camera=(), microphone=()",
}
WITH_CAMERA = {"Permissions-Policy": "geolocation=(self), camera=(self), microphone=()"}
"""For the one page that scans codes with the camera."""
PRACTICE = "X-SIFILMA-Env"
"""In every answer of an installation that is not real: programs see no banner."""
CACHEABLE = ("/static/", "/.well-known/", "/status/", "/log/")


def register(app: Flask, settings: Settings) -> None:
    """Attach the headers to every answer, including errors. Headers that a view has set stay."""
    fixed = dict(ALWAYS)
    if settings.https:
        fixed["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    if settings.mark:
        fixed[PRACTICE] = settings.env

    @app.after_request
    def set_headers(response: Response) -> Response:
        present = {name.title() for name in response.headers.keys()}  # noqa: SIM118  # Headers iterates over pairs
        wanted = fixed if request.path.startswith(CACHEABLE) else fixed | {"Cache-Control": "no-store"}
        response.headers.extend([(name, value) for name, value in wanted.items() if name not in present])
        response.headers["X-Request-Id"] = g.get("request_id", "")
        return response
