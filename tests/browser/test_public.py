"""The public pages in a browser at desk and phone width, and the visitors' menu on a phone."""

from __future__ import annotations

from playwright.sync_api import Browser

from tests.support.browser import DESK, PHONE, opened, press, signed_in, sound
from tests.support.servers import Server
from tests.support.world import World

PATHS = ("/beranda", "/tentang", "/alur", "/kontak", "/status", "/bantuan", "/bantuan/penyetuju")


def test_the_public_pages_are_sound_and_the_menu_opens_on_a_phone(server: tuple[World, Server], browser: Browser) -> None:
    for width in (DESK, PHONE):
        page = opened(browser, server[1], width)
        for path in PATHS:
            page.goto(path)
            for closed in page.locator("main details").all():
                closed.locator("summary").click()
            sound(page)
    page = opened(browser, server[1], PHONE)
    page.goto("/masuk")
    assert not page.is_visible("#menu")
    page.click("header .menu")
    page.wait_for_selector("#menu.show:not(.collapsing)")
    sound(page)
    press(page, "#menu >> text=Alur bisnis")
    assert page.url.endswith("/alur")
    assert page.locator("svg.flow").first.bounding_box()["width"] > 280  # type: ignore[index]  # a visible element has a bounding box


def test_the_side_bar_links_to_the_help(server: tuple[World, Server], browser: Browser) -> None:
    page = signed_in(browser, server[1], server[0], "magetan.kepala", DESK)
    press(page, "#sisi >> text=Bantuan")
    assert page.inner_text("h1") == "Dinas kabupaten/kota dan provinsi"
    sound(page)
    press(page, "text=Daftarkan unit")
    assert page.url.endswith("/unit/daftar")
