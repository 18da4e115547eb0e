"""Activation in Chromium at desk and phone width: from received cards to a manifest that the verifier accepts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Geolocation, Page, Route, expect

from tests.support.browser import DESK, PHONE, WIDTHS, confirm, press, reach, signed_in, sound
from tests.support.servers import ROOT, Server
from tests.support.world import World, letter, new_uid

OFFICE = "magetan.kepala"
HERE: Geolocation = {"latitude": -7.6536, "longitude": 111.3280, "accuracy": 12}


def verified(world: World, made: Server, file: Path) -> None:
    """Assert that the verifier, run as a separate program with the pinned root alone, accepts the file."""
    public = {"status.jws": "/status/1.jws", "keyset.jws": "/.well-known/sam-keyset.jws"}
    for name, path in public.items():
        (file.parent / name).write_text(made.call("GET", path)[1])
    options = ["--keyset", str(file.parent / "keyset.jws"), "--root-sha256", world.trust.pin, "--status", str(file.parent / "status.jws")]
    done = subprocess.run(
        [sys.executable, "-m", "manifests", "verify", str(file), *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def located(page: Page) -> None:
    """Ask the device for its location and wait for the server's check of it."""
    page.click("#lokasi")
    page.wait_for_selector("#hasil .good")


def fill_letter(page: Page, file: Path) -> None:
    file.write_bytes(letter())
    page.fill("[name=letter_number]", "400.8.1.2/7/Dukcapil")
    page.fill("[name=letter_date]", "2026-11-02")
    page.fill("[name=subject]", "Permintaan aktivasi kartu SAM")
    page.set_input_files("[name=letter]", str(file))


def test_an_office_requests_tokens_and_activates_at_the_location_of_its_device(
    server: tuple[World, Server], browser: Browser, tmp_path: Path
) -> None:
    world, made = server
    world.received(count=2)
    world.units(OFFICE, 2)
    office = signed_in(browser, made, world, OFFICE, DESK)
    office.goto("/")  # from here on by what each page offers
    press(office, ".work a[href*='/aktivasi/baru?bast=']")
    fill_letter(office, tmp_path / "surat.pdf")
    assert office.inner_text("[data-count=cards]") == "2"  # chosen already
    sound(office)
    press(office)
    press(office, "form[action$='/ajukan'] button")
    for name in ("penyetuju1", "penyetuju2"):
        approver = signed_in(browser, made, world, name, PHONE if name == "penyetuju2" else DESK)
        approver.goto("/")
        press(approver, ".work a[href*='/aktivasi/']")
        sound(approver)
        press(approver, "[formaction$=setujui]")
        assert "Tidak ada lagi yang menunggu Anda di sini." in approver.inner_text(".following")
        sound(approver)
    office.goto("/")
    press(office, ".work a[href*='/aktivasi/satu-lokasi']")
    sound(office)
    press(office, ".heading a[href^='/aktivasi/']")
    press(office, "form[action$='/token'] button")
    token = office.inner_text(".token-text >> nth=0")
    uid = office.inner_text("td .uid >> nth=0").replace(" ", "")
    sound(office)
    office.context.grant_permissions(["geolocation"])
    office.context.set_geolocation(HERE)
    press(office, "form[action$='/isi'] button >> nth=0")
    assert office.input_value("[name=token]") == token
    assert office.input_value("[name=sam_uid]").replace(" ", "") == uid
    located(office)
    assert office.input_value("[name=regency]") == "35.20"
    assert office.input_value("[name=region_code]").startswith("35.20.")
    office.select_option("[name=hardware_number]", index=1)
    office.fill("[name=address]", "Kantor Dinas, lantai 1")
    sound(office)
    press(office, ".send button")
    sound(office)
    with office.expect_download() as file:
        office.click("form[data-download] button")
    file.value.save_as(tmp_path / file.value.suggested_filename)
    verified(world, made, tmp_path / f"{uid}-1.jws")
    press(office, ".following button")
    assert office.input_value("[name=sam_uid]").replace(" ", "") not in ("", uid)
    assert (office.input_value("[name=address]"), office.input_value("[name=regency]")) == ("Kantor Dinas, lantai 1", "35.20")


