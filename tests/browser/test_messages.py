"""Messages and lost second factors in Chromium, at desk and phone width."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.notifications.delivery import deliver
from sifilma.notifications.outbox import Recipient
from tests.notifications import receivers
from tests.support.browser import DESK, PHONE, WIDTHS, opened, press, signed_in, sound, unfold
from tests.support.servers import Server
from tests.support.world import World

READERS = {DESK: "magetan.kepala", PHONE: "bangli.kepala"}
LOST = {DESK: "jatim.kepala", PHONE: "len.kepala"}


def write(world: World, username: str, count: int = 3) -> None:
    """Write messages to a user that the gateway refuses for good, and one that waits."""
    to = Recipient(Channel.SMS, "+628120000123", world.users[username])
    for turn in range(count):
        with world.context() as ctx:
            outbox.enqueue(ctx, world.settings, to, "code" if turn == 0 else "reminder", "", "Isi")
    with receivers.gateway(422) as server:
        deliver(world.context, world.settings.model_copy(update={"sms_webhook_url": f"http://127.0.0.1:{server.port}/"}))
    with world.context() as ctx:
        outbox.enqueue(ctx, world.settings, to, "notice", "", "Isi")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_head_sees_failed_messages_and_sends_them_again(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    write(world, READERS[width])
    page = signed_in(browser, made, world, READERS[width], width)
    page.goto("/pesan")
    assert page.locator("tbody tr").count() == 4
    assert "Gerbang SMS tidak menerima pesan ini." in page.inner_text("main")
    sound(page)
    unfold(page)
    page.select_option("[name=state]", "failed")
    press(page, ".filters button")
    assert page.locator("tbody tr").count() == 3
    assert page.locator("tbody button").count() == 2  # a code is never sent again
    press(page, "tbody button >> nth=0")
    assert "diantrekan lagi" in page.inner_text("[role=status]")
    assert page.locator(".badge-state:has-text('Gagal, akan dicoba lagi')").count() == 1
    sound(page)
    page.goto("/profil")
    sound(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_lost_second_factor_needs_two_persons(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    one, other = signed_in(browser, made, world, "admin1", width), signed_in(browser, made, world, "admin2", width)
    lost = opened(browser, made, width)
    one.goto(f"/pengguna/{world.users[LOST[width]]}")
    one.click("summary:has-text('Faktor kedua hilang')")
    sound(one)
    one.fill("[name=reason]", "Ponsel hilang, datang sendiri dengan kartu pegawai")
    press(one, "button:has-text('Laporkan hilang')")
    assert "Anda yang mengusulkan ini" in one.inner_text("main")
    assert one.locator("summary:has-text('Setuju')").count() == 0
    sound(one)
    other.goto("/")
    press(other, "main a:has-text('Putuskan perubahan akun')")
    assert "datang sendiri" in other.inner_text("main")
    other.click("summary:has-text('Setuju')")
    sound(other)
    press(other, ".confirm[open] button[type=submit]")
    link = "/" + other.inner_text("#rahasia").split("/", 3)[3]
    sound(other)
    lost.goto(link)
    assert lost.locator("[name=password]").count() == 1
    sound(lost)
