"""The screens' languages: Bahasa Indonesia first, English by a switch.

Texts in the code are English; `<package>/translations/id.po` says them in Indonesian. The catalogues are read as they are written:
nothing to compile, nothing that can be stale.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from babel.messages.catalog import Message
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, request
from flask_babel import Babel, Domain, get_locale

LANGUAGES = {"id": "Bahasa Indonesia", "en": "English"}
COOKIE = "bahasa"
PACKAGES = Path(__file__).resolve().parents[1]


class Catalogues(Domain):  # type: ignore[misc]  # Flask-Babel brings no types
    """Every package's catalogue as one."""

    def get_translations(self) -> NullTranslations:
        """The texts of the request's language; English is the code's own."""
        return catalogue(str(get_locale() or "en"))


@lru_cache(maxsize=4)
def catalogue(language: str) -> NullTranslations:
    """The texts of a language, of all packages."""
    if language == "en":
        return NullTranslations()
    texts = Translations()
    texts._catalog, texts.plural = {}, lambda _: 0  # Indonesian words have one form for any number
    for path in sorted(PACKAGES.glob(f"*/translations/{language}.po")):
        with path.open("rb") as file:
            texts._catalog.update(filter(None, map(_entry, read_po(file, locale=language))))
    return texts


def _entry(message: Message) -> tuple[Any, str] | None:
    """A translation as gettext keeps it: a plural's first form under its number."""
    if not message.id or not message.string or message.fuzzy:
        return None
    if isinstance(message.id, str):
        return message.id, str(message.string)
    return (message.id[0], 0), message.string[0]


def register(app: Flask, zone: Callable[[], str], preferred: Callable[[], str]) -> None:
    """Attach Flask-Babel; `zone` and `preferred` name the time zone and the language of whoever asks."""
    select = partial(language, preferred)
    babel = Babel(app, default_locale="id", default_timezone="Asia/Jakarta", locale_selector=select, timezone_selector=zone)
    babel.domain_instance = Catalogues()
    app.jinja_env.globals.update(languages=LANGUAGES, language=select)


def language(preferred: Callable[[], str]) -> str:
    """The language somebody chose here, else the one kept for them, else Bahasa Indonesia."""
    chosen = request.cookies.get(COOKIE) or preferred()
    return chosen if chosen in LANGUAGES else "id"
