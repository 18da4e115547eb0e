"""A form in Chromium that outlives its session: it saves itself, is sent too late, stands as it was left, and is sent again."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.support.browser import DESK, press, signed_in, sound
from tests.support.servers import Server
from tests.support.world import PASSWORD, World, letter

OFFICE = "magetan.kepala"


def test_a_request_for_cards_with_its_letter_outlives_its_session(server: tuple[World, Server], browser: Browser, tmp_path: Path) -> None:
    world, made = server
    (tmp_path / "surat dinas.pdf").write_bytes(letter())
    page = signed_in(browser, made, world, OFFICE, DESK)
    page.goto("/personalisasi/baru")
    page.fill("[name=letter_number]", "470/13/Dukcapil")
    page.fill("[name=letter_date]", "2026-11-01")
    page.fill("[name=notes]", "Loket kecamatan\nlantai dua")
    expect(page.locator("[data-autosave]")).to_contain_text("Tersimpan otomatis pukul")
    page.goto("/personalisasi/baru")
    sound(page)
    page.get_by_role("link", name="Lanjutkan isian").click()
    assert page.input_value("[name=letter_number]") == "470/13/Dukcapil"
    page.fill("[name=subject]", "Permohonan kartu SAM")
    page.select_option("[name=function]", "RW")
    page.fill("[name=quantity]", "3")
    page.set_input_files("[name=letter]", str(tmp_path / "surat dinas.pdf"))

    world.sql("UPDATE login_session SET ended_at = last_seen_at, seal = NULL WHERE ended_at IS NULL")
    press(page)
    assert page.url.endswith("/masuk")
    page.fill("[name=username]", OFFICE)
    page.fill("[name=password]", PASSWORD)
    press(page, "main form[action='/masuk'] button[type=submit]")
    page.fill("[name=code]", world.code(OFFICE))
    press(page, "main form[action='/masuk/kode'] button[type=submit]")

    assert "/personalisasi/baru?lanjut=" in page.url
    sound(page)
    shown = {name: page.input_value(f"[name={name}]") for name in ("letter_number", "subject", "function", "quantity", "notes")}
    assert list(shown.values()) == ["470/13/Dukcapil", "Permohonan kartu SAM", "RW", "3", "Loket kecamatan\nlantai dua"]
    assert "surat dinas.pdf" in page.inner_text("main")
    press(page)
    assert world.sql("SELECT letter_number, quantity FROM personalisation_request") == [("470/13/Dukcapil", 3)]
    assert world.sql("SELECT COUNT(*) FROM kept_form") == [(0,)]
    sound(page)
