"""Sending files so that a browser saves or shows them and never runs them."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

from flask import Response

from sifilma.documents.uploads import clean_name

SANDBOX = "sandbox; default-src 'none'"
PDF = "application/pdf"


def attachment(data: bytes, media_type: str, filename: str) -> Response:
    """The bytes as a download (RFC 6266), in a sandbox of their own if something opens them all the same."""
    return _answer(data, media_type, filename, "attachment", SANDBOX)


def inline_pdf(data: bytes, filename: str) -> Response:
    """A PDF for a frame of our own pages, and of no other site's. The sandbox is the answer's own: Chromium shows no PDF in a
    frame that has the attribute `sandbox`, but heeds this header.
    """
    return _answer(data, PDF, filename, "inline", f"{SANDBOX}; frame-ancestors 'self'")


def _answer(data: bytes, media_type: str, filename: str, disposition: str, policy: str) -> Response:
    name = clean_name(filename)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or "berkas"
    response = Response(data, content_type=media_type)
    response.headers["Content-Disposition"] = f"{disposition}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    response.headers["Content-Security-Policy"] = policy
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "private, no-store"
    return response
