"""Files that a page shows in a frame, or that are saved from it."""

from __future__ import annotations

from flask import Response, request

from sifilma.documents.responses import PDF, attachment, inline_pdf


def paper(data: bytes, media_type: str, filename: str) -> Response:
    """Return a file for the macro `pdf`: a PDF to be shown, or a download with `?unduh=1` and for all other types."""
    if media_type == PDF and not request.args.get("unduh"):
        return inline_pdf(data, filename)
    return attachment(data, media_type, filename)
