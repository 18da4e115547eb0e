"""Files that a page shows in a frame, or that are saved from it."""

from __future__ import annotations

from flask import Response, request

from sifilma.documents.responses import PDF, attachment, inline_pdf


def paper(data: bytes, media_type: str, filename: str) -> Response:
    """What a page shows with the macro `pdf`: a PDF to be looked at; with `?unduh=1`, and whatever is no PDF, as a download."""
    if media_type == PDF and not request.args.get("unduh"):
        return inline_pdf(data, filename)
    return attachment(data, media_type, filename)