def test_a_doubtful_place_asks_for_its_reason_on_a_phone(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    ready = world.ready()
    uid = ready.uids[0]
    page = signed_in(browser, made, world, OFFICE, PHONE)
    page.context.grant_permissions(["geolocation"])
    page.context.set_geolocation(HERE)
    page.goto("/aktivasi/kartu")
    page.fill("[name=sam_uid]", uid)
    page.fill("[name=token]", ready.tokens[uid])
    page.fill("[name=address]", "Pameran")
    page.select_option("[name=hardware_number]", ready.hardware[uid])
    located(page)
    assert not page.is_visible("[name=reason]")
    page.select_option("[name=regency]", "35.02")
    page.wait_for_selector("[name=district] option[value='35.02.01']", state="attached")
    page.select_option("[name=province]", "51")  # the selects stay changeable: each choice opens the next
    page.wait_for_selector("[name=regency] option[value='51.06']", state="attached")
    assert page.input_value("[name=regency]") == ""  # what was chosen is not in the new list, nothing else is chosen in its place
    page.select_option("[name=regency]", "51.06")
    page.wait_for_selector("[name=district] option[value='51.06.02']", state="attached")
    page.select_option("[name=district]", "51.06.02")
    page.wait_for_selector("[name=region_code] option[value='51.06.02.1004']", state="attached")
    page.select_option("[name=region_code]", "51.06.02.1004")
    page.wait_for_selector("#hasil .bad")
    sound(page)
    press(page, ".send button")
    assert page.get_attribute("[name=reason]", "aria-invalid") == "true"
    assert page.input_value("[name=token]") == ready.tokens[uid]
    sound(page)
    page.fill("[name=reason]", "Dipinjam untuk pameran")
    press(page, ".send button")
    assert "Dipinjam untuk pameran" in page.inner_text("main")
    sound(page)


def test_a_card_is_activated_by_keyboard_alone_with_typed_coordinates(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    ready = world.ready()
    uid = ready.uids[0]
    page = signed_in(browser, made, world, OFFICE, DESK)
    page.goto("/aktivasi/kartu")
    typed = {"sam_uid": uid, "token": ready.tokens[uid], "hardware_number": ready.hardware[uid]}
    page.focus("[name=sam_uid]")
    for name, text in (typed | {"latitude": "-7,6536", "longitude": "111,3280", "address": "Kantor Dinas"}).items():
        reach(page, name)
        page.keyboard.type(text)
    page.wait_for_selector("#hasil .good")
    assert page.input_value("[name=source]") == "typed"
    reach(page, "", "button[type=submit]:text('Aktivasi')")
    with page.expect_navigation(wait_until="load"):
        page.keyboard.press("Enter")
    assert "/aktivasi/riwayat/" in page.url
    sound(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_pasted_link_moves_the_map_and_a_place_elsewhere_asks_for_its_reason(
    server: tuple[World, Server], browser: Browser, width: int
) -> None:
    world, made = server
    page = signed_in(browser, made, world, OFFICE, width)
    page.goto("/aktivasi/kartu")
    button, filled = (page.locator(one).bounding_box() for one in ("#lokasi", "[name=region_code]"))
    assert button is not None
    assert filled is not None
    assert button["y"] < filled["y"]
    page.fill("[name=pasted]", "https://www.google.com/maps/place/X/@-8.1,115.9,17z/data=!8m2!3d-8.4543!4d115.3549")
    page.keyboard.press("Tab")
    page.wait_for_selector("#hasil .wait")
    assert (page.input_value("[name=latitude]"), page.input_value("[name=pasted]")) == ("-8.4543000", "")
    assert page.is_visible("[name=reason][required]")
    page.wait_for_selector("#peta canvas[data-drawn]:not([data-drawn=''])", state="attached")
    page.wait_for_selector("#peta .pin")
    sound(page)
    page.fill("[name=latitude]", "7°39'13\" LS")
    page.fill("[name=longitude]", "111°19'41\" BT")
    page.keyboard.press("Tab")
    page.wait_for_selector("#hasil .good")
    assert not page.is_visible("[name=reason]")
    assert page.locator("#peta .pin").is_visible()
    page.fill("[name=pasted]", "https://maps.app.goo.gl/Ab1Cd2")
    page.keyboard.press("Tab")
    page.wait_for_selector("#hasil .bad:text('Tautan pendek')")
    assert page.input_value("[name=pasted]") == "https://maps.app.goo.gl/Ab1Cd2"


def test_late_answers_change_neither_the_focus_nor_later_input(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    ready = world.ready()
    uid = ready.uids[0]
    page = signed_in(browser, made, world, OFFICE, DESK)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    for path in ("mesin", "tempat"):
        page.route(f"**/aktivasi/kartu/{path}?*", hold)
    page.goto("/aktivasi/kartu")
    page.fill("[name=sam_uid]", uid)
    page.keyboard.press("Tab")
    page.focus("[name=hardware_number]")
    page.keyboard.type(ready.hardware[uid])
    answered(page, held, "/mesin?")
    assert focused(page) == "f-hardware_number"
    assert page.input_value("[name=hardware_number]") == ready.hardware[uid]
    page.fill("[name=latitude]", "-7,6536")
    page.fill("[name=longitude]", "111,3280")
    page.keyboard.press("Tab")
    page.focus("[name=province]")
    page.keyboard.type("Bali")  # chosen before the check of the position is answered
    expect(page.locator("[name=province]")).to_have_value("51")
    answered(page, held, "/tempat?")
    page.wait_for_selector("[name=regency] option[value='51.06']", state="attached")
    assert focused(page) == "f-province"
    assert page.input_value("[name=province]") == "51"
    page.evaluate("window.same = document.getElementById('f-province')")
    page.focus("[name=regency]")
    page.select_option("[name=regency]", "51.06")
    answered(page, held, "/tempat?")
    page.wait_for_selector("[name=district] option[value='51.06.02']", state="attached")
    assert focused(page) == "f-regency"
    assert page.evaluate("window.same === document.getElementById('f-province')")
    sound(page)


def answered(page: Page, held: list[Route], path: str) -> None:
    """Answer the last held request of this path; the page has aborted the earlier ones."""
    page.wait_for_timeout(50)
    last = [route for route in held if path in route.request.url][-1]
    with page.expect_response(lambda response: response.url == last.request.url):
        last.continue_()
    held.clear()
    page.evaluate("() => new Promise((done) => setTimeout(done))")


def focused(page: Page) -> str:
    """Return the id of the element that has the focus."""
    return str(page.evaluate("document.activeElement.id"))


def test_the_page_says_why_no_location_is_available(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    page = signed_in(browser, made, world, OFFICE, PHONE)
    page.goto("/aktivasi/kartu")
    page.click("#lokasi")
    expect(page.locator("#lokasi-hasil")).to_contain_text("tidak diizinkan")
    page.click("#peta", position={"x": 120, "y": 120})
    expect(page.locator("[name=source]")).to_have_value("map")
    sound(page)


def test_a_card_is_handed_over_to_an_institution_by_its_manufacturer(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    number, uid = world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)[0], new_uid()
    request = world.batch([(number, "SOFTORB-CRD-1", "ab" * 16, uid)])
    world.approve("personalisation-requests", request, "penyetuju1")
    world.client("operator1").post(
        f"/personalisation-requests/{request}/results", {"results": [{"sam_uid": uid, "outcome": "personalised"}]}
    )
    pages = {name: signed_in(browser, made, world, name, width) for name, width in PEOPLE}
    for giver, receiver in (("operator1", "softorb.kepala"), ("softorb.kepala", "mandiri.kepala")):
        page, other = pages[giver], pages[receiver]
        page.goto("/bast/buat")
        page.check("[data-all=cards]")
        sound(page)
        press(page, "main form button[type=submit]")
        sound(page)
        other.goto("/bast")
        sound(other)
        press(other, "tbody a")
        bast = other.inner_text("h1")
        other.check("[name=counted]")
        sound(other)
        press(other, "form[action$='/terima'] button")
        confirm(other, bast)
    assert world.client("mandiri.kepala").get(f"/cards/{uid}").json["state"] == "received"


PEOPLE = (("operator1", DESK), ("softorb.kepala", PHONE), ("mandiri.kepala", DESK))
