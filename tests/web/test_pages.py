"""Times in the reader's zone, numbers and durations, URLs of pages, error pages, the side bar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from flask import g

from sifilma.kernel.actor import Actor
from sifilma.web.pages import day, moment, number, page_url, since, until
from sifilma.web.states import kind, state
from tests.support.visitor import Visitor
from tests.support.world import START, World


@pytest.mark.parametrize(
    ("region", "shown"),
    [
        (None, "24 Nov 2026 01.12 WIB"),
        ("35.20", "24 Nov 2026 01.12 WIB"),
        ("11", "24 Nov 2026 01.12 WIB"),
        ("51.06", "24 Nov 2026 02.12 WITA"),
        ("73", "24 Nov 2026 02.12 WITA"),
        ("91.71", "24 Nov 2026 03.12 WIT"),
    ],
)
def test_times_are_shown_in_the_zone_of_the_readers_region(house: World, region: str | None, shown: str) -> None:
    with house.app.test_request_context("/"):
        g.actor = Actor(region_code=region)
        assert moment(datetime(2026, 11, 23, 18, 12, tzinfo=UTC)) == shown


def test_a_reader_in_bali_sees_wita(house: World) -> None:
    visitor = Visitor(house, "bangli.kepala")
    visitor.get("/profil")
    assert "23 Nov 2026 11.00 WITA" in visitor.seen


def test_dates_and_numbers_are_written_as_in_indonesia(house: World) -> None:
    with house.app.test_request_context("/"):
        assert [number(value) for value in (0, 1250, 1234567, 2.5, None)] == ["0", "1.250", "1.234.567", "2,5", "–"]
        assert [day(value) for value in (date(2026, 5, 3), None)] == ["3 Mei 2026", "–"]
        assert moment(None) == "–"
    with house.app.test_request_context("/", headers={"Cookie": "bahasa=en"}):
        assert number(1250) == "1,250"
        assert day(date(2026, 5, 3)) == "3 May 2026"


@pytest.mark.parametrize(
    ("ago", "shown"),
    [
        (timedelta(0), "baru saja"),
        (timedelta(seconds=59), "baru saja"),
        (timedelta(minutes=1), "1 menit"),
        (timedelta(hours=3, minutes=59), "3 jam"),
        (timedelta(days=2, hours=23), "2 hari"),
        (timedelta(seconds=-5), "baru saja"),  # the clock of another node is slightly ahead
    ],
)
def test_elapsed_times_are_written_in_words(house: World, ago: timedelta, shown: str) -> None:
    with house.app.test_request_context("/"):
        assert since(START - ago) == shown


@pytest.mark.parametrize(
    ("left", "shown"),
    [
        (timedelta(days=12, hours=5), "12 hari"),
        (timedelta(hours=1), "1 jam"),
        (timedelta(minutes=5), "5 menit"),
        (timedelta(seconds=30), "kurang dari satu menit"),
        (timedelta(0), "lewat kurang dari satu menit"),
        (timedelta(days=-2), "lewat 2 hari"),
        (timedelta(hours=-2), "lewat 2 jam"),
    ],
)
def test_remaining_times_are_written_in_words(house: World, left: timedelta, shown: str) -> None:
    with house.app.test_request_context("/"):
        assert until(START + left) == shown


def test_a_page_url_is_built_with_a_changed_query(house: World) -> None:
    with house.app.test_request_context("/unit?hardware_number=A%26B&cursor=x&kosong=&selesai=saved"):
        assert page_url() == "/unit?hardware_number=A%26B&cursor=x"
        assert page_url(cursor=None, unduh="csv") == "/unit?hardware_number=A%26B&unduh=csv"
        assert page_url(cursor=None, hardware_number=None) == "/unit"


def test_a_state_without_a_text_is_shown_by_its_name(house: World) -> None:
    with house.app.test_request_context("/"):
        assert (str(state("planted").name), state("planted").tone) == ("planted", "quiet")
        assert kind("planted") == "planted"


@pytest.mark.parametrize(
    ("user", "path", "status", "words"),
    [
        ("magetan.kepala", "/nowhere", 404, "Tidak ditemukan"),
        ("magetan.kepala", "/unit/00000000-0000-0000-0000-000000000000", 404, "di luar kewenangan Anda"),
        ("magetan.kepala", "/profil/kata-sandi", 405, "Terjadi kesalahan"),
        ("magetan.kepala", "/unit?cursor=planted", 422, "Penanda halaman ini bukan berasal dari daftar ini."),
        ("magetan.kepala", "/unit?unduh=exe", 422, "Daftar hanya tersedia sebagai csv atau xlsx."),
        ("operator1", "/unit/daftar", 403, "Akun Anda tidak berwenang"),
        ("", "/nowhere", 404, "Tidak ditemukan"),
    ],
)
def test_error_pages_explain_the_error(house: World, user: str, path: str, status: int, words: str) -> None:
    visitor = Visitor(house, user)
    response = visitor.get(path)
    assert response.status_code == status
    assert words in visitor.seen
    assert response.headers["X-Request-Id"] in visitor.seen
    assert "SI-FILMA" in visitor.seen


def test_a_form_without_the_csrf_token_is_refused(house: World) -> None:
    visitor = Visitor(house, "magetan.kepala")
    visitor.csrf = "planted"
    assert visitor.send("/unit/daftar", hardware_number="A-1").status_code == 403
    assert "X-CSRF-Token sesi ini tidak ada atau salah." in visitor.seen


def test_the_side_bar_marks_the_present_page_and_offers_only_permitted_ones(house: World) -> None:
    page = Visitor(house, "magetan.kepala").get("/unit").get_data(as_text=True)
    assert page.count('aria-current="page"') == 1
    assert '<a href="/unit" aria-current="page">' in page
    assert 'href="/unit/daftar"' in page
    assert 'href="/unit/daftar"' not in Visitor(house, "auditor1").get("/unit").get_data(as_text=True)
