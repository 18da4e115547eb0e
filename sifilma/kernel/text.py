"""Sentences with values in them, which a screen can say in its own language."""

from __future__ import annotations

from typing import Any


class Text(str):
    """An English sentence that remembers its template: `template % values`. To the API it is the sentence."""

    template: str
    values: dict[str, Any]


def say(template: str, **values: Any) -> Text:
    """`say("%(count)s rows are wrong.", count=3)`. Templates are collected for translation, values are not."""
    text = Text(template % values)
    text.template, text.values = template, values
    return text
