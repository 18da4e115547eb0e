"""Which characters a text may have: the same for a field of a form, a member of JSON and a cell of a file.

A request that holds others, wherever in it, is refused before a view runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from flask import request

from sifilma.kernel.errors import Invalid
from sifilma.web.body_limits import too_deep

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


def refuse() -> None:
    """Raise Invalid, with the name of the field, if the request has such text."""
    try:
        _require_fit(_texts())
    except RecursionError as deep:
        raise Invalid.field("body", "This is nested too deeply.") from deep


def require_fit(name: str, value: Any) -> None:
    """Raise Invalid if `value`, parsed from an uploaded file, has such text."""
    _require_fit(_leaves(value, name))


def _require_fit(texts: Iterable[tuple[str, str]]) -> None:
    for name, text in texts:
        if not is_fit(text) or not is_fit(name):
            raise Invalid.field(fit(name), "This text has characters that cannot be kept.")


def _texts() -> Iterator[tuple[str, str]]:
    yield from _leaves(request.view_args or {}, "path")
    yield from request.args.items(multi=True)
    if request.is_json:
        found = request.get_json(silent=True)  # parsed once: Flask keeps it for the view
        yield from _leaves(found, "body") if may_be_unfit(request.get_data()) else ()
    elif request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data"):
        for name, text in request.form.items(multi=True):
            yield name, text
            yield from _leaves(_json(text), name)


def _json(text: str) -> Any:
    """Return the parsed JSON of a form field, or None if it is not JSON."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    if too_deep(text.encode("utf-8", "replace")):
        raise Invalid.field("body", "This is nested too deeply.")
    try:
        return json.loads(text)
    except ValueError:  # the view that reads the field reports it
        return None


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield every text below a value with the name of its field. Names of members are yielded as texts too."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key), ""
            yield from _leaves(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, name)
