"""The search from every page, and lists whose filters fold on a phone, in Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.support.browser import DESK, PHONE, WIDTHS, press, reach, signed_in, sound, unfold
from tests.support.servers import Server
from tests.support.world import World


@pytest.mark.parametrize("width", WIDTHS)
def test_a_slash_finds_a_card_from_any_page_by_the_keyboard_alone(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    [uid] = world.received("magetan.kepala", "R")
    page = signed_in(browser, made, world, "magetan.kepala", width)
    page.goto("/unit")
    assert page.locator("#cari").is_visible() is (width == DESK)
    page.keyboard.press("/")
    page.wait_for_function("document.activeElement.id === 'cari'")
    page.keyboard.type(" ".join(uid[at : at + 2] for at in range(0, 16, 2)).lower())
    with page.expect_navigation(wait_until="load"):
        page.keyboard.press("Enter")
    sound(page)
    with page.expect_navigation(wait_until="load"):
        page.keyboard.press("Enter")  # the only hit has the focus
    assert page.url.endswith(f"/kartu/{uid}")
    page.goto("/cari?q=470")
    sound(page)
    press(page, "a:has-text('Semua hasil') >> nth=0")
    assert page.locator("tbody tr").count() >= 1
    page.goto("/kartu?text=TIADA")
    sound(page)
    page.goto("/cari?q=tiada")
    sound(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_slash_in_a_field_is_a_slash(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    page = signed_in(browser, made, world, "operator1", width)
    page.goto("/personalisasi")
    unfold(page)
    page.fill("main [name=q]", "470")
    page.locator("main [name=q]").press("/")
    assert page.input_value("main [name=q]") == "470/"


def test_filters_fold_on_a_phone_and_say_how_many_are_set(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    page = signed_in(browser, made, world, "operator1", PHONE)
    page.goto("/kartu?function=R&state=active")
    assert not page.locator("[name=text]").is_visible()
    assert page.inner_text(".fold > summary").split() == ["Saringan", "dan", "urutan", "2", "aktif"]
    reach(page, "summary", ".fold > summary")
    page.keyboard.press("Enter")
    assert page.locator("[name=text]").is_visible()
    sound(page)
    press(page, "a:has-text('Hapus saringan') >> nth=0")
    assert page.url.endswith("/kartu")
    desk = signed_in(browser, made, world, "operator1", DESK)
    desk.goto("/kartu")
    assert desk.locator("[name=text]").is_visible()
    assert not desk.locator(".fold > summary").is_visible()
    reach(desk, "text")
    press(desk, "th a:has-text('UID')")
    assert desk.get_attribute("th:has(a:has-text('UID'))", "aria-sort") == "ascending"
    sound(desk)
