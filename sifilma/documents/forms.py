"""Read the files that come with a form, or are kept for it."""

from __future__ import annotations

from sifilma.documents.service import Upload
from sifilma.web import kept


def upload(name: str) -> Upload | None:
    """Return the file of a field: the one that was chosen, else the one that is kept for it, else None."""
    return next(iter(uploads(name)), None)


def uploads(name: str) -> list[Upload]:
    """Return the files of a field for several: those that are kept for it, then those that were chosen."""
    return [Upload(file.filename, file.data) for file in kept.uploads(name)]
