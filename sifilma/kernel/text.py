"""Sentences with values in them, which a screen can say in its own language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import SkipValidation


class Text(str):
    """An English sentence that remembers its template: `template % values`. To the API it is the sentence."""

    template: str
    values: dict[str, Any]


class Wrong(str):
    """What a schema found wrong with a value (one item of pydantic's `errors()`), which remembers what kind of fault it is."""

    error: Mapping[str, Any]

    def __new__(cls, error: Mapping[str, Any]) -> Wrong:
        """The sentence pydantic has for it; our own as it is."""
        made = super().__new__(cls, error["msg"].removeprefix("Value error, "))
        made.error = error
        return made


Sentence = Annotated[str, SkipValidation]  # in a schema: a Text stays one


def say(template: str, **values: Any) -> Text:
    """`say("%(count)s rows are wrong.", count=3)`. Templates are collected for translation, values are not.

    Values called `state` and `target` (states), `thing` (kinds of objects) and `roles` are words of their own: the screen
    translates them too.
    """
    text = Text(template % values)
    text.template, text.values = template, values
    return text


def joined(separator: str, texts: Sequence[Text]) -> Text:
    """Several sentences as one."""
    names = [f"part{index}" for index in range(len(texts))]
    return say(separator.join(f"%({name})s" for name in names), **dict(zip(names, texts, strict=True)))
