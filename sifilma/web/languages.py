"""The screens' languages: Bahasa Indonesia first, English by a switch.

Texts in the code are English; `<package>/translations/id.po` says them in Indonesian. The catalogues are read as they are written:
nothing to compile, nothing that can be stale.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, current_app, request
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
    first, *others = (_compiled(path, language) for path in sorted(PACKAGES.glob(f"*/translations/{language}.po")))
    for texts in others:
        first.merge(texts)
    return first


def _compiled(path: Path, language: str) -> Translations:
    """One package's catalogue as gettext reads it (MO), in memory. Fuzzy and empty texts are left out: they stay English."""
    compiled = BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return Translations(compiled)


def register(app: Flask, zone: Callable[[], str], preferred: Callable[[], str]) -> None:
    """Attach Flask-Babel; `zone` and `preferred` name the time zone and the language of whoever asks."""
    app.extensions["sifilma.preferred_language"] = preferred
    babel = Babel(app, default_locale="id", default_timezone="Asia/Jakarta", locale_selector=language, timezone_selector=zone)
    babel.domain_instance = Catalogues()


def language() -> str:
    """The language somebody chose here, else the one kept for them, else Bahasa Indonesia."""
    chosen = request.cookies.get(COOKIE) or current_app.extensions["sifilma.preferred_language"]()
    return chosen if chosen in LANGUAGES else "id"
