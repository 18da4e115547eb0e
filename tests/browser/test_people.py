"""People, home and audit trail in Chromium: an account from invitation to end, changes by two administrators, every role's home page."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pyotp
import pytest
from playwright.sync_api import Browser, Page

from tests.accounts.known_people import asked, invited_by, take_up
from tests.support.browser import WIDTHS, code, opened, press, signed_in, sound, unfold
from tests.support.servers import Server
from tests.support.world import World

PASSWORD = "empat gajah naik sepeda"
ROLES = ("penyetuju1", "operator1", "auditor1", "admin1", "kustodian1", "magetan.kepala", "jatim.kepala", "len.kepala", "mandiri.kepala")


def fill_invitation(page: Page, username: str, role: str, nip: str) -> None:
    page.fill("[name=name]", f"Umi Contoh {username}")
    page.fill("[name=username]", username)
    page.select_option("[name=id_kind]", "nip")
    page.fill("[name=id_number]", nip)
    page.check(f"[name=roles][value={role}]")


def link_of(page: Page) -> str:
    """Return the path of the link that the page shows once."""
    return "/" + page.inner_text("#rahasia").split("/", 3)[3]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_user_is_invited_enrols_signs_in_and_is_disabled(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    head, staff = signed_in(browser, made, world, "magetan.kepala", width), opened(browser, made, width)
    head.goto("/pengguna/baru")
    umi = f"magetan.umi{width}"
    fill_invitation(head, umi, "staff", "3520010101900001")
    press(head)
    assert "NIP terdiri atas 18 angka" in head.inner_text("[role=alert]")
    assert head.is_checked("[name=roles][value=staff]")  # the choice is kept
    sound(head)
    head.fill("[name=id_number]", f"19950505 202003 2 {width % 1000:03}")
    press(head)
    sound(head)
    staff.goto(link_of(head))
    assert f"Umi Contoh {umi}" in staff.inner_text("h1")
    assert staff.locator("img.qr").evaluate("image => image.complete && image.naturalWidth > 0")
    sound(staff)
    staff.click("summary")
    assert (staff.get_attribute("details a", "href") or "").startswith(f"otpauth://totp/SI-FILMA:{umi}?secret=")
    totp = pyotp.TOTP(staff.inner_text("details code").replace(" ", ""))
    world.seeds[umi] = totp.secret
    for name, value in (("password", PASSWORD), ("repeat", PASSWORD), ("code", code(world, umi))):
        staff.fill(f"[name={name}]", value)
    press(staff)
    assert f"masuk dengan nama pengguna {umi}." in staff.inner_text("[role=status]")
    sound(staff)
    head.goto("/pengguna")
    sound(head)
    press(head, f"text=Umi Contoh {umi}")
    sound(head)
    head.click("summary:has-text('Nonaktifkan')")
    sound(head)
    press(head, ".confirm[open] button[type=submit]")
    assert "dinonaktifkan" in head.inner_text("[role=status]")
    staff.goto("/profil")
    assert staff.url.endswith("/masuk")


def enrolled(page: Page, world: World, username: str) -> None:
    """Fill in the page of an invitation with the seed that it shows, and send it."""
    page.click("summary")
    world.seeds[username] = page.inner_text("details code").replace(" ", "")
    for name, value in (("password", PASSWORD), ("repeat", PASSWORD), ("code", code(world, username))):
        page.fill(f"[name={name}]", value)
    press(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_known_person_takes_a_further_account_up_from_the_one_they_have(
    server: tuple[World, Server], browser: Browser, width: int
) -> None:
    world, made = server
    world.clock.set(datetime.now(UTC))
    number, known = f"19800101 200501 1 {width % 1000:03}", f"umi.lama{width}"
    take_up(world, known, invited_by(world, "bangli.kepala", known, number))
    head, stranger = signed_in(browser, made, world, "magetan.kepala", width), opened(browser, made, width)
    head.goto("/pengguna/baru")
    fill_invitation(head, f"umi.baru{width}", "staff", number)
    press(head)
    assert "dikenal" not in head.inner_text("main")
    stranger.goto(link_of(head))  # whoever has the link sees what everybody sees, and takes nothing up
    assert f"Umi Contoh umi.baru{width}" in stranger.inner_text("h1")
    sound(stranger)
    world.users[f"umi.baru{width}"] = UUID(str(world.sql("SELECT id FROM user_account WHERE username = :n", n=f"umi.baru{width}")[0][0]))
    asked(world, f"umi.baru{width}")
    me = signed_in(browser, made, world, known, width)
    press(me, "main a:has-text('Akun tambahan dikatakan milik Anda')")
    assert "Akun tambahan: Dinas Kependudukan" in me.inner_text("main")
    sound(me)
    press(me, "button:has-text('Milik saya')")
    assert "Selamat datang" in me.inner_text("h1")
    sound(me)
    enrolled(me, world, f"umi.baru{width}")
    assert f"masuk dengan nama pengguna umi.baru{width}." in me.inner_text("[role=status]")
    head.goto("/pengguna")
    assert f"{known} Contoh" in head.inner_text("main")  # the registered name, now that it was taken up


@pytest.mark.parametrize("width", WIDTHS)
def test_the_person_objects_to_the_report_of_a_factor_that_is_not_lost(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    lost = "mandiri.kepala" if width == WIDTHS[0] else "bpjs.kepala"
    admin = signed_in(browser, made, world, "admin1", width)
    admin.goto(f"/pengguna/{world.users[lost]}")
    admin.click("summary:has-text('Faktor kedua hilang')")
    admin.fill("[name=reason]", "Katanya ponselnya hilang")
    press(admin, "button:has-text('Laporkan hilang')")
    me = signed_in(browser, made, world, lost, width)
    press(me, "main a:has-text('Faktor kedua Anda dilaporkan hilang')")
    assert "Katanya ponselnya hilang" in me.inner_text("main")
    sound(me)
    press(me, "button:has-text('ajukan keberatan')")
    assert "faktor kedua Anda tetap" in me.inner_text("[role=status]")
    sound(me)
    other = signed_in(browser, made, world, "admin2", width)
    other.goto("/pengguna/usulan")
    assert "Katanya ponselnya hilang" not in other.inner_text("main")


def test_recovery_codes_are_not_shown_again_by_going_back_or_loading_again(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    page = signed_in(browser, made, world, "magetan.staf", WIDTHS[0])
    page.goto("/profil")
    press(page, "button:has-text('kode pemulihan')")
    first = page.locator("#kode li").first.inner_text()
    page.reload()  # Chromium sends the form again
    assert page.locator("#kode").count() == 0
    assert first not in page.content()
    page.goto("/profil")
    for _ in range(2):
        page.evaluate("setTimeout(() => history.back(), 0)")
        page.wait_for_timeout(500)
        assert first not in page.content()


@pytest.mark.parametrize("width", WIDTHS)
def test_one_administrator_proposes_and_another_executes(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    one, other = signed_in(browser, made, world, "admin1", width), signed_in(browser, made, world, "admin2", width)
    one.goto("/pengguna/baru")
    sound(one)
    press(one, "a:has-text('Usulkan akun pusat')")
    name = f"operator{width}"
    fill_invitation(one, name, "operator", f"19900101 201501 1 {width % 1000:03}")
    sound(one)
    press(one)
    assert "Anda yang mengusulkan ini" in one.inner_text("main")
    assert one.locator("summary:has-text('Laksanakan')").count() == 0
    sound(one)
    other.goto("/")
    assert f"Umi Contoh {name}" in other.inner_text("main")
    other.goto("/pengguna/usulan")
    other.click("summary:has-text('Laksanakan')")
    sound(other)
    press(other, ".confirm[open] button[type=submit]")
    assert link_of(other).startswith("/undangan/")
    other.context.grant_permissions(["clipboard-read", "clipboard-write"])
    other.click("[data-copy]")
    other.wait_for_selector("[data-copied]")
    assert other.evaluate("navigator.clipboard.readText()") == other.inner_text("#rahasia")
    sound(other)


def test_every_role_has_a_sound_home_page(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    world.active(count=2)
    world.submitted()
    world.ready()
    for number, name in enumerate(ROLES):
        page = signed_in(browser, made, world, name, WIDTHS[number % 2])
        assert page.inner_text("h1") == "Beranda"
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            sound(page)
        for summary in page.locator("main summary").all():
            summary.click()
        sound(page)
        page.context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_audit_trail_is_filtered_and_an_entry_is_opened(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    world.submitted("magetan.kepala")
    world.submitted("bangli.kepala")
    page = signed_in(browser, made, world, "auditor1", width)
    page.goto("/jejak")
    sound(page)
    unfold(page)
    page.select_option("[name=tindakan]", "personalisation.submit")
    page.fill("[name=organisasi]", "magetan")
    press(page, ".filters button")
    [(submitted,)] = world.sql(
        "SELECT COUNT(*) FROM audit_entry WHERE action = 'personalisation.submit' AND organisation_id = :id",
        id=world.organisation_of("magetan.kepala").hex,
    )
    assert page.locator("tbody tr").count() == submitted
    press(page, "tbody a")
    assert page.inner_text("h1") == "Permohonan personalisasi diajukan"
    assert "Indah Contoh" in page.inner_text("main")
    sound(page)
    press(page, "text=Semua tindakan pada objek ini")
    assert page.locator("tbody tr").count() == 2
    for path in ("/organisasi", f"/organisasi/{world.organisation_of('mandiri.kepala')}"):
        page.goto(path)
        sound(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_an_api_key_is_made_and_revoked(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    page = signed_in(browser, made, world, "magetan.kepala", width)
    page.goto("/kunci-api")
    sound(page)
    page.fill("[name=name]", "Server aktivasi")
    press(page)  # nothing is ticked: the slip is named, what was typed stays
    assert page.input_value("[name=name]") == "Server aktivasi"
    sound(page)
    page.check("[name=scopes][value=read]")
    page.check("[name=scopes][value=activations]")
    page.fill("[name=addresses]", "192.0.2.0/24\n2001:db8::7")
    press(page)
    assert page.inner_text("#rahasia").startswith("sf_")
    sound(page)
    press(page, "text=Sudah saya simpan")
    assert "2001:db8::7/128" in page.inner_text("table")
    press(page, "td a:has-text('Server aktivasi')")
    sound(page)
    page.uncheck("[name=scopes][value=activations]")
    page.fill("[name=addresses]", "")
    press(page, "form[action$=ubah] button[type=submit]")
    assert "Mengaktifkan" not in page.inner_text("tbody tr:first-child")
    page.click("summary:has-text('Cabut')")
    sound(page)
    press(page, ".confirm[open] button[type=submit]")
    assert "Dicabut" in page.inner_text("[role=status]")
    sound(page)
