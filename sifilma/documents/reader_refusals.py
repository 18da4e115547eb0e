"""What a child that reads an upload tells its parent when it does not accept the file: exit status and reasons."""

from __future__ import annotations

REFUSED = 3
"""The exit status of a child that prints the reason of a refusal. After any other but 0 it prints nothing that counts."""

TOO_LONG, TOO_MUCH, BROKEN = "too-long", "too-much", "broken"
"""Reasons that every kind of file can have: it takes too much time or too much memory, or it cannot be read."""

TOO_WIDE, LONG_TEXT, SYNTAX, NOT_A_TABLE = "too-wide", "long-text", "syntax", "not-a-table"
DAMAGED, UNPACKED, ENTITIES = "damaged", "unpacked", "entities"
NO_HEADING, TWO_SHEETS, TWO_COLUMNS = "no-heading", "two-sheets", "two-columns"
"""Reasons of tables. UNPACKED is one of PDFs too."""

NOT_A_PDF, ENCRYPTED, ACTIVE, NO_PAGES = "not-a-pdf", "encrypted", "active", "no-pages"
"""Reasons of PDFs."""

NOT_A_PHOTO, TOO_MANY_PIXELS = "not-a-photo", "too-many-pixels"
"""Reasons of photos."""


class NotAccepted(Exception):
    """The file is refused for `reason`, with facts that the sentence about it names."""

    def __init__(self, reason: str, **facts: object) -> None:
        super().__init__(reason)
        self.reason, self.facts = reason, facts
