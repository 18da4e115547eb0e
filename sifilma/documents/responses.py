"""Send files so that a browser saves or shows them, but never runs them."""

from __future__ import annotations

import unicodedata
from collections.abc import Generator
from urllib.parse import quote

from flask import Response

from sifilma.documents.uploads import clean_name
from sifilma.web.streams import Streamed

SANDBOX = "sandbox; default-src 'none'"
PDF = "application/pdf"


def attachment(data: bytes, media_type: str, filename: str) -> Response:
    """Return the bytes as a download (RFC 6266). The sandbox policy applies if a browser opens them nevertheless."""
    return _answer(Response(data, content_type=media_type), filename, "attachment", SANDBOX)


def streamed_attachment(parts: Generator[bytes, None, None], media_type: str, filename: str) -> Response:
    """Return a download whose parts are made while it is sent."""
    return _answer(Streamed(parts, media_type), filename, "attachment", SANDBOX)


def inline_pdf(data: bytes, filename: str) -> Response:
    """Return a PDF for a frame of our own pages; other sites cannot frame it.

    The sandbox comes as a header of the answer: Chromium shows no PDF in a frame that has the attribute `sandbox`, but accepts this header.
    """
    return _answer(Response(data, content_type=PDF), filename, "inline", f"{SANDBOX}; frame-ancestors 'self'")


def _answer(response: Response, filename: str, disposition: str, policy: str) -> Response:
    name = clean_name(filename)
    # RFC 6266: `filename` is for clients that do not know `filename*`.
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or "berkas"
    response.headers["Content-Disposition"] = f"{disposition}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    response.headers["Content-Security-Policy"] = policy
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "private, no-store"  # letters and manifests must not stay in caches
    return response
