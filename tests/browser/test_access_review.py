"""The access review in Chromium: a head confirms their people, the administrators see who is late, an auditor reads."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from sifilma.access_review.tasks import open_review
from sifilma.demo.facts import Account
from sifilma.identity.models import Organisation
from sifilma.kernel.actor import Role
from tests.support.browser import WIDTHS, press, signed_in, sound, unfold
from tests.support.servers import Server
from tests.support.world import World

HEAD, OFFICE = {1366: "magetan.kepala", 390: "bangli.kepala"}, {1366: "magetan", 390: "bangli"}


@pytest.mark.parametrize("width", WIDTHS)
def test_a_head_confirms_one_and_ends_another_and_an_auditor_reads_it(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    home = world.organisation_of(HEAD[width])
    name = next(name for name, key in world.organisations.items() if key == home)
    with world.context() as ctx:
        for one in ("tetap", "pergi"):
            world.add_user(ctx, Account(f"{OFFICE[width]}.{one}", f"{one.title()} Contoh", name, frozenset({Role.STAFF}), f"{one}{width}"))
    with world.context() as ctx:
        open_review(ctx, world.settings, ctx.session.get_one(Organisation, home))
    head = signed_in(browser, made, world, HEAD[width], width)
    sound(head)
    press(head, "a:has-text('Konfirmasikan akun petugas Anda')")
    sound(head)
    for one, outcome in (("Tetap", "confirmed"), ("Pergi", "ended")):
        head.select_option(f"tr:has-text('{one} Contoh') select", outcome)
    press(head, "button:has-text('Rekam keputusan')")
    assert "Keputusan Anda sudah direkam" in head.inner_text("[role=status]")
    sound(head)
    assert "Dikonfirmasi" in head.inner_text("tr:has-text('Tetap Contoh')")
    assert "Dinonaktifkan" in head.inner_text("tr:has-text('Pergi Contoh')").title()
    auditor = signed_in(browser, made, world, "auditor1", width)
    auditor.goto("/akses")
    sound(auditor)
    unfold(auditor)
    auditor.fill("[name=nama]", f"{OFFICE[width]}.tetap")
    press(auditor, "button:has-text('Saring')")
    sound(auditor)
    assert "Tetap Contoh" in auditor.inner_text("table")
    for path in ("/akses/kunci", "/akses/tinjauan"):
        auditor.goto(path)
        sound(auditor)
    press(auditor, f"td a:has-text('{name}')")
    sound(auditor)
    assert auditor.locator("table select").count() == 0
