"""The languages of the pages: Bahasa Indonesia by default, English by a switch.

Texts in the code are English; `<package>/translations/id.po` holds their Indonesian. The catalogues are read directly: there is no
compiled form that could be out of date.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

from babel import dates, numbers
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, request
from flask.globals import app_ctx
from flask.templating import Environment as Templates
from flask_babel import Babel, Domain, get_locale, to_user_timezone
from jinja2 import Template, nodes, pass_context, pass_eval_context
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

LANGUAGES = {"id": "Bahasa Indonesia", "en": "English"}
COOKIE = "bahasa"
PACKAGES = Path(__file__).resolve().parents[1]


class Counted(int):
    """A number that a sentence counts by: it chooses the plural, and is written with the separators of the language (`1.095 hari`)."""

    def __str__(self) -> str:
        return decimal(int(self))


class Environment(Templates):
    """The templates. Each is compiled once for each language, with its texts in it: a page with a long table has a thousand."""

    language: str | None = None

    def __init__(self, app: Flask, **options: Any) -> None:
        super().__init__(app, **options)
        self._by_language: dict[str, Environment] = {}

    def _load_template(self, name: Any, globals: Any) -> Template:  # Jinja's name
        if self.language is None:
            return self._in(current())._load_template(name, globals)
        return super()._load_template(name, globals)

    def _generate(self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False) -> str:
        if self.language is not None:
            source = _Translating(self.language).visit(source)
        return super()._generate(source, name, filename, defer_init=defer_init)

    def _in(self, language: str) -> Environment:
        if language not in self._by_language:
            made = self.overlay()
            made.language = language
            self._by_language[language] = made
        return self._by_language[language]


class _Translating(NodeTransformer):
    """Puts the texts of a language in the place of the calls that would look them up."""

    def __init__(self, language: str) -> None:
        self._texts = catalogue(language)

    def visit_Concat(self, node: nodes.Concat, *_args: Any, **_kwargs: Any) -> nodes.Expr:  # noqa: N802  # Jinja's name
        """Leave what is joined by `~` as it is: of constants alone Jinja would make plain text, and escape it."""
        return node

    def visit_Call(self, node: nodes.Call, *args: Any, **kwargs: Any) -> nodes.Expr:  # noqa: N802  # Jinja's name
        """Return the text itself, or the call that fills in its variables."""
        self.generic_visit(node, *args, **kwargs)
        is_text = isinstance(node.node, nodes.Name) and node.node.name in ("_", "gettext") and len(node.args) == 1
        if not is_text or node.dyn_args or node.dyn_kwargs or not isinstance(node.args[0], nodes.Const):
            return node
        text = self._texts.gettext(node.args[0].value)
        if not node.kwargs and "%" not in text:
            return nodes.TemplateData(text, lineno=node.lineno)
        node.node = nodes.Name("_filled", "load", lineno=node.lineno)
        node.args = [nodes.TemplateData(text, lineno=node.lineno)]
        return node


def _filled(text: str, /, **variables: object) -> str:
    """Return a text of a template with its variables."""
    return text % variables


class Catalogues(Domain):  # type: ignore[misc]  # Flask-Babel brings no types
    """Merges the catalogues of all packages into one domain."""

    def get_translations(self) -> NullTranslations:
        """Return the texts in the request's language. English needs no catalogue, as it is the language of the code."""
        return catalogue(current())

    def ngettext(self, singular: str, plural: str, num: int, **variables: object) -> str:
        """Return the plural form for a number, with the number as the language writes it."""
        return str(super().ngettext(singular, plural, Counted(num), **variables))


def current() -> str:
    """Return the language of the page: that of the request, or of the block that forces another. English without either.

    A page asks hundreds of times. Where Flask-Babel has found it, it is taken from there, by one look at the request's context.
    """
    try:
        kept = app_ctx._get_current_object().g  # type: ignore[attr-defined]  # a proxy's
        found = getattr(getattr(kept, "_flask_babel", None), "babel_locale", None)
    except RuntimeError:  # no context
        found = None
    locale = found if found is not None else get_locale()
    return str(locale.language) if locale is not None else "en"


def decimal(value: float) -> str:
    """Return `1.250`, with the separators of the page's language."""
    return _decimal(value, current())


@lru_cache(maxsize=4096, typed=True)
def _decimal(value: float, language: str) -> str:
    return str(numbers.format_decimal(value, locale=language))


def day(value: date, pattern: str) -> str:
    """Return a day as the page's language writes it, by a pattern of Babel. That of a moment is the day in the reader's time zone."""
    return _day(to_user_timezone(value).date() if isinstance(value, datetime) else value, pattern, current())


@lru_cache(maxsize=4096)
def _day(value: date, pattern: str, language: str) -> str:
    return str(dates.format_date(value, pattern, locale=language))


@lru_cache(maxsize=4)
def catalogue(language: str) -> NullTranslations:
    """Return the texts of a language from all packages."""
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
    """Attach Flask-Babel. `zone` and `preferred` return the time zone and the stored language of the user."""
    select = partial(language, preferred)
    babel = Babel(app, default_locale="id", default_timezone="Asia/Jakarta", locale_selector=select, timezone_selector=zone)
    babel.domain_instance = texts = Catalogues()
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]  # of Jinja's extension
        gettext=str,  # `_in_template` takes its place
        ngettext=lambda one, many, number: texts.get_translations().ungettext(one, many, number),
        newstyle=True,
    )
    app.jinja_env.globals.update(languages=LANGUAGES, language=select, ngettext=_counted(app.jinja_env.globals["ngettext"]))
    app.jinja_env.globals.update(gettext=_in_template, _=_in_template, _filled=_filled)


@pass_eval_context
def _in_template(how: EvalContext, text: str, /, **variables: object) -> str:
    """Return a text in the page's language, with its variables, as Jinja's own does: one that a template has from elsewhere."""
    found = _marked(str(text), current()) if how.autoescape else str(catalogue(current()).gettext(str(text)))
    return found % variables if variables or "%" in found else found


@lru_cache(maxsize=8192)  # more than there are texts in templates
def _marked(text: str, language: str) -> Markup:
    return Markup(catalogue(language).gettext(text))  # noqa: S704  # texts of the code and of its translators


def _counted(ngettext: Any) -> Callable[..., str]:
    """Return the templates' `ngettext` with its number as the language writes it."""

    @pass_context
    def counted(context: Context, singular: str, plural: str, num: int, **variables: object) -> Any:
        return ngettext(context, singular, plural, Counted(num), **variables)

    return counted


def language(preferred: Callable[[], str]) -> str:
    """Return the language chosen in this browser, else the user's stored one, else Bahasa Indonesia."""
    chosen = request.cookies.get(COOKIE) or preferred()
    return chosen if chosen in LANGUAGES else "id"
