"""The check of a cell of a file: the characters that a field of a form may have, and a length. The rest is the schema's of its row."""

from __future__ import annotations

from sifilma.kernel.text import say
from sifilma.web.characters import is_fit

LONGEST = 4000  # characters; no field takes more, and a column of errors that comes back has its place


def wrong_with(text: str) -> str | None:
    """Return what is wrong with the text of a cell, in words, or None."""
    if not is_fit(text):
        return "This text has characters that cannot be kept."
    return say("At most %(most)s characters are accepted.", most=LONGEST) if len(text) > LONGEST else None
