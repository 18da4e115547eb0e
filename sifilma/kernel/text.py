"""Sentences that keep their template and values apart, so that a page can translate them; and which characters of a text are seen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import SkipValidation

HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Categories of characters that show nothing or mean nothing: control, format, unassigned, private, halves of pairs, two kinds of break."""
FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs by their category that nevertheless show nothing: the Hangul fillers, the empty Braille pattern."""
_DROPPED = frozenset({"Cc", "Cf", "Cs"})
_UNKNOWN = frozenset({"Cn", "Co"})


def is_hidden(sign: str) -> bool:
    """Return whether a character shows nothing, or is none that Unicode knows. A space is seen by what it separates."""
    return unicodedata.category(sign) in HIDDEN or sign in FILLERS


def visible(text: str) -> str:
    r"""Return a text in NFC as it is seen: without characters that show nothing, such as marks of direction or of a possible hyphen.

    Line ends become `\n`; tabs stay. What Unicode does not know stays too: it may be a sign of a newer version, which whoever shows or
    prints the text judges.
    """
    if _is_plain(text):
        return text
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").translate(_BREAKS)
    return "".join(sign for sign in lines if sign in "\n\t" or not (unicodedata.category(sign) in _DROPPED or sign in FILLERS))


def is_known(text: str) -> bool:
    """Return whether Unicode assigns every character of a text: none is private to somebody's fonts, or of a version yet to come."""
    return _is_plain(text) or not any(unicodedata.category(sign) in _UNKNOWN for sign in text)


def _is_plain(text: str) -> bool:
    """Return whether a text has only visible signs and spaces of ASCII, as nearly all do: each is seen, known and in NFC."""
    return text.isascii() and text.isprintable()


def comparison_key(text: str) -> str:
    """Return the form of a name or a number by which two of them are compared: NFKC, case folded, without what shows nothing.

    White space counts as nothing, every dash as a hyphen: who types a number from paper cannot see which it was. The key may be longer
    than the text.
    """
    folded = text
    for _ in range(2):  # the first folding may leave what another one changes
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded).casefold())
    signs = ("-" if unicodedata.category(sign) == "Pd" else sign for sign in folded if not is_hidden(sign))
    return "".join("".join(signs).split())


_BREAKS = str.maketrans(dict.fromkeys("\r\x0b\x0c\x85\u2028\u2029", "\n"))


def has_part(text: str) -> bool:
    """Return whether a text has three letters or digits in a row, which an index by trigrams needs."""
    return re.search(r"[^\W_]{3}", text) is not None


class Text(str):
    """An English sentence that keeps its template: `template % values`. The API returns the sentence itself."""

    template: str
    values: dict[str, Any]


class Wrong(str):
    """A fault that a schema found in a value (one item of pydantic's `errors()`). It keeps the kind of the fault for translation."""

    error: Mapping[str, Any]

    def __new__(cls, error: Mapping[str, Any]) -> Wrong:
        """Make the sentence from pydantic's message. Sentences of our own schemas arrive with a prefix, which is removed."""
        made = super().__new__(cls, error["msg"].removeprefix("Value error, "))
        made.error = error
        return made


Sentence = Annotated[str, SkipValidation]  # validation would turn a Text into a plain str


def say(template: str, **values: Any) -> Text:
    """Return a sentence: `say("%(count)s rows are wrong.", count=3)`. `scripts/texts.py` collects templates for translation.

    Values named `state` and `target` (states), `thing` (kinds of objects) and `roles` are words that the page translates too. Other
    values stay as they are.
    """
    text = Text(template % values)
    text.template, text.values = template, values
    return text


def joined(separator: str, texts: Sequence[Text]) -> Text:
    """Join several sentences into one that can still be translated part by part."""
    names = [f"part{index}" for index in range(len(texts))]
    return say(separator.join(f"%({name})s" for name in names), **dict(zip(names, texts, strict=True)))


def packed(sentence: str) -> dict[str, Any]:
    """Return a sentence as JSON with its template and values, to store it. `unpacked` restores it in any language."""
    if isinstance(sentence, Wrong):
        return _packed_fault(sentence.error)
    if isinstance(sentence, Text):
        values = {name: packed(value) if isinstance(value, Text) else _plain(value) for name, value in sentence.values.items()}
        return {"template": sentence.template, "values": values}
    return {"text": str(sentence)}


def _packed_fault(error: Mapping[str, Any]) -> dict[str, Any]:
    cause = error.get("ctx", {}).get("error")
    if cause is not None and cause.args:  # raised by a validator of ours, with a sentence of its own
        return packed(cause.args[0])
    context = {name: _plain(value) for name, value in error.get("ctx", {}).items() if name != "error"}
    return {"fault": error["type"], "text": error["msg"], "context": context}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else str(value)


def unpacked(stored: Mapping[str, Any]) -> str:
    """Return the sentence that `packed` stored."""
    if "template" in stored:
        values = {name: unpacked(value) if isinstance(value, Mapping) else value for name, value in stored["values"].items()}
        return say(stored["template"], **values)
    if "fault" in stored:
        return Wrong({"type": stored["fault"], "msg": stored["text"], "ctx": stored["context"]})
    return str(stored["text"])
