"""Destruction of a card, review of a place and revocation of a manifest, in the browser."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page

from sifilma.demo.sample_files import photo
from sifilma.documents.indonesian import uid_pairs
from sifilma.identity.models import LoginSession
from tests.destruction.test_service import OFFICIAL, WITNESSES, approved, locked
from tests.support.browser import DESK, WIDTHS, code, confirm, known, press, signed_in, sound
from tests.support.servers import Server
from tests.support.world import BANGLI_PLACE, World, done

WIB = ZoneInfo("Asia/Jakarta")
Made = tuple[World, Server]
RECORD = "button:has-text('Catat pemusnahan')"


def stale(world: World, page: Page) -> None:
    """Make the one-time codes of all sessions an hour old and reload the page, which then asks for a new code."""
    world.change(LoginSession, LoginSession.otp_at.is_not(None), otp_at=lambda row: row.otp_at - timedelta(hours=1))
    page.reload()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_locked_card_is_destroyed_before_witnesses(server: Made, browser: Browser, tmp_path: Path, width: int) -> None:
    world, made = server
    uid = world.active()[0].uids[0]
    holder = signed_in(browser, made, world, "magetan.kepala", width)
    path = propose(holder, uid)
    approve(world, made, browser, path, width)
    record(world, holder, path, tmp_path)
    with holder.expect_download() as saved:
        holder.click("figure.paper a:has-text('Unduh')")
    assert saved.value.path().read_bytes().startswith(b"%PDF-")
    operator = signed_in(browser, made, world, "operator1", width)
    operator.goto(path)
    sound(operator)
    press(operator, "button:has-text('Nyatakan sesuai Berita Acara')")
    assert operator.locator(".heading .badge-state").inner_text() == "Terverifikasi"
    operator.goto(f"/kartu/{uid}")
    sound(operator)
    steps = operator.locator(".timeline li strong").all_inner_texts()
    assert steps == ["Terdaftar", "Dipersonalisasi", "Diserahkan", "Diterima", "Aktif", "Terkunci", "Dimusnahkan"]


def propose(page: Page, uid: str) -> str:
    """Report the card locked and propose its destruction as its holder; return the URL of the proposal."""
    page.goto("/kartu")
    sound(page)
    press(page, f"a.uid:has-text('{uid_pairs(uid)}')")
    sound(page)
    page.check("input[value=locked]")
    page.fill("[name=note]", "PIN salah berulang kali")
    press(page, "form[action$='/lapor'] button")
    confirm(page, uid)
    assert page.locator(".heading .badge-state").inner_text() == "Terkunci"
    sound(page)
    press(page, "a:has-text('Usulkan pemusnahan')")
    sound(page)
    assert page.is_checked(f"input[value='{uid}']")
    press(page, "main form button:has-text('Usulkan')")
    sound(page)
    return page.url.partition("?")[0]


def approve(world: World, made: Server, browser: Browser, path: str, width: int) -> None:
    """Approve as another person with a fresh code."""
    page = signed_in(browser, made, world, "penyetuju1", width)
    page.goto(path)
    stale(world, page)
    sound(page)
    page.fill("[name=otp_code]", code(world, "penyetuju1"))
    press(page, "button:has-text('Setujui')")
    assert page.locator(".heading .badge-state").inner_text() == "Disetujui"


def record(world: World, page: Page, path: str, folder: Path) -> None:
    """Fill in the Berita Acara: add and remove rows, keep the photos through a mistake, and send the code with the form."""
    picture = folder / "foto.png"
    picture.write_bytes(photo()[1])
    page.goto(path)
    press(page, "a:has-text('Isi Berita Acara')")
    sound(page)
    for number, witness in enumerate(WITNESSES):
        fill(page, f"witnesses.{number}", witness)
    page.click("button:has-text('Tambah saksi')")
    assert page.locator(".row-group").count() == 3
    page.locator("text=Hapus saksi ini").last.click()
    assert page.locator(".row-group").count() == 2
    fill(page, "official", OFFICIAL)
    page.fill("[name=place]", "Kantor Dinas")
    page.fill("[name=executed_at]", datetime.now(WIB).strftime("%Y-%m-%dT%H:%M:%S"))
    page.set_input_files("[name=photos]", str(picture))
    page.fill("[name=otp_code]", code(world, "magetan.kepala"))
    page.check("[name=sure]")
    page.click("button:has-text('Catat pemusnahan')")
    page.wait_for_selector("#masalah")  # the method is missing
    assert page.input_value("[name='witnesses.1.office']") == WITNESSES[1]["office"]
    assert page.locator("[data-kept] input:checked").count() == 1
    sound(page)
    page.fill("[name=method]", "cip dipotong menjadi dua")
    page.click("button:has-text('Catat pemusnahan')")
    assert page.evaluate("document.activeElement.name") == "sure"  # it is ticked for each sending, and nothing was sent without it
    page.check("[name=sure]")
    press(page, "button:has-text('Catat pemusnahan')")
    assert page.locator(".heading .badge-state").inner_text() == "Dilaksanakan"
    sound(page)


def test_a_record_survives_a_lost_connection_and_the_end_of_its_session(server: Made, browser: Browser, tmp_path: Path) -> None:
    world, made = server
    page = signed_in(browser, made, world, "magetan.kepala", DESK)
    picture = tmp_path / "foto.png"
    picture.write_bytes(photo()[1])
    page.goto(f"/pemusnahan/{approved(world, locked(world))}/rekam")
    for number, witness in enumerate(WITNESSES):
        fill(page, f"witnesses.{number}", witness)
    fill(page, "official", OFFICIAL)
    for name, value in (
        ("place", "Kantor Dinas"),
        ("method", "cip dipotong"),
        ("executed_at", datetime.now(WIB).strftime("%Y-%m-%dT%H:%M:%S")),
    ):
        page.fill(f"[name={name}]", value)
    page.set_input_files("[name=photos]", str(picture))
    page.check("[name=sure]")
    page.context.set_offline(True)
    assert "Tidak ada jawaban." in told(page)
    page.context.set_offline(False)
    world.sql("UPDATE login_session SET ended_at = last_seen_at, end_reason = 'planted'")
    assert "Sesi Anda sudah berakhir." in told(page)
    assert page.get_attribute("#salah a", "href") == "/masuk"
    known(page, made, world.client("magetan.kepala"))  # as if the user had signed in again in another tab
    press(page, RECORD)
    assert page.locator(".heading .badge-state").inner_text() == "Dilaksanakan"


def told(page: Page) -> str:
    """Send the form, which must fail, and return the message on the unchanged page."""
    page.evaluate("document.getElementById('salah').replaceChildren()")
    page.click(RECORD)
    return page.locator("#salah .note.bad").inner_text()


def fill(page: Page, prefix: str, person: dict[str, str]) -> None:
    for name, value in person.items():
        field = page.locator(f"[name='{prefix}.{name}']")
        if name == "id_kind":
            field.select_option(value)
        else:
            field.fill(value)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_doubtful_place_is_rejected_and_two_persons_revoke_its_manifest(server: Made, browser: Browser, width: int) -> None:
    world, made = server
    ready = world.ready()
    far = BANGLI_PLACE | {"region_code": "35.20.06.1014", "reason": "Kantor dipindah karena banjir."}
    done(world.client("magetan.kepala").post("/activations", world.activation(ready, ready.uids[0], **far)), 201)
    operator = signed_in(browser, made, world, "operator1", width)
    operator.goto("/tinjauan")
    sound(operator)
    press(operator, f"a.uid:has-text('{uid_pairs(ready.uids[0])}')")
    operator.wait_for_selector("#peta path.leaflet-interactive")
    sound(operator)
    operator.check("input[value=rejected]")
    operator.fill("[name=note]", "tidak sesuai surat")
    press(operator, "button:has-text('Simpan keputusan')")
    confirm(operator, ready.uids[0])
    sound(operator)
    press(operator, ".note a:has-text('Usulkan pencabutan')")
    operator.fill("[name=reason]", "lokasi tidak benar")
    press(operator, "button:has-text('Usulkan pencabutan')")
    sound(operator)
    approver = signed_in(browser, made, world, "penyetuju1", width)
    approver.goto("/manifest/usulan")
    sound(approver)
    press(approver, f"a.uid:has-text('{uid_pairs(ready.uids[0])}')")
    sound(approver)
    press(approver, "button[value=execute]")
    confirm(approver, ready.uids[0])
    assert approver.locator(".heading .badge-state").inner_text() == "Dicabut"
    sound(approver)


def test_the_page_can_be_used_after_a_download(server: Made, browser: Browser) -> None:
    world, made = server
    _, answers = world.active()
    page = signed_in(browser, made, world, "magetan.kepala", DESK)
    page.goto("/manifest")
    sound(page)
    page.goto(f"/manifest/{answers[0]['manifest']['id']}")
    for _ in range(2):
        with page.expect_download() as saved:
            page.click("button:has-text('Unduh manifest')")
        assert saved.value.suggested_filename.endswith(".jws")
    sound(page)
