"""Refuse text with characters that cannot be kept (sifilma/kernel/characters.py) before a view runs, wherever in a request it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from flask import request

from sifilma.kernel.characters import fit, is_fit, may_be_unfit
from sifilma.kernel.errors import Invalid
from sifilma.web.body_limits import too_deep


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
