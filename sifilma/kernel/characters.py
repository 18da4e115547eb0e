"""Which characters a text may have: the same for a field of a form, a member of JSON and a cell of a file."""

from __future__ import annotations

import re

# NUL and lone surrogates: no database keeps them. Other controls than tab and line ends: no page, paper or sheet shows them. Overrides and
# isolates of the direction of writing: they show a text in another order than it has. U+FFFE and U+FFFF: no XML file may hold them.
_UNFIT = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff\\ufffe\\uffff]"
_unfit = re.compile(_UNFIT)
# The same in UTF-8, and what may stand for it in JSON: an escape, or another encoding (which has NUL bytes).
_maybe = re.compile(
    rb"\\u|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]|\xed[\xa0-\xbf]|\xef\xbf[\xbe\xbf]"
)


def is_fit(text: str) -> bool:
    """Return whether a text can be kept and shown as it is."""
    return _unfit.search(text) is None


def may_be_unfit(data: bytes) -> bool:
    """Return whether the texts in JSON must be looked at one by one. False only if each of them is fit."""
    return _maybe.search(data) is not None


def fit(text: str) -> str:
    """Return the text with a question mark for each character that is not fit."""
    return _unfit.sub("?", text)
