"""Limit the body of a request by its kind, before anything of it is parsed: bytes, and the nesting of JSON.

A few megabytes of JSON (`[[],[],…]`) become hundreds in memory, so a route takes small JSON unless it says that it takes lists.
"""

from __future__ import annotations

import re

from flask import request

from sifilma.kernel.errors import Invalid
from sifilma.web.requests import FORMS, policy

SMALL = 64 * 1024
LIST = 4 * 1024 * 1024
"""Bytes of a list of cards, units, results or rows of reference data."""
MAX_DEPTH = 20
MAX_PARTS = 200_000
"""Objects and lists in one body."""
# Possessive, and a text without its end runs to the end of the body: each byte is looked at once. With backtracking a body of quotes would
# cost the square of its length.
_TEXTS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_EMPTY = re.compile(rb"\[\]|\{\}")
_BRACKETS = b"[]{}"
_OTHERS = bytes(byte for byte in range(256) if byte not in _BRACKETS)


def refuse() -> None:
    """Raise TooLarge or Invalid for a body that this route does not take. Forms have limits of their own (the factory's settings)."""
    if request.mimetype in FORMS:
        return
    found = policy()
    request.max_content_length = LIST if not request.is_json or (found is not None and found.lists) else SMALL
    if request.is_json:
        body = request.get_data(cache=True)
        _require_utf8(body)
        if too_deep(body):
            raise Invalid.field("body", "This is nested too deeply.")


def _require_utf8(body: bytes) -> None:
    """Raise Invalid unless the body is UTF-8 (RFC 8259, section 8.1). Python's parser takes UTF-16 too; the checks here do not read it."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise Invalid.field("body", "This text has characters that cannot be kept.")


def too_deep(body: bytes) -> bool:
    """Tell whether JSON is nested more than MAX_DEPTH levels, or has more than MAX_PARTS objects and lists.

    Works on the brackets alone: each round takes the innermost pairs away. Whoever parses the text refuses what is no JSON.
    """
    brackets = _TEXTS.sub(b"", body).translate(None, _OTHERS)
    if len(brackets) > 2 * MAX_PARTS:
        return True
    for _ in range(MAX_DEPTH):
        brackets = _EMPTY.sub(b"", brackets)
    return _EMPTY.search(brackets) is not None or len(brackets) > MAX_DEPTH  # a few brackets without their partners: no JSON
