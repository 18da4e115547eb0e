"""The pages for jobs: the sheet to fill in, the upload, the progress, and the failed rows to correct."""

from __future__ import annotations

import io

from sifilma.activation.bulk.job_sheets import ACTIVATIONS
from sifilma.jobs import serializers
from sifilma.kernel.db import db
from tests.activation.bulk.sheets import HEADER, rows_of, sent, sheet, worked
from tests.documents.files import table_lines
from tests.support.counting import counted
from tests.support.visitor import Visitor
from tests.support.world import World

OFFICE = "magetan.kepala"


def test_the_sheet_lists_cards_with_machines_and_on_demand_tokens(world: World) -> None:
    ready = world.ready(OFFICE, "R", 2)
    visitor = Visitor(world, OFFICE)
    assert "Templat memuat 2 kartu" in visitor.get("/aktivasi/berkas").get_data(as_text=True)
    lines = table_lines(visitor.get("/aktivasi/berkas/templat.xlsx").get_data(), ACTIVATIONS)
    assert {line["sam_uid"] for line in lines} == set(ready.uids)
    assert {line["hardware_number"] for line in lines} == set(ready.hardware.values())
    assert {line["token"] for line in lines} == {""}
    shown = visitor.send("/aktivasi/berkas/templat", kind="csv")
    lines = table_lines(shown.get_data(), ACTIVATIONS)
    assert {line["sam_uid"]: line["token"] for line in lines} == ready.tokens
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'token.reveal'")[0][0] == 2  # shown once by `ready` and once here
    stale = Visitor(world, OFFICE, fresh=False)
    assert stale.send("/aktivasi/berkas/templat", kind="csv").status_code == 403


def test_a_file_is_followed_and_its_failed_rows_are_returned_with_their_tokens(world: World) -> None:
    ready = world.ready(OFFICE, "R", 3)
    rows = rows_of(ready)
    rows[1][HEADER.index("token")] = "salah"
    visitor = Visitor(world, OFFICE)
    answer = visitor.send("/aktivasi/berkas", file=(io.BytesIO(sheet(rows)), "aktivasi juni.csv"))
    assert answer.status_code == 303
    page = answer.headers["Location"].partition("?")[0]
    assert 'hx-trigger="every 2s"' in visitor.get(page).get_data(as_text=True)
    assert "0 dari 3 baris selesai" in visitor.seen
    worked(world)
    assert "hx-trigger" not in visitor.get(f"{page}/kemajuan").get_data(as_text=True)
    assert "3 dari 3 baris selesai" in visitor.seen
    assert "3 Token Token ini bukan milik kartu" in visitor.seen  # row 3 of the file
    again = visitor.send(f"/aktivasi/berkas/{page.rpartition('/')[2]}/perbaikan", kind="xlsx")
    (line,) = table_lines(again.get_data(), ACTIVATIONS)
    assert (line["sam_uid"], line["token"]) == (ready.uids[1], ready.tokens[ready.uids[1]])
    assert line["error"].startswith("Token kartu SAM: Token ini bukan milik kartu")
    visitor.send("/aktivasi/berkas", file=(io.BytesIO(again.get_data()), "perbaikan.xlsx"))
    worked(world)
    visitor.get("/pekerjaan")
    assert "perbaikan.xlsx" in visitor.seen
    assert "1 dari 1" in visitor.seen
    assert world.sql("SELECT COUNT(*) FROM activation")[0][0] == 3
    result = table_lines(visitor.get(f"{page}/hasil.csv").get_data())
    assert [row["outcome"] for row in result] == ["activated", "error", "activated"]


def test_the_page_reports_an_unreadable_file(sqlite_world: World) -> None:
    visitor = Visitor(sqlite_world, OFFICE)
    assert visitor.send("/aktivasi/berkas", file=(io.BytesIO(b"nama\nA\n"), "x.csv")).status_code == 422
    assert "Kolom berikut belum ada: UID kartu SAM," in visitor.seen
    assert visitor.send("/aktivasi/berkas").status_code == 422
    assert Visitor(sqlite_world, "mandiri.kepala").get("/pekerjaan").status_code == 200
    assert Visitor(sqlite_world, "auditor1").get("/pekerjaan").status_code == 403


def test_a_job_is_cancelled_on_its_page_after_a_confirmation(world: World) -> None:
    job = sent(world.client(OFFICE), sheet(rows_of(world.ready(OFFICE, "R", 2))))
    page = f"/pekerjaan/{job['id']}"
    visitor, operator = Visitor(world, "magetan.staf"), Visitor(world, "operator1")
    assert '<details class="confirm">' in visitor.get(page).get_data(as_text=True)
    assert "Batalkan proses" in visitor.seen
    operator.get("/pekerjaan", state="queued")
    assert "aktivasi.csv" in operator.seen
    assert "Kabupaten Magetan" in operator.seen
    assert visitor.send(f"{page}/batal", note="berkas keliru").status_code == 303
    assert "confirm" not in operator.get(page).get_data(as_text=True)
    assert "berkas keliru Baris yang sudah selesai tetap selesai. 2 baris tidak dikerjakan." in operator.seen
    assert "hx-trigger" not in visitor.get(f"{page}/kemajuan").get_data(as_text=True)
    assert "Dibatalkan" in visitor.seen
    assert visitor.send(f"{page}/batal").status_code == 303  # once more changes nothing
    again = visitor.send(f"/aktivasi/berkas/{job['id']}/perbaikan", kind="csv")
    rows = table_lines(again.get_data(), ACTIVATIONS)
    assert [bool(row["token"]) for row in rows] == [True, True]
    assert {row["error"] for row in rows} == {"Tidak dikerjakan: proses dibatalkan sebelum baris ini."}
    visitor.get("/pekerjaan", state="cancelled")
    assert "aktivasi.csv" in visitor.seen
    visitor.get("/pekerjaan", state="queued")
    assert "aktivasi.csv" not in visitor.seen


def test_the_page_says_what_a_job_waits_for_and_that_it_is_tried_again(sqlite_world: World) -> None:
    job = sent(sqlite_world.client(OFFICE), sheet(rows_of(sqlite_world.ready(OFFICE, "R", 1))))
    page, visitor = f"/pekerjaan/{job['id']}", Visitor(sqlite_world, OFFICE)
    sqlite_world.sql("UPDATE job SET waits_for = 'hsm', waiting_since = '2026-11-23 03:00:00'")
    visitor.get(page)
    assert "HSM sedang tidak menjawab." in visitor.seen
    assert "Menunggu sejak 23 Nov 2026 10.00 WIB." in visitor.seen
    visitor.get("/pekerjaan")
    assert "menunggu HSM" in visitor.seen
    sqlite_world.sql("UPDATE job SET waits_for = '', waiting_since = NULL, tries = 3")
    visitor.get(page)
    assert "percobaan ke-3" in visitor.seen


def test_the_statements_of_a_page_do_not_grow_with_failed_rows(sqlite_world: World) -> None:
    ready = sqlite_world.ready(OFFICE, "R", 1)
    bad = [[*rows_of(ready)[0][:3], "tujuh", *rows_of(ready)[0][4:]]] * (serializers.SHOWN + 20)
    job = sent(sqlite_world.client(OFFICE), sheet(bad))
    worked(sqlite_world)
    visitor = Visitor(sqlite_world, OFFICE)
    with sqlite_world.app.app_context():
        engine = db.engine
    with counted(engine) as seen:
        visitor.get(f"/pekerjaan/{job['id']}")
    assert "Ini yang pertama" in visitor.seen
    assert len(seen.statements) <= 12
