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


def packed(sentence: str) -> dict[str, Any]:
    """A sentence as JSON that remembers what it is made of: `unpacked` gives it back, in any language."""
    if isinstance(sentence, Wrong):
        return _packed_fault(sentence.error)
    if isinstance(sentence, Text):
        values = {name: packed(value) if isinstance(value, Text) else _plain(value) for name, value in sentence.values.items()}
        return {"template": sentence.template, "values": values}
    return {"text": str(sentence)}


def _packed_fault(error: Mapping[str, Any]) -> dict[str, Any]:
    cause = error.get("ctx", {}).get("error")
    if cause is not None and cause.args:  # a sentence of our own
        return packed(cause.args[0])
    context = {name: _plain(value) for name, value in error.get("ctx", {}).items() if name != "error"}
    return {"fault": error["type"], "text": error["msg"], "context": context}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else str(value)


def unpacked(stored: Mapping[str, Any]) -> str:
    """The sentence that was packed."""
    if "template" in stored:
        values = {name: unpacked(value) if isinstance(value, Mapping) else value for name, value in stored["values"].items()}
        return say(stored["template"], **values)
    if "fault" in stored:
        return Wrong({"type": stored["fault"], "msg": stored["text"], "ctx": stored["context"]})
    return str(stored["text"])
