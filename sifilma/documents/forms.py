"""Read the files that come with a form."""

from __future__ import annotations

from flask import request

from sifilma.documents.service import Upload


def upload(name: str) -> Upload | None:
    """Return the uploaded file of a field, or None if none was chosen."""
    file = request.files.get(name)
    return Upload(file.filename, file.read()) if file is not None and file.filename else None
