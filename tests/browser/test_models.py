"""Applications for models in Chromium, from the form to the certification by a second person; organisations from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from sifilma.documents.tables.writing import write_csv
from tests.support.browser import PHONE, WIDTHS, YES, code, press, signed_in, sound
from tests.support.servers import Server
from tests.support.world import World, letter


def fill(page: Page, **fields: str) -> None:
    for name, value in fields.items():
        page.fill(f"[name={name}]", value)


def fill_code(page: Page, world: World, who: str) -> None:
    """Fill in the fresh code if the form asks for one."""
    if page.locator("[name=otp_code]").count():
        page.fill("[name=otp_code]", code(world, who))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_model_gets_its_tkdn_certificate(server: tuple[World, Server], browser: Browser, width: int, tmp_path: Path) -> None:
    world, made = server
    paper = tmp_path / "surat.pdf"
    paper.write_bytes(letter())
    maker = signed_in(browser, made, world, "softorb.kepala", width)
    maker.goto("/model")
    assert "LEN-CRD-1" not in maker.inner_text("main")
    sound(maker)
    press(maker, "tbody a")
    sound(maker)
    press(maker, "a:has-text('Ajukan sertifikasi TKDN')")
    fill(maker, letter_number="05/SRT/XI/2026", letter_date="2026-01-01")
    press(maker)
    assert "Pilih sebuah berkas" in maker.inner_text("[role=alert]")
    sound(maker)
    maker.set_input_files("[name=letter]", paper)
    press(maker)
    sound(maker)
    case = maker.url.split("?")[0]
    operator = signed_in(browser, made, world, "operator1", width)
    press(operator, "a:has-text('Putuskan permohonan pengujian/sertifikasi model')")
    press(operator, "button:has-text('Izinkan diuji')")
    sound(operator)
    press(operator, "main a:has-text('Catat')")
    fill(operator, number="1234/SJ-IND/TKDN/2026", issuer="P3DN", issued_on="2026-01-10", valid_until="2099-01-09", tkdn="29,5")
    operator.set_input_files("[name=certificate]", paper)
    press(operator)
    assert "paling sedikit 30" in operator.inner_text("[role=alert]")
    sound(operator)
    fill(operator, tkdn="40,25")
    operator.set_input_files("[name=certificate]", paper)
    press(operator)
    assert operator.locator("button:has-text('Sahkan')").count() == 0
    sound(operator)
    approver = signed_in(browser, made, world, "penyetuju1", width)
    approver.goto(case)
    sound(approver)
    fill_code(approver, world, "penyetuju1")
    press(approver, "button:has-text('Sahkan')")
    assert "Telah disahkan" in approver.inner_text("[role=status]")
    sound(approver)
    maker.goto("/model")
    press(maker, "tbody a")
    assert "40,25" in maker.inner_text("main")
    sound(maker)


def test_two_persons_import_organisations_from_a_file(server: tuple[World, Server], browser: Browser, tmp_path: Path) -> None:
    world, made = server
    header, good = ("kind", "name", "region_code", "address"), ("institution", "BANK CONTOH", "", "Jakarta")
    file = tmp_path / "organisasi.csv"
    file.write_bytes(write_csv(header, [good, ("dinas", "Dinas Aneh", "", "")]))
    operator = signed_in(browser, made, world, "operator1", PHONE)
    operator.goto("/organisasi")
    sound(operator)
    press(operator, "main a:has-text('Unggah berkas')")
    operator.set_input_files("[name=file]", file)
    press(operator)
    assert "Pilih salah satu" in operator.inner_text("table.rows")
    sound(operator)
    file.write_bytes(write_csv(header, [good]))
    operator.set_input_files("[name=file]", file)
    press(operator)
    sound(operator)
    approver = signed_in(browser, made, world, "penyetuju1", PHONE)
    press(approver, "a:has-text('Putuskan perubahan data acuan')")
    sound(approver)
    fill_code(approver, world, "penyetuju1")
    press(approver, "button:has-text('Laksanakan')")
    assert "Semua baris langsung didaftarkan" in approver.inner_text("[role=alertdialog]")
    sound(approver)
    press(approver, YES)
    assert "Dilaksanakan" in approver.inner_text("[role=status]")
    for path in ("/organisasi/usulan", "/organisasi?nama=contoh"):
        operator.goto(path)
        sound(operator)
    press(operator, "tbody a")
    press(operator, "a:has-text('PKS baru')")
    sound(operator)
