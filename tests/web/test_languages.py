"""Languages: Bahasa Indonesia is the default, a switch chooses English, and plurals follow the language."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import cast
from zoneinfo import ZoneInfo

import pytest
from flask import render_template_string
from flask_babel import force_locale, format_date, format_datetime, format_decimal, gettext, ngettext
from jinja2 import DictLoader

from sifilma.kernel.text import say
from sifilma.web import pages
from sifilma.web.languages import Environment, catalogue, current
from sifilma.web.texts import translate
from tests.support.visitor import Visitor
from tests.support.world import World


@pytest.mark.parametrize(
    ("cookie", "lang", "heading"),
    [("", "id", "Masuk"), ("id", "id", "Masuk"), ("en", "en", "Sign in"), ("../../etc/passwd", "id", "Masuk"), ("xx", "id", "Masuk")],
)
def test_the_cookie_chooses_and_indonesian_is_the_default(house: World, cookie: str, lang: str, heading: str) -> None:
    response = Visitor(house, language=cookie).get("/masuk")
    page = response.get_data(as_text=True)
    assert f'<html lang="{lang}">' in page
    assert f"<h1>{heading}</h1>" in page


def test_the_language_of_the_browser_is_ignored(house: World) -> None:
    """The pages of a ministry are in Indonesian also in a browser that prefers English."""
    assert '<html lang="id">' in Visitor(house).client.get("/masuk", headers={"Accept-Language": "en"}).get_data(as_text=True)


@pytest.mark.parametrize(("language", "one", "many"), [("id", "1 hari", "1.095 hari"), ("en", "1 day", "1,095 days")])
def test_plural_forms_and_separators_follow_the_language(house: World, language: str, one: str, many: str) -> None:
    with house.app.test_request_context("/", headers={"Cookie": f"bahasa={language}"}):
        assert [ngettext("%(num)s day", "%(num)s days", count) for count in (1, 1095)] == [one, many]
        page = render_template_string("{% for count in (1, 1095) %}{{ ngettext('%(num)s day', '%(num)s days', count) }};{% endfor %}")
        assert page == f"{one};{many};"
        assert translate(say("The file has too many rows; at most %(most)s are accepted.", most=1095)).count(many.split(maxsplit=1)[0]) == 1


def test_an_untranslated_text_stays_english(house: World) -> None:
    with house.app.test_request_context("/"):
        assert gettext("Never said before") == "Never said before"
        assert ngettext("%(num)s planted", "%(num)s planted ones", 2) == "2 planted ones"


@pytest.mark.parametrize("language", ["id", "en"])
def test_moments_days_and_numbers_are_written_as_babel_writes_them(house: World, language: str) -> None:
    at = datetime(2026, 5, 9, 16, 5, 59, tzinfo=UTC)  # the next day in Jayapura
    with house.app.test_request_context("/", headers={"Cookie": f"bahasa={language}"}):
        for value in (at, at.replace(tzinfo=None), at.astimezone(ZoneInfo("Asia/Jayapura")), at + timedelta(hours=1)):
            assert pages.moment(value) == f"{format_datetime(value, 'd MMM y HH.mm')} WIB"
            assert pages.day(value) == format_date(value, "d MMM y")
            on = value.date()
            assert (pages.day(on), pages.month(on)) == (format_date(on, "d MMM y"), format_date(on, "MMM y"))
        for number in (0, 1, 1.0, -1_250, 1_234_567, 0.125, Decimal("1250.50")):
            assert pages.number(number) == format_decimal(number)  # type: ignore[arg-type]  # a Decimal too


def test_a_block_in_another_language_is_written_in_it_and_the_page_goes_on_in_its_own(house: World) -> None:
    with house.app.test_request_context("/"):
        written = [(gettext("Cards"), pages.number(1250), pages.day(date(2026, 5, 9)))]
        with force_locale("en"):
            written.append((render_template_string("{{ _('Cards') }}"), pages.number(1250), pages.day(date(2026, 5, 9))))
        written.append((render_template_string("{{ _('Cards') }}"), pages.number(1250), pages.day(date(2026, 5, 9))))
    assert written == [("Kartu SAM", "1.250", "9 Mei 2026"), ("Cards", "1,250", "9 May 2026"), ("Kartu SAM", "1.250", "9 Mei 2026")]
    assert current() == "en"  # without a request


def test_a_template_is_compiled_for_each_language_with_its_texts(house: World) -> None:
    source = "{{ _('Chosen:') }} <b>{{ _('until %(day)s', day=when) }}</b> {{ _(given) }}{{ '<' ~ _('<b>100 %% of it</b>') }}"
    loader = DictLoader({"page.html": source, "whole.html": "{% include 'page.html' %}"})
    for chosen, expected in (
        ("id", "Dipilih: <b>sampai &lt;i&gt;</b> Batal&lt;<b>100 % of it</b>"),
        ("en", "Chosen: <b>until &lt;i&gt;</b> Cancel&lt;<b>100 % of it</b>"),
        ("id", "Dipilih: <b>sampai &lt;i&gt;</b> Batal&lt;<b>100 % of it</b>"),
    ):
        with house.app.test_request_context(), force_locale(chosen):
            templates = cast("Environment", house.app.jinja_env.overlay(loader=loader, bytecode_cache=None))
            templates._by_language = {}  # those of the house have its own templates
            assert templates.get_template("whole.html").render(when="<i>", given="Cancel") == expected
            code = templates.get_template("page.html").environment.compile(source, "page.html", raw=True)
            assert (expected.partition(" ")[0] in code, "l_0_given" in code, "Chosen" in code) == (True, True, chosen == "en")


def test_the_catalogue_is_read_once() -> None:
    assert catalogue("id") is catalogue("id")


def test_the_switch_keeps_the_page_and_its_query(house: World) -> None:
    visitor = Visitor(house, "magetan.kepala")
    response = visitor.send("/bahasa", bahasa="en", kembali="/unit?hardware_number=HW-1")
    assert (response.status_code, response.location) == (303, "/unit?hardware_number=HW-1")
    cookie = visitor.client.get_cookie("bahasa")
    assert cookie is not None
    assert (cookie.value, cookie.http_only, cookie.same_site) == ("en", True, "Lax")
    visitor.get("/profil")
    assert "Your sessions" in visitor.seen
    visitor.send("/bahasa", bahasa="id", kembali="/profil")
    visitor.get("/profil")
    assert "Sesi Anda" in visitor.seen


def test_an_unknown_language_is_not_stored(house: World) -> None:
    visitor = Visitor(house)
    assert visitor.send("/bahasa", bahasa="fr", kembali="/masuk").status_code == 303
    assert visitor.client.get_cookie("bahasa") is None


@pytest.mark.parametrize(
    ("address", "leads_to"),
    [
        ("/", "/"),
        ("/masuk", "/masuk"),
        ("/unit?cursor=x&unduh=", "/unit?cursor=x&unduh="),
        ("//example.org", "/"),
        ("/\\example.org", "/"),
        ("\\\\example.org", "/"),
        ("https://example.org/", "/"),
        ("/\t/example.org", "/"),
        ("/unit\r\nSet-Cookie: x=1", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
        ("masuk", "/"),
        ("/profil/kata-sandi", "/profil"),  # this path answers only POST, so the page above it is shown
        ("/sesi/x/akhiri", "/"),
        ("/nowhere?x=1", "/"),
        ("/unit/", "/unit"),
    ],
)
def test_the_switch_leads_only_to_pages_of_this_site(house: World, address: str, leads_to: str) -> None:
    assert Visitor(house).send("/bahasa", bahasa="id", kembali=address).location == leads_to


def test_the_switch_leads_to_the_page_of_a_refused_form(house: World) -> None:
    visitor = Visitor(house, "magetan.kepala")
    response = visitor.send("/profil/kata-sandi", current="salah", password="x", repeat="y")
    assert response.status_code == 422
    assert 'name="kembali" value="/profil/kata-sandi"' in response.get_data(as_text=True)
    assert visitor.send("/bahasa", bahasa="en", kembali="/profil/kata-sandi").location == "/profil"


def test_a_return_path_of_any_length_is_answered(house: World) -> None:
    visitor = Visitor(house)
    assert visitor.send("/bahasa", bahasa="en", kembali="/x" * 400).location == "/"
    assert visitor.send("/bahasa", bahasa="en", kembali="/x" * 40_000).location == "/"
