"""A long list is asked for, followed, taken and cancelled in a browser, at both widths; without a worker the page says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from hsm import HSM
from tests.dispatch.workers import Worker, until
from tests.support.browser import WIDTHS, sideways, signed_in, watch
from tests.support.databases import Fresh
from tests.support.servers import Server, running
from tests.support.world import World

OFFICE, ROWS, MAKER = "magetan.kepala", 1000, "/organisasi?unduh=csv"
SHOTS = os.environ.get("SIFILMA_TEST_SHOTS", "")


def shot(page: Page, name: str) -> None:
    if SHOTS:
        width = page.evaluate("innerWidth")
        page.screenshot(path=str(Path(SHOTS) / f"{name}-{width}.png"), full_page=True)


@pytest.fixture(scope="module")
def server(
    fresh_postgresql: Fresh, tmp_path_factory: pytest.TempPathFactory, signing_token: HSM, root_token: HSM
) -> Iterator[tuple[World, Server]]:
    """Yield an installation in which six rows are a long list, and its server."""
    url = fresh_postgresql.make()
    home = tmp_path_factory.mktemp("home")
    more = {"SIFILMA_DIRECT_ROWS": "5", "SIFILMA_DIRECT_MANIFESTS": "1"}
    with closing(World(url, home, signing_token, root_token, datetime.now(UTC))) as world, running(world, **more) as made:
        world.units(OFFICE, ROWS, "LEN-CRD-1", "R", pcid=False)
        world.active(OFFICE, "R", 3)
        yield world, made
    fresh_postgresql.remove(url)


@pytest.mark.long
@pytest.mark.parametrize("width", WIDTHS)
def test_a_long_list_is_asked_for_followed_and_taken(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    world.sql("UPDATE heartbeat SET at = at - interval '5 minutes', elapsed = elapsed - 300")  # of the worker of a test before
    page = signed_in(browser, made, world, OFFICE, width)
    page.goto("/unit?unduh=csv")
    assert page.url.partition("?")[0].endswith("/berkas/baru")
    shot(page, "1-ask")
    page.click("text=Minta ditulis")
    page.wait_for_selector("text=Saat ini tidak ada proses latar")
    shot(page, "2-no-worker")
    worker = Worker(world)
    try:
        page.wait_for_selector("text=Berkas sudah siap.", timeout=90_000)
        shot(page, "3-ready")
        with page.expect_download() as got:
            page.click("form[data-download] button")
        assert got.value.suggested_filename == "unit.csv"
        assert Path(got.value.path()).read_bytes().count(b"\n") > ROWS
        page.goto("/pemberitahuan")
        page.wait_for_selector("text=Berkas yang Anda minta sudah siap")
        shot(page, "4-bell")
    finally:
        worker.kill()
    page.goto("/unit?unduh=xlsx&state=")
    page.click("text=Minta ditulis")
    page.click('#kemajuan button:has-text("Batal")')
    page.wait_for_selector("text=Berkas dibatalkan dan isinya dihapus.")
    shot(page, "5-cancelled")
    page.goto("/berkas")
    shot(page, "6-my-files")
    until(lambda: world.sql("SELECT COUNT(*) FROM own_file WHERE state IN ('queued', 'running')")[0][0] == 0, 5)


@pytest.mark.long
@pytest.mark.parametrize("width", WIDTHS)
def test_operators_and_others_meet_the_same_pages(server: tuple[World, Server], browser: Browser, width: int) -> None:
    world, made = server
    for who, address in (
        ("operator1", "/unit?unduh=xlsx"),
        ("mandiri.kepala", "/organisasi?unduh=csv"),
        ("softorb.kepala", "/organisasi?unduh=csv"),
    ):
        page = signed_in(browser, made, world, who, width)
        page.goto(address)
        page.click("text=Minta ditulis")
        page.wait_for_selector("text=Kemajuan")
        shot(page, f"7-{who}")
    page = signed_in(browser, made, world, "operator1", width)
    errors = watch(page)
    page.goto("/tugas-sistem")
    page.wait_for_selector("text=Menulis berkas yang diminta")
    shot(page, "8-waits")
    worker = Worker(world)
    try:
        until(lambda: world.sql("SELECT COUNT(*) FROM own_file WHERE state IN ('queued', 'running')")[0][0] == 0, 90, worker.log.read_text)
        page.goto("/berkas")
        page.click("td a")
        page.wait_for_selector("text=Berkas sudah siap.")
        shot(page, "9-operator-ready")
        page.goto("/tugas-sistem")
        page.wait_for_selector("text=Menulis berkas yang diminta")
        shot(page, "10-work")
        assert (errors, sideways(page)) == ([], [])
    finally:
        worker.kill()
    page = signed_in(browser, made, world, OFFICE, width)
    page.goto("/manifest")
    page.click("text=Unduh semua manifest")
    page.wait_for_selector("text=Kemajuan")
    shot(page, "11-manifests")
