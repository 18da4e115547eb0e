"""The pages there are, in Chromium, at the width of a desk and of a phone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from hsm import HSM
from tests.support import programs
from tests.support.servers import Server, running
from tests.support.world import PASSWORD, World

WIDTHS = {1366: "magetan.kepala", 390: "bangli.kepala"}


@pytest.fixture
def server(sqlite_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[tuple[World, Server]]:
    """An installation whose time is the server's time, and its server."""
    with closing(World(sqlite_url, tmp_path / "home", signing_token, root_token, datetime.now(UTC))) as world, running(world) as made:
        yield world, made


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=programs.chromium(), args=["--no-sandbox"])
        yield made
        made.close()


def no_sideways(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url


def watch(page: Page) -> list[str]:
    """What the browser refuses by the Content Security Policy, as it happens."""
    found: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if "Content Security" in message.text:
            found.append(message.text)

    page.on("console", note)
    return found


def test_people_sign_in_see_their_sessions_and_leave(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    for width, name in WIDTHS.items():
        page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
        violations = watch(page)
        page.goto(f"http://127.0.0.1:{made.port}/")
        assert page.url.endswith("/masuk")
        no_sideways(page)
        page.fill("#username", name)
        page.fill("#password", "salah sekali ya")
        page.click("button")
        assert "tidak benar" in page.inner_text("[role=alert]")
        assert page.input_value("#username") == name  # what was typed stays
        page.fill("#password", PASSWORD)
        page.click("button")
        assert page.url.endswith("/masuk/kode")
        no_sideways(page)
        page.fill("#code", pyotp.TOTP(world.seeds[name]).now())
        page.click("button")
        assert "Sesi Anda" in page.inner_text("main")
        assert page.inner_text("header .who") == name
        no_sideways(page)
        page.click("text=Keluar")
        assert page.url.endswith("/masuk")
        page.goto(f"http://127.0.0.1:{made.port}/")
        assert page.url.endswith("/masuk")
        assert violations == []


def test_strangers_check_a_manifest(server: tuple[World, Server], browser: Browser, tmp_path: Path) -> None:
    world, made = server
    _, answers = world.active()
    data = world.client("magetan.kepala").post(f"/manifests/{answers[0]['manifest']['id']}/download").get_data()
    (tmp_path / "good.jws").write_bytes(data)
    (tmp_path / "bad.jws").write_bytes(data[:-6] + b"AAAAAA")
    for width in WIDTHS:
        page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
        for name, word in (("good.jws", "SAH."), ("bad.jws", "DITOLAK.")):
            page.goto(f"http://127.0.0.1:{made.port}/verifikasi")
            page.set_input_files("#file", str(tmp_path / name))
            page.click("button")
            assert word in page.inner_text(".message")
            no_sideways(page)
