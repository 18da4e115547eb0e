"""A passkey replaces the one-time code, with Chromium's virtual authenticator."""

from __future__ import annotations

import pyotp
from playwright.sync_api import Browser, Page

from tests.support.browser import YES, press, sound, watch
from tests.support.servers import Server
from tests.support.world import PASSWORD, World

WHO = "magetan.kepala"


def with_authenticator(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def password(page: Page, base: str) -> None:
    page.goto(f"{base}/masuk")
    page.fill("#f-username", WHO)
    page.fill("#f-password", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url("**/masuk/kode")


def test_a_passkey_signs_in_until_it_is_removed(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    base = f"http://localhost:{made.port}"  # a passkey is bound to a host name; WebAuthn refuses IP addresses
    page = browser.new_context(viewport={"width": 1366, "height": 900}).new_page()
    watch(page)
    with_authenticator(page)
    password(page, base)
    assert not page.is_visible("form[data-passkey]")
    page.fill("#f-code", pyotp.TOTP(world.seeds[WHO]).now())
    page.click("form[action='/masuk/kode'] button")
    page.wait_for_url(f"{base}/")
    page.goto(f"{base}/profil")
    page.fill("#f-name", "Laptop kantor")
    page.click("form[data-passkey=create] button")
    page.wait_for_url("**/profil?selesai=saved")
    assert "Laptop kantor" in page.inner_text("main")
    sound(page)
    page.goto(f"{base}/profil")
    page.click(".who button")
    page.click("form[action='/keluar'] button")
    page.wait_for_url("**/masuk")
    password(page, base)
    sound(page)
    page.click("form[data-passkey=get] button")
    page.wait_for_url(f"{base}/")
    page.goto(f"{base}/profil")
    press(page, "form[action$='/hapus'] button")
    assert "Laptop kantor" in page.inner_text("[role=alertdialog]")  # what is removed is named
    sound(page)
    page.click(YES)
    page.wait_for_url("**/profil?selesai=saved")
    assert "Laptop kantor" not in page.inner_text("main")
    password(page, base)
    assert page.locator("form[data-passkey]").count() == 0
