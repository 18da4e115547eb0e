"""A file of activations in Chromium, at both widths: uploaded, found again later, followed to its end, and corrected."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.activation.bulk.sheets import HEADER, rows_of, sheet
from tests.support.browser import WIDTHS, press, signed_in, sound
from tests.support.servers import ROOT, Server, environment
from tests.support.world import World

OFFICE = "magetan.kepala"


@contextmanager
def worker(world: World) -> Iterator[None]:
    """Run a real worker beside the server."""
    process = subprocess.Popen([sys.executable, "-m", "sifilma", "worker"], env=os.environ | environment(world), cwd=ROOT)
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("width", WIDTHS)
def test_an_uploaded_file_is_found_again_and_followed_to_its_end(
    server: tuple[World, Server], browser: Browser, tmp_path: Path, width: int
) -> None:
    world, made = server
    rows = rows_of(world.ready(OFFICE, "R", 4))
    rows[2][HEADER.index("latitude")] = "tujuh"
    (tmp_path / "aktivasi juni.csv").write_bytes(sheet(rows))
    page = signed_in(browser, made, world, OFFICE, width)
    page.goto("/aktivasi/berkas")
    sound(page)
    page.set_input_files("[name=file]", str(tmp_path / "aktivasi juni.csv"))
    press(page, "form[enctype] button[type=submit]")
    expect(page.locator("#kemajuan")).to_contain_text("1 dari 4 baris selesai")  # the one that the schema refuses
    sound(page)
    page.goto("/pekerjaan")
    sound(page)
    press(page, "main td a")
    with worker(world):
        expect(page.locator("#kemajuan")).to_contain_text(
            "4 dari 4 baris selesai", timeout=30_000
        )  # the page updates itself, without a reload
    assert page.locator("progress").evaluate("one => [one.value, one.max]") == [4, 4]
    assert page.locator("#kemajuan tbody td").all_inner_texts()[:2] == ["4", "Lintang"]  # the row's number in the file
    sound(page)
    with page.expect_download() as file:
        page.click("form[data-download] button[value=csv]")
    assert b"Lintang: " in Path(file.value.path()).read_bytes()
    assert page.locator("[hx-trigger]").count() == 0
