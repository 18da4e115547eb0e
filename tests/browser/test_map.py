"""The map of active units, from the country to one card, and a report with a photo, at desk and phone width."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, FilePayload, expect

from sifilma.demo.sample_files import photo
from sifilma.documents.indonesian import uid_pairs
from tests.support.browser import DESK, WIDTHS, YES, press, signed_in, sound
from tests.support.servers import Server
from tests.support.world import World, done

PHOTO: FilePayload = {"name": "retak.png", "mimeType": "image/png", "buffer": photo()[1]}
SEND = "#lapor .btn-danger[type=submit]"


@pytest.fixture(scope="module")
def placed(server: tuple[World, Server]) -> list[str]:
    """Activate three cards in Magetan, two of them close together, and one in Bangli; return the three."""
    world, _ = server
    ready = world.ready(count=3)
    for uid, north in zip(ready.uids, (-7.65, -7.651, -7.70), strict=True):
        done(world.client("magetan.kepala").post("/activations", world.activation(ready, uid, latitude=north)), 201)
    world.active("bangli.kepala", "R")
    return ready.uids


@pytest.mark.parametrize("width", WIDTHS)
def test_the_directorate_zooms_in_to_one_card(server: tuple[World, Server], browser: Browser, placed: list[str], width: int) -> None:
    world, made = server
    page = signed_in(browser, made, world, "auditor1", width)
    page.goto("/peta")
    page.locator(".cluster", has_text="3").wait_for()
    page.locator(".reader").wait_for()
    page.wait_for_selector("canvas[data-drawn]:not([data-drawn=''])", state="attached")
    assert "geoBoundaries" in page.inner_text(".leaflet-control-attribution")
    sound(page)
    press(page, "a:text('Jawa Timur')")
    sound(page)
    page.locator(".cluster", has_text="2").click()
    page.locator(".reader").nth(1).wait_for()
    press(page, "a:text('Kabupaten Magetan')")
    page.locator(".reader").first.click()
    sound(page)
    press(page, ".leaflet-popup a")
    assert page.inner_text("h1") in {uid_pairs(uid) for uid in placed}


def test_the_table_is_shown_without_javascript(server: tuple[World, Server], browser: Browser, placed: list[str]) -> None:
    world, made = server
    state = signed_in(browser, made, world, "jatim.kepala", DESK).context.storage_state()
    plain = browser.new_context(base_url=f"http://127.0.0.1:{made.port}", java_script_enabled=False, storage_state=state)
    page = plain.new_page()
    page.goto("/peta?function=RW")
    page.click("a:text('Jawa Timur')")
    page.click("a:text('Kabupaten Magetan')")
    assert all(uid_pairs(uid) in page.inner_text("main") for uid in placed)
    assert not page.is_visible(".map")


@pytest.mark.parametrize("width", WIDTHS)
def test_an_office_reports_a_broken_card_with_a_photo(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    ready = world.active()[0]
    uid, number = ready.uids[0], ready.hardware[ready.uids[0]]
    page = signed_in(browser, made, world, "magetan.staf", width)
    page.goto(f"/unit?text={number}")
    press(page, f"main a:text('{number}')")
    press(page, f"main a[href$='/kartu/{uid}']")
    page.check("[name=condition][value=damaged]")
    page.set_input_files("[name=photos]", {"name": "catatan.txt", "mimeType": "text/plain", "buffer": b"bukan foto"})
    press(page, SEND)
    assert uid in page.inner_text("[role=alertdialog]")
    sound(page)
    press(page, YES)
    assert page.is_checked("[name=condition][value=damaged]")  # the question has lost nothing
    assert page.get_attribute("[name=photos]", "aria-invalid") is None  # the note is missing at first
    page.uncheck("label:has-text('catatan.txt') [name='kept.photos']")
    page.fill("[name=note]", "Retak di sudut")
    page.set_input_files("[name=photos]", PHOTO)
    expect(page.locator("[data-previews] img")).to_have_js_property("naturalWidth", 320)
    sound(page)
    page.click("[data-previews] button")  # removed and chosen again
    assert page.evaluate("document.querySelector('[name=photos]').files.length") == 0
    page.set_input_files("[name=photos]", PHOTO)
    press(page, SEND)
    press(page, YES)
    shown = page.locator(".timeline img")
    shown.scroll_into_view_if_needed()  # the photo is loaded when it is scrolled into view
    expect(shown).to_have_js_property("naturalWidth", 320)
    sound(page)
