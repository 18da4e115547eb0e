"""Sending files so that a browser saves them and never runs them."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

from flask import Response

from sifilma.documents.uploads import clean_name

SANDBOX = "sandbox; default-src 'none'"


def attachment(data: bytes, media_type: str, filename: str) -> Response:
    """The bytes as a download (RFC 6266), in a sandbox of their own if something opens them all the same."""
    name = clean_name(filename)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or "berkas"
    response = Response(data, content_type=media_type)
    response.headers["Content-Disposition"] = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "private, no-store"
    return response
