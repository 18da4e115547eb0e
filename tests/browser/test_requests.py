"""Personalisation requests in the browser, from the letter to the card: by an office and by a manufacturer."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from sifilma.documents.indonesian import uid_pairs
from sifilma.documents.tables.writing import write_csv
from tests.support.browser import PHONE, WIDTHS, chromium, press, signed_in, sound
from tests.support.servers import Server
from tests.support.world import World, letter, new_uid

BATCH = ("hardware_number", "model", "pcid", "sam_uid")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield the full Chromium, whose PDF viewer shows the letters."""
    with chromium(whole=True) as made:
        yield made


@pytest.fixture
def surat(tmp_path: Path) -> str:
    """Return the path of a letter to upload."""
    path = tmp_path / "surat.pdf"
    path.write_bytes(letter())
    return str(path)


def write_letter(page: Page, surat: str, number: str) -> None:
    page.fill("[name=letter_number]", number)
    page.fill("[name=letter_date]", "2026-11-01")
    page.fill("[name=subject]", "Permohonan personalisasi kartu SAM")
    page.set_input_files("[name=letter]", surat)


def assert_letter_is_shown(page: Page) -> None:
    """Assert that the frame shows the letter in the browser's PDF viewer."""
    frame = page.locator("iframe.letter").first
    frame.scroll_into_view_if_needed()
    page.wait_for_function("() => window.frames.length > 0")
    address = frame.get_attribute("src") or ""
    assert any(found.url.startswith(page.url.split("/personalisasi")[0] + address.split("#")[0]) for found in page.frames), address


def scan(page: Page, uids: list[str]) -> None:
    """Type UIDs as a scanner does: each ends with Enter, which moves to the next row and does not send the form."""
    page.locator("[name=sam_uid]").first.focus()
    for uid in uids:
        page.keyboard.type(uid)
        page.keyboard.press("Enter")
    assert typed(page) == uids


def paste(page: Page, uids: list[str]) -> None:
    """Paste a column of UIDs, which fills the rows below."""
    page.locator("[name=sam_uid]").first.evaluate(
        """(cell, text) => { const data = new DataTransfer(); data.setData("text", text);
        cell.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true})); }""",
        "\r\n".join(uids),
    )
    assert typed(page) == uids


def typed(page: Page) -> list[str]:
    return [cell.input_value() for cell in page.locator("[name=sam_uid]").all()]


@pytest.mark.parametrize("width", WIDTHS)
def test_an_offices_request_is_approved_by_two_and_its_results_recorded(
    server: tuple[World, Server], browser: Browser, surat: str, width: int
) -> None:
    world, made = server
    page = signed_in(browser, made, world, "magetan.kepala", width)
    page.goto("/personalisasi/baru")
    press(page)
    assert page.locator("#masalah li").count() > 3
    sound(page)
    write_letter(page, surat, f"470/{width}/1403.111/2018")
    page.select_option("[name=function]", "RW")
    page.fill("[name=quantity]", "2")
    press(page)
    assert_letter_is_shown(page)
    sound(page)
    press(page, "[formaction$=ajukan]")
    request = page.url.split("?")[0]
    for name in ("penyetuju1", "penyetuju2"):
        page = signed_in(browser, made, world, name, width)
        page.goto("/personalisasi?menunggu=1")
        sound(page)
        press(page, "tbody a")
        assert_letter_is_shown(page)
        sound(page)
        press(page, "[formaction$=setujui]")
    page = signed_in(browser, made, world, "operator1", width)
    page.goto(request + "/hasil")
    uids = [new_uid(), new_uid()]
    (scan if width == PHONE else paste)(page, uids)
    sound(page)
    press(page, "form:has([data-rows]) button[type=submit]")
    assert page.url.split("?")[1].startswith(f"permohonan={request.rpartition('/')[2]}")  # the last result leads on to the BAST
    assert all(uid_pairs(uid) in page.inner_text("main") for uid in uids)
    sound(page)
    page.goto(request)
    assert page.locator("progress").get_attribute("value") == "2"
    assert world.client("operator1").get("/personalisation-requests").json["items"][0]["state"] == "completed"
    sound(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_manufacturer_corrects_and_submits_its_batch(
    server: tuple[World, Server], browser: Browser, surat: str, tmp_path: Path, width: int
) -> None:
    world, made = server
    numbers = world.units("mandiri.kepala", 2, "SOFTORB-CRD-1", "R", pcid=False)
    rows = [(number, "SOFTORB-CRD-1", secrets.token_hex(16), new_uid()) for number in numbers]
    (tmp_path / "salah.csv").write_bytes(write_csv(BATCH, [rows[0], ("TIDAK-ADA", *rows[1][1:])]))
    (tmp_path / "benar.csv").write_bytes(write_csv(BATCH, rows))
    page = signed_in(browser, made, world, "softorb.kepala", width)
    page.goto("/personalisasi/baru")
    press(page, "a[href='/personalisasi/pembeli']")  # the only buyer with units that wait is chosen already
    page.fill("main [name=q]", "mandiri")
    page.locator("#temuan tbody tr").nth(1).wait_for(state="detached")  # htmx has replaced the list by the filtered one
    sound(page)
    press(page, "#temuan tbody a")
    write_letter(page, surat, f"S-{width}/2026")
    page.fill("[name=purchase_order_number]", f"PO-{width}")
    page.set_input_files("[name=purchase_order]", surat)
    page.set_input_files("[name=batch]", str(tmp_path / "salah.csv"))
    press(page)
    assert page.locator("#f-rows tbody tr").inner_text().startswith("3\tNomor mesin")
    assert page.input_value("[name=purchase_order_number]") == f"PO-{width}"
    sound(page)
    for name in ("letter", "purchase_order"):
        page.set_input_files(f"[name={name}]", surat)
    page.set_input_files("[name=batch]", str(tmp_path / "benar.csv"))
    press(page)
    assert "tidak mengikuti pola yang lazim" in page.inner_text("main .note")  # the letter's number is unusual; no file is lost by it
    assert "benar.csv" in page.inner_text(".kept:has([name='kept.batch']:checked)")
    sound(page)
    press(page, "button:has-text('Tetap simpan sebagai konsep')")
    sound(page)
    press(page, "[formaction$=ajukan]")
    assert numbers[1] in page.inner_text("main")
    assert world.client("operator1").get("/personalisation-requests").json["items"][0]["state"] == "submitted"
    sound(page)
