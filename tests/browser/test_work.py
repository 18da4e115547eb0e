"""The bell and the division of work in Chromium, at desk and phone width."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.support.browser import WIDTHS, press, signed_in, sound
from tests.support.servers import Server
from tests.support.world import World


@pytest.mark.parametrize("width", WIDTHS)
def test_an_operator_passes_work_on_and_the_colleague_comes_to_it_by_the_bell(
    server: tuple[World, Server], browser: Browser, width: int
) -> None:
    world, made = server
    number = world.submitted("magetan.kepala", "R")["letter_number"]
    page = signed_in(browser, made, world, "operator1", width)
    press(page, f".work a:has-text('{number}') >> nth=0")
    press(page, "button:has-text('Ambil')")
    assert "Anda memegangnya" in page.inner_text(".holder")
    sound(page)
    [colleague] = [
        row[0] for row in world.sql("SELECT p.name FROM person p JOIN user_account u ON u.person_id = p.id AND u.username = 'operator2'")
    ]
    press(page, "a:has-text('Tugaskan kepada rekan')")
    sound(page)
    page.select_option("#f-to", label=colleague)
    press(page, "button[value=give]")
    assert colleague in page.inner_text(".holder")
    other = signed_in(browser, made, world, "operator2", width)
    assert other.inner_text(".bell .count") == "1"
    sound(other)
    press(other, ".bell")
    sound(other)
    press(other, f"button:has-text('{number}')")
    assert "Anda memegangnya" in other.inner_text(".holder")
    assert other.locator(".bell .count").count() == 0
    press(other, "button:has-text('Kembalikan')")
    assert "Belum ada yang mengambil pekerjaan ini." in other.inner_text(".holder")
    press(other, ".bell")
    assert "Sudah dibaca" in other.inner_text("tbody")
    other.goto("/tugas?pemegang=bebas")
    assert number in other.inner_text("main")
    sound(other)
