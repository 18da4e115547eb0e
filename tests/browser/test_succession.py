"""A head follows another, in Chromium: proposed with the decree, decided by another person; and the offices without a living head."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.support.browser import WIDTHS, press, signed_in, sound
from tests.support.servers import Server
from tests.support.world import World, letter


@pytest.mark.parametrize("width", WIDTHS)
def test_a_new_head_follows_by_decree_and_the_office_waits_for_them(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    head = "bangli.kepala" if width == WIDTHS[0] else "len.kepala"
    one, other = signed_in(browser, made, world, "admin1", width), signed_in(browser, made, world, "admin2", width)
    one.goto(f"/pengguna/{world.users[head]}")
    press(one, "main a:has-text('Usulkan pengganti')")
    sound(one)
    one.fill("[name=decree_number]", f"821.2/{width}/2026")
    one.fill("[name=decree_date]", "2026-11-20")
    one.set_input_files("[name=decree]", {"name": "sk.pdf", "mimeType": "application/pdf", "buffer": letter()})
    person = {"name": "Wulan Contoh", "username": f"kepala{width}", "id_number": f"19750505 200003 2 {width % 1000:03}"}
    for name, value in person.items():
        one.fill(f"[name='invited.{name}']", value)
    press(one)
    assert one.locator("[role=alert] a[href='#f-invited.id_kind']").count() == 1
    sound(one)
    one.select_option("[name='invited.id_kind']", "nip")
    press(one)
    assert "Pekerjaan belum selesai yang beralih" in one.inner_text("main")
    sound(one)
    other.goto("/pengguna/usulan")
    press(other, "main a:has-text('Lihat pergantiannya')")
    other.click("summary:has-text('Laksanakan')")
    sound(other)
    press(other, ".confirm[open] button[type=submit]")
    assert "/undangan/" in other.inner_text("#rahasia")
    other.goto("/")
    assert "Organisasi tanpa kepala yang aktif" in other.inner_text("main")
    other.goto("/pergantian/tanpa-kepala?sebab=invited")
    assert "Kepala belum menerima undangan" in other.inner_text("main table")
    sound(other)
    other.goto("/pergantian")
    sound(other)
