"""Scanning into the activation form: with a camera that sees a code, with photos, and without a camera."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Page

from sifilma.documents.indonesian import uid_pairs
from tests.browser import camera
from tests.support import programs
from tests.support.browser import DESK, PHONE, signed_in, sound
from tests.support.servers import ROOT, Server
from tests.support.visitor import Visitor
from tests.support.world import World

OFFICE = "magetan.kepala"


@contextmanager
def browser_with_camera(browser: Browser, video: Path) -> Iterator[Browser]:
    """Yield another browser whose camera shows the video and is permitted."""
    fake = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", f"--use-file-for-fake-video-capture={video}")
    made = browser.browser_type.launch(executable_path=programs.headless_chromium(), args=["--no-sandbox", *fake])
    try:
        yield made
    finally:
        made.close()


def wait_for_status(page: Page, words: str) -> None:
    """Wait until the scanner's status contains the words."""
    page.locator("#pindai [role=status]").filter(has_text=words).wait_for()


def photo(rows: camera.Rows) -> FilePayload:
    return {"name": "kode.png", "mimeType": "image/png", "buffer": camera.png(rows)}


def test_the_camera_reads_card_and_machine_and_is_switched_off(server: tuple[World, Server], browser: Browser, tmp_path: Path) -> None:
    world, made = server
    ready = world.ready(count=2)
    uid, number = ready.uids[1], ready.hardware[ready.uids[1]]
    seen = camera.video(tmp_path / "kode.y4m", (camera.blank(), 30), (camera.qr(f"{uid_pairs(uid)};{number}"), 20))
    with browser_with_camera(browser, seen) as sighted:
        page = signed_in(sighted, made, world, OFFICE, PHONE)
        page.goto("/aktivasi/kartu")
        page.click("#pindai [data-begin]")
        wait_for_status(page, "Arahkan kamera")
        page.evaluate("window.tracks = document.querySelector('#pindai video').srcObject.getTracks()")
        sound(page)
        wait_for_status(page, f"UID {uid_pairs(uid)}, mesin {number}")
        assert page.input_value("[name=sam_uid]") == uid_pairs(uid)
        assert page.input_value("[name=hardware_number]") == number
        assert page.evaluate("window.tracks.map((track) => track.readyState)") == ["ended"]
        assert page.url.endswith("/aktivasi/kartu")  # the form was not sent
        assert not page.is_visible("#pindai video")
        sound(page)
        page.click("#pindai [data-begin]")
        wait_for_status(page, "Arahkan kamera")
        page.evaluate(
            "() => { window.tracks = document.querySelector('#pindai video').srcObject.getTracks();"
            " document.querySelector('#pindai [data-frame] button').click(); }"
        )
        assert page.evaluate("window.tracks.map((track) => track.readyState)") == ["ended"]
        assert page.evaluate("document.activeElement === document.querySelector('#pindai [data-begin]')")


def test_the_camera_reads_a_bar_code_after_an_unknown_one(server: tuple[World, Server], browser: Browser, tmp_path: Path) -> None:
    world, made = server
    uid = world.ready().uids[0]  # 6 s of the unknown code, because the scanner must read it twice, also on a slow machine
    seen = camera.video(tmp_path / "kode.y4m", (camera.qr("https://example.org/x?y=z"), 30), (camera.code_128(uid), 20))
    with browser_with_camera(browser, seen) as sighted:
        page = signed_in(sighted, made, world, OFFICE, DESK)
        page.goto("/aktivasi/kartu")
        page.click("#pindai [data-begin]")
        wait_for_status(page, "tidak memuat UID")
        wait_for_status(page, uid_pairs(uid))
        assert page.input_value("[name=sam_uid]") == uid_pairs(uid)
        sound(page)


def test_photos_are_read_where_the_camera_is_refused(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    ready = world.ready()
    uid, number = ready.uids[0], ready.hardware[ready.uids[0]]
    page = signed_in(browser, made, world, OFFICE, PHONE)
    page.goto("/aktivasi/kartu")
    page.click("#pindai [data-begin]")
    wait_for_status(
        page, "Pilih foto, atau ketik nomornya" if page.evaluate("!navigator.mediaDevices") else "pilih foto, atau ketik nomornya"
    )
    sound(page)
    field = "#pindai input[type=file]"
    page.set_input_files(field, photo(camera.blank()))
    wait_for_status(page, "Tidak ditemukan kode")
    page.set_input_files(field, photo(camera.code_128("MESIN-LAIN-7")))
    wait_for_status(page, "tidak termasuk mesin")
    page.set_input_files(field, photo(camera.qr(f"https://sifilma.example/kartu/{uid}\n{number}")))
    wait_for_status(page, number)
    assert page.input_value("[name=sam_uid]") == uid_pairs(uid)
    assert page.input_value("[name=hardware_number]") == number
    page.set_input_files(field, {"name": "x.png", "mimeType": "image/png", "buffer": b"no photo"})
    wait_for_status(page, "tidak dapat dibaca sebagai foto")
    sound(page)


@pytest.mark.parametrize(
    ("text", "uid", "number"),
    [
        ("30154B0100001234", "30154B0100001234", ""),
        ("30:15:4b:01:00:00:12:34", "30154B0100001234", ""),
        ("hw-00/17", "", "HW-00/17"),
        ("30 15 4B 01 00 00 12 34;HW-1", "30154B0100001234", "HW-1"),
        ("HW-1\r\n30154B0100001234", "30154B0100001234", "HW-1"),
        ("https://sifilma.example/kartu/30154B0100001234?x=1", "30154B0100001234", ""),
        ("https://example.org/", None, None),
        ("a;b;c", None, None),
        ("<script>", None, None),
        ("", None, None),
    ],
)
def test_a_scanned_code_is_parsed_into_card_and_machine(browser_page: Page, text: str, uid: str | None, number: str | None) -> None:
    assert browser_page.evaluate("(text) => codeRead(text)", text) == (None if uid is None else {"uid": uid, "number": number})


@pytest.fixture(scope="module")
def browser_page(browser: Browser) -> Page:
    """Yield an empty page with the script."""
    page = browser.new_page()
    page.add_script_tag(path=ROOT / "sifilma" / "web" / "static" / "scan.js")
    return page


def test_only_the_scanning_form_may_use_the_camera(sqlite_world: World) -> None:
    visitor = Visitor(sqlite_world, OFFICE)
    allowed = {
        path: "camera=(self)" in visitor.get(path).headers["Permissions-Policy"] for path in ("/aktivasi/kartu", "/", "/kartu", "/aktivasi")
    }
    assert allowed == {"/aktivasi/kartu": True, "/": False, "/kartu": False, "/aktivasi": False}
