"""Signing in and out, sessions, languages, the dark theme, paper, and the verification of a manifest, at desk and phone width."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page

from tests.documents.files import text_of
from tests.support.browser import DESK, PHONE, SUBMIT, code, known, opened, press, sideways, signed_in, sound, violations, watch
from tests.support.servers import Server
from tests.support.world import PASSWORD, World

PEOPLE = {DESK: "magetan.kepala", PHONE: "bangli.kepala"}
OFFICE = PEOPLE[DESK]
MAP = "document.querySelector('.map canvas').toDataURL()"


@pytest.mark.parametrize("width", PEOPLE)
def test_people_sign_in_and_out(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    page, name = opened(browser, made, width), PEOPLE[width]
    page.goto("/")
    sound(page)
    if width == PHONE:
        page.click("header .menu")
        page.wait_for_selector("#menu.show:not(.collapsing)")
    press(page, "header >> text=Masuk")
    assert page.url.endswith("/masuk")
    sound(page)
    page.fill("[name=username]", name)
    page.fill("[name=password]", "salah sekali ya")
    press(page)
    assert page.inner_text("[role=alert]").startswith("1 hal harus diperbaiki")
    assert page.input_value("[name=username]") == name  # the input is kept
    assert page.evaluate("document.activeElement.id") == "masalah"  # the focus is on the summary of errors
    sound(page)
    page.fill("[name=password]", PASSWORD)
    press(page)
    assert page.url.endswith("/masuk/kode")
    sound(page)
    page.fill("[name=code]", code(world, name))
    press(page)
    assert page.inner_text("h1") == "Beranda"
    sound(page)
    page.click("header .who button")
    press(page, "text=Keluar")
    assert page.url.endswith("/masuk")
    page.goto("/profil")
    assert page.url.endswith("/masuk")


@pytest.mark.parametrize("width", PEOPLE)
def test_people_see_their_sessions_and_change_the_language(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    page = signed_in(browser, made, world, PEOPLE[width], width)
    page.goto("/profil")
    assert page.get_by_role("heading", name="Sesi Anda").is_visible()
    assert page.locator("tbody tr").count() == 1
    sound(page)
    press(page, "header button[value=en]")
    assert page.url.endswith("/profil")
    assert page.get_by_role("heading", name="Your sessions").is_visible()
    assert page.get_attribute("html", "lang") == "en"
    sound(page)


def test_a_session_does_not_end_while_somebody_types(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    page = opened(browser, made, DESK)
    page.clock.install()
    world.clock.set(datetime.now(UTC))
    known(page, made, world.client("bangli.kepala"))
    page.goto("/personalisasi/baru")
    page.fill("[name=subject]", "Permohonan")
    seen = "UPDATE login_session SET last_seen_at = :long_ago WHERE ended_at IS NULL"
    world.sql(seen, long_ago=str((datetime.now(UTC) - timedelta(minutes=29)).replace(tzinfo=None)))
    page.clock.fast_forward("06:00")
    with page.expect_response("**/api/v1/me") as asked:
        page.type("[name=subject]", " kartu")
    assert asked.value.status == 200
    world.clock.set(datetime.now(UTC))
    assert world.sql("SELECT MAX(last_seen_at) > :recently FROM login_session", recently=str(datetime.now(UTC) - timedelta(minutes=1))) == [
        (1,)
    ]


@pytest.mark.parametrize("width", PEOPLE)
def test_a_visitor_verifies_a_manifest_and_a_bast_without_signing_in(
    server: tuple[World, Server], browser: Browser, tmp_path: Path, width: int
) -> None:
    world, made = server
    _, answers = world.active()
    data = world.client("magetan.kepala").post(f"/manifests/{answers[0]['manifest']['id']}/download").get_data()
    (tmp_path / "good.jws").write_bytes(data)
    (tmp_path / "bad.jws").write_bytes(data[:-6] + b"AAAAAA")
    bast = UUID(str(world.sql("SELECT id FROM handover ORDER BY id DESC LIMIT 1")[0][0]))
    paper = world.client("magetan.kepala").get(f"/handovers/{bast}/document").get_data()
    (tmp_path / "bast.pdf").write_bytes(paper)
    (tmp_path / "changed.pdf").write_bytes(paper + b"\n")
    page = opened(browser, made, width)
    for name, word in (
        ("good.jws", "ASLI DAN BERLAKU."), ("bad.jws", "PALSU ATAU DIUBAH."), ("bast.pdf", "ASLI."), ("changed.pdf", "TIDAK DIKENAL."),
    ):  # fmt: skip
        page.goto("/verifikasi")
        page.set_input_files("[name=file]", str(tmp_path / name))
        press(page)
        assert word in page.inner_text(".note")
        for closed in page.locator("main details").all():
            closed.locator("summary").click()
        sound(page)
    digest = world.sql("SELECT digest FROM handover ORDER BY id DESC LIMIT 1")[0][0]
    page.goto(f"/verifikasi?bast={bast}&sha256={digest}")  # what the QR code holds
    assert "Kabupaten Magetan" in page.inner_text(".facts")
    sound(page)


def test_the_side_bar_opens_on_a_phone(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    page = signed_in(browser, made, world, "bangli.kepala", PHONE)
    assert not page.is_visible("#sisi")
    page.click("header .menu")
    page.wait_for_selector("#sisi.show:not(.showing)")
    sound(page)
    press(page, "#sisi a:has-text('Unit')")
    assert page.url.endswith("/unit")


PLANTED = (
    (violations, "document.body.insertAdjacentHTML('beforeend', '<div class=planted>x</div>')"),  # text outside every landmark
    (violations, "document.querySelector('main').insertAdjacentHTML('beforeend', '<input name=planted>')"),  # a field without a label
    (sideways, "document.querySelector('main').style.minWidth = '3000px'"),
    (watch, "document.head.append(Object.assign(document.createElement('script'), {textContent: '1'}))"),  # a script that the CSP refuses
    (watch, "setTimeout(() => { throw new Error('planted') })"),
    (watch, "console.error('planted')"),
)


def test_the_check_of_pages_catches_planted_faults(server: tuple[World, Server], browser: Browser) -> None:
    for look, planted in PLANTED:
        page = opened(browser, server[1], DESK)
        page.goto("/masuk")
        sound(page)
        page.evaluate(f"() => {{ {planted} }}")
        page.wait_for_timeout(100)
        assert look(page) != [], planted
        with pytest.raises(AssertionError):
            sound(page)


def test_a_form_is_sent_once(server: tuple[World, Server], browser: Browser) -> None:
    """A second click does nothing until the answer arrives."""
    page = opened(browser, server[1], DESK)
    page.goto("/masuk")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method) if request.method == "POST" else None)
    page.fill("[name=username]", "siapa")
    page.fill("[name=password]", "bukan siapa siapa")
    with page.expect_navigation():
        page.dblclick(SUBMIT)
    assert sent == ["POST"]


def ground(page: Page) -> str:
    """Return the colour that the page's body is laid on."""
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def dark(page: Page, path: str) -> None:
    """Assert that a page is dark by the system's wish alone, without a violation that axe finds."""
    page.emulate_media(color_scheme="dark")
    page.goto(path)
    assert ground(page) == "rgb(16, 22, 29)", path
    assert (violations(page), watch(page)) == ([], []), path


