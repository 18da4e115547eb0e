"""Approval in the browser: by keyboard alone, and several requests together, at desk and phone width."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page

from sifilma.identity.models import LoginSession
from tests.support.browser import DESK, WIDTHS, code, press, reach, signed_in, sound
from tests.support.servers import Server
from tests.support.world import World


def follow(page: Page, selector: str) -> None:
    """Follow a link or press a button by Tab and Enter."""
    reach(page, "", selector)
    with page.expect_navigation(wait_until="load"):
        page.keyboard.press("Enter")


def stale(world: World) -> None:
    """Make everybody's one-time code an hour old, so that approving needs a fresh one."""
    world.change(LoginSession, LoginSession.otp_at.is_not(None), otp_at=lambda row: row.otp_at - timedelta(hours=1))


def test_the_second_approval_is_given_by_keyboard_alone(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    asked = world.submitted(function="RW")
    world.approve("personalisation-requests", asked["id"], "penyetuju1")
    page = signed_in(browser, made, world, "penyetuju2", DESK)
    stale(world)
    follow(page, ".side a[href='/personalisasi']")
    sound(page)
    follow(page, f"tbody a[href='/personalisasi/{asked['id']}']")
    reach(page, "fields.subject", ".remark:has([name='fields.subject']) summary")
    page.keyboard.press("Enter")
    assert page.locator("[name='fields.subject']").is_visible()
    sound(page)
    page.keyboard.press("Enter")
    reach(page, "note")
    page.keyboard.type("Sesuai dengan surat.")
    reach(page, "otp_code")
    page.keyboard.type(code(world, "penyetuju2"))
    follow(page, "[formaction$=setujui]")
    assert "Disetujui" in page.inner_text("main")
    assert world.sql("SELECT state FROM personalisation_request") == [("approved",)]
    sound(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_several_requests_are_approved_together(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    asked = [world.submitted(who, function) for who, function in (("magetan.kepala", "R"), ("bangli.kepala", "RW"), ("bangli.kepala", "R"))]
    page = signed_in(browser, made, world, "penyetuju1", width)
    stale(world)
    page.goto("/personalisasi?menunggu=1")
    page.check(".picked [data-all]")
    boxes = page.locator("[name=pilih]")
    assert page.inner_text("[data-count]") == str(boxes.count())
    for box in boxes.all():
        if box.get_attribute("value") not in [one["id"] for one in asked[:2]]:
            box.uncheck()
    assert page.inner_text("[data-count]") == "2"
    sound(page)
    press(page, ".picked button")
    assert page.locator("input[name=request]").count() == 2
    sound(page)
    for folded in page.locator("main .technical summary").all():
        folded.click()
    assert all(one["digest"] in page.inner_text("main") for one in asked[:2])
    sound(page)
    page.fill("[name=otp_code]", "000000")
    press(page)
    assert "sudah digunakan" in page.inner_text("main")  # the step-up page keeps the chosen requests
    sound(page)
    page.fill("[name=otp_code]", code(world, "penyetuju1"))
    press(page)
    assert page.locator(".told.good").count() == page.locator(".told.info").count() == 1
    sound(page)
    operator = world.client("operator1")
    states = [operator.get(f"/personalisation-requests/{one['id']}").json["state"] for one in asked]
    assert states == ["approved", "submitted", "submitted"]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_note_on_a_field_is_shown_beside_the_field(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    asked = world.requested("magetan.kepala", world.received())
    page = signed_in(browser, made, world, "operator1", width)
    page.goto(f"/aktivasi/{asked['id']}")
    for name, note in (("letter_number", "Nomornya 471."), ("cards", "Kartu ini tidak ada di surat.")):
        page.click(f".remark:has([name='fields.{name}']) summary")
        page.fill(f"[name='fields.{name}']", note)
    sound(page)
    press(page, "[formaction$=kembalikan]")
    page = signed_in(browser, made, world, "magetan.kepala", width)
    page.goto(f"/aktivasi/{asked['id']}")
    sound(page)
    page.goto(f"/aktivasi/{asked['id']}/ubah")
    assert "Nomornya 471." in page.inner_text(".field:has([name=letter_number])")
    assert "Kartu ini tidak ada di surat." in page.inner_text("#n-cards")
    sound(page)
