"""Refusals in the words of the screen: what services and schemas say in English, in the language somebody reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext

from sifilma.kernel.text import Text, say


def _(template: str) -> str:
    """Mark a text for the catalogues; it is said later, in the language of whoever reads it."""
    return template


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
    "finite_number": _("A number is needed."),
    "uuid_parsing": _("Choose one of the list."),
    "literal_error": _("Choose one of the list."),
    "date_from_datetime_parsing": _("A date is needed."),
    "date_parsing": _("A date is needed."),
    "datetime_from_date_parsing": _("A date and time are needed."),
    "datetime_parsing": _("A date and time are needed."),
    "timezone_aware": _("A date and time are needed."),
    "extra_forbidden": _("This field is not known here."),
}


def translate(sentence: str) -> str:
    """A sentence of a service in the language of the screen; one nobody has translated stays as it is."""
    if isinstance(sentence, Text):
        return str(gettext(sentence.template)) % {name: _value(value) for name, value in sentence.values.items()}
    return str(gettext(sentence)) if sentence else ""


def validation_text(error: Mapping[str, Any]) -> str:
    """What a schema found wrong with a field (one item of pydantic's `errors()`). Never repeats what was typed."""
    return translate(validation_sentence(error))


def validation_sentence(error: Mapping[str, Any]) -> str:
    """The same in English, for a service that names it among its own refusals; `translate` says it in any language."""
    if error["type"] == "value_error":
        cause = error["ctx"]["error"]
        return cause.args[0] if cause.args else str(error["msg"])
    return say(VALIDATION.get(error["type"], _("This cannot be accepted.")), **error.get("ctx", {}))


def _value(value: Any) -> Any:
    return translate(value) if isinstance(value, Text) else value