def test_pages_are_dark_by_the_systems_wish_at_desk_and_phone(server: tuple[World, Server], browser: Browser) -> None:
    world, made = server
    uid = world.active()[0].uids[0]
    office = signed_in(browser, made, world, OFFICE, DESK)
    for path in ("/", f"/kartu/{uid}", "/peta"):
        dark(office, path)
    office.wait_for_selector("canvas[data-drawn]:not([data-drawn=''])", state="attached")
    drawn = office.evaluate(MAP)
    office.emulate_media(color_scheme="light")  # while the page is open
    assert ground(office) == "rgb(244, 246, 249)"
    office.wait_for_timeout(100)
    assert office.evaluate(MAP) != drawn  # the map is drawn again
    dark(opened(browser, made, PHONE), "/masuk")


def test_a_card_is_printed_light_without_its_forms_and_says_where_it_is_from(
    server: tuple[World, Server], browser: Browser, tmp_path: Path
) -> None:
    world, made = server
    uid = world.personalised()[0]
    given = world.client("operator1").post("/handovers", {"to": str(world.organisation_of(OFFICE)), "cards": [uid]}).json
    world.client(OFFICE).post(f"/handovers/{given['id']}/receive")
    page = signed_in(browser, made, world, OFFICE, DESK)
    page.emulate_media(color_scheme="dark")
    page.goto(f"/kartu/{uid}")
    assert page.is_visible("text=Laporkan kondisi kartu")
    paper = page.pdf(format="A4", prefer_css_page_size=True)
    text = text_of(paper, tmp_path)
    assert f"Dicetak dari {world.settings.public_url}/kartu/{uid}" in text
    assert [hidden for hidden in ("Laporkan", "Apa yang terjadi", "Keluar", "Beranda", "Verifikasi manifest") if hidden in text] == []
    assert "Diterima" in text
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink')") == "#17212b"
