"""Translate the sentences that services and schemas raise in English into the language of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask_babel import format_decimal, gettext
from flask_babel import lazy_gettext as _

from sifilma.kernel.text import Text, Wrong
from sifilma.web import states

VALIDATION = {
    "missing": _("This is needed."),
    "string_too_short": _("At least %(min_length)s characters are needed."),
    "string_too_long": _("At most %(max_length)s characters are accepted."),
    "string_pattern_mismatch": _("This is not written as it must be."),
    "too_short": _("At least %(min_length)s must be given."),
    "too_long": _("At most %(max_length)s are accepted."),
    "greater_than_equal": _("At least %(ge)s is needed."),
    "less_than_equal": _("At most %(le)s is accepted."),
    "int_parsing": _("A whole number is needed."),
    "int_from_float": _("A whole number is needed."),
    "float_parsing": _("A number is needed."),
    "decimal_parsing": _("A number is needed."),
    "decimal_type": _("A number is needed."),
    "finite_number": _("A number is needed."),
    "uuid_parsing": _("Choose one of the list."),
    "literal_error": _("Choose one of the list."),
    "date_from_datetime_parsing": _("A date is needed."),
    "date_from_datetime_inexact": _("A date is needed."),
    "date_parsing": _("A date is needed."),
    "datetime_from_date_parsing": _("A date and time are needed."),
    "datetime_parsing": _("A date and time are needed."),
    "timezone_aware": _("A date and time are needed."),
    "greater_than": _("More than %(gt)s is needed."),
    "less_than": _("Less than %(lt)s is needed."),
    "string_unicode": _("A text is needed."),
    "string_type": _("A text is needed."),
    "int_type": _("A whole number is needed."),
    "float_type": _("A number is needed."),
    "bool_parsing": _("Yes or no is needed."),
    "bool_type": _("Yes or no is needed."),
    "uuid_type": _("Choose one of the list."),
    "enum": _("Choose one of the list."),
    "date_type": _("A date is needed."),
    "datetime_type": _("A date and time are needed."),
    "list_type": _("A list is needed."),
    "dict_type": _("This is not written as it must be."),
    "model_type": _("This is not written as it must be."),
    "extra_forbidden": _("This field is not known here."),
}
WORDS: dict[str, Callable[[str], str]] = {
    "state": lambda value: str(states.state(value).name),
    "target": lambda value: str(states.state(value).name),
    "thing": states.thing,
    "roles": lambda value: ", ".join(map(states.kind, value.split(", "))),
}


AMOUNTS = frozenset({"approved", "cards", "count", "days", "digits", "least", "machines", "most", "rows"})
"""Values that are written with the separators of the language. Others that are numbers are names, such as that of a row."""


def translate(sentence: str) -> str:
    """Return a service's sentence in the language of the page. A sentence without a translation is returned as it is."""
    if isinstance(sentence, Wrong):
        return validation_text(sentence.error)
    if isinstance(sentence, Text):
        return str(gettext(sentence.template)) % {name: _value(name, value) for name, value in sentence.values.items()}
    return str(gettext(sentence)) if sentence else ""


def validation_text(error: Mapping[str, Any]) -> str:
    """Return the message for a fault that a schema found (one item of pydantic's `errors()`). It never repeats the input."""
    if error["type"] == "value_error":
        cause = error["ctx"]["error"]
        return translate(cause.args[0] if cause.args else str(error["msg"]))
    known = VALIDATION.get(error["type"])
    return str(known) % error.get("ctx", {}) if known is not None else str(gettext("This cannot be accepted."))


def _value(name: str, value: Any) -> Any:
    """Return a value as the page writes it: nested sentences translated, states and kinds in words, decimal commas."""
    if isinstance(value, float) or name in AMOUNTS:
        return format_decimal(value) if isinstance(value, int | float) else value
    if isinstance(value, Text):
        return translate(value)
    return WORDS[name](str(value)) if name in WORDS else value
