"""Translate the sentences that services and schemas raise in English into the language of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask_babel import gettext
from flask_babel import lazy_gettext as _

from sifilma.kernel.text import Text, Wrong
from sifilma.web import states
from sifilma.web.field_names import CHOOSE, EXAMPLES, name_of
from sifilma.web.languages import decimal

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
NAMED = {
    "missing": _("%(field)s is needed."),
    "string_too_short": _("%(field)s needs at least %(min_length)s characters."),
    "string_too_long": _("%(field)s takes at most %(max_length)s characters."),
    "string_pattern_mismatch": _("%(field)s is not written as it must be."),
    "too_short": _("%(field)s: at least %(min_length)s must be given."),
    "too_long": _("%(field)s: at most %(max_length)s are accepted."),
    "greater_than_equal": _("%(field)s must be at least %(ge)s."),
    "less_than_equal": _("%(field)s must be at most %(le)s."),
    "greater_than": _("%(field)s must be more than %(gt)s."),
    "less_than": _("%(field)s must be less than %(lt)s."),
    "number": _("%(field)s must be a number."),
    "number_like": _("%(field)s must be a number, for example %(example)s."),
    "whole": _("%(field)s must be a whole number."),
    "choice": _("Choose %(field)s of the list."),
    "date": _("%(field)s must be a date."),
    "moment": _("%(field)s must be a date and a time."),
}
"""The same with the name of the field, for the fields that have one (`web.field_names`)."""
_KINDS = {
    "int_parsing": "whole", "int_from_float": "whole", "int_type": "whole",
    "float_parsing": "number", "float_type": "number", "decimal_parsing": "number", "decimal_type": "number", "finite_number": "number",
    "uuid_parsing": "choice", "uuid_type": "choice", "literal_error": "choice", "enum": "choice",
    "date_from_datetime_parsing": "date", "date_from_datetime_inexact": "date", "date_parsing": "date", "date_type": "date",
    "datetime_from_date_parsing": "moment", "datetime_parsing": "moment", "timezone_aware": "moment", "datetime_type": "moment",
}  # fmt: skip
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


def field_text(field: str, sentence: str) -> str:
    """Return a sentence about a field in the language of the page. What a schema found names the field."""
    return validation_text(sentence.error, field) if isinstance(sentence, Wrong) else translate(sentence)


def validation_text(error: Mapping[str, Any], field: str = "") -> str:
    """Return the message for a fault that a schema found (one item of pydantic's `errors()`). It never repeats the input.

    With a field it names it.
    """
    if error["type"] == "value_error":
        cause = error["ctx"]["error"]
        return translate(cause.args[0] if cause.args else str(error["msg"]))
    if named := _named(error, field):
        return named
    known = VALIDATION.get(error["type"])
    return str(known) % error.get("ctx", {}) if known is not None else str(gettext("This cannot be accepted."))


def _named(error: Mapping[str, Any], field: str) -> str:
    """Return the message with the name of the field; empty if the field or the fault has no words of this kind."""
    called, found = name_of(field), error["type"]
    context = dict(error.get("ctx", {}))
    if found == "too_short" and field in CHOOSE and context.get("min_length") == 1:
        return str(CHOOSE[field])
    if not called:
        return ""
    if found == "string_too_short" and not str(error.get("input", "-")).strip():
        found = "missing"
    kind, last = _KINDS.get(found, found), field.rpartition(".")[2]
    if kind == "number" and last in EXAMPLES:
        kind, context["example"] = "number_like", EXAMPLES[last]
    return str(NAMED[kind]) % (context | {"field": called}) if kind in NAMED else ""


def _value(name: str, value: Any) -> Any:
    """Return a value as the page writes it: nested sentences translated, states and kinds in words, decimal commas."""
    if isinstance(value, float) or name in AMOUNTS:
        return decimal(value) if isinstance(value, int | float) else value
    if isinstance(value, Text):
        return translate(value)
    return WORDS[name](str(value)) if name in WORDS else value
