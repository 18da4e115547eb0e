"""Many manifests, and the BASTs of a list, are packed by the worker: each recorded once, sealed in the database, for the holder alone."""

from __future__ import annotations

import io
import zipfile

import pytest
from pikepdf import Pdf

from sifilma.activation.archives import packing
from sifilma.handover import print_runs
from sifilma.own_files.kinds import unpacked
from tests.activation.conftest import verified
from tests.documents.files import table_lines
from tests.own_files.files import PARTS, fetched, one_turn, written
from tests.support.visitor import Visitor, landed
from tests.support.world import World, done

OFFICE = "magetan.kepala"
DOWNLOADS = "SELECT COUNT(*) FROM audit_entry WHERE action = 'manifest.download'"


@pytest.fixture
def few(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which two manifests are many, and two are packed at a time."""
    monkeypatch.setattr(packing, "AT_ONCE", 2)
    world.configure(direct_manifests=1)
    return world


def test_many_manifests_are_packed_each_recorded_once_and_sealed_meanwhile(few: World) -> None:
    world = few
    ready, _ = world.active(count=5)
    client = world.client(OFFICE)
    file = done(client.post("/manifests/archive", {"activation_request": ready.request}), 202)
    assert done(client.post("/manifests/archive", {"activation_request": ready.request}), 202)["id"] == file["id"]
    for _ in range(2):
        one_turn(world, file["id"])
    assert 0 < world.sql(DOWNLOADS)[0][0] < 5  # it goes on behind what is stored
    written(world)
    assert world.sql(DOWNLOADS)[0][0] == 5
    stored = b"".join(bytes(data) for (data,) in world.sql("SELECT data FROM own_file_part"))
    assert ready.uids[0].encode() not in stored
    packed = zipfile.ZipFile(io.BytesIO(fetched(client, file).get_data()))
    assert packed.testzip() is None
    assert sorted(packed.namelist()) == sorted(["BACA-DAHULU.txt", "index.csv", *(f"{uid}-1.jws" for uid in ready.uids)])
    assert [verified(world, packed.read(f"{uid}-1.jws")).sub for uid in ready.uids] == ready.uids
    lines = table_lines(packed.read("index.csv"))
    assert [len(lines), {line["Status"] for line in lines}] == [5, {"Aktif"}]
    assert "5 dari 5" in packed.read("BACA-DAHULU.txt").decode()


def test_a_packed_manifest_that_was_revoked_keeps_the_file_from_being_taken(few: World) -> None:
    world = few
    ready, _ = world.active(count=2)
    visitor = Visitor(world, OFFICE)
    page = landed(visitor.send("/manifest/arsip", permohonan=ready.request)).partition("?")[0]
    written(world)
    assert visitor.send(f"{page}/unduh").status_code == 200
    stale = Visitor(world, OFFICE, fresh=False)
    assert stale.send(f"{page}/unduh").status_code == 403
    assert stale.get(page).get_data(as_text=True).count('name="otp_code"') == 1
    done(world.client(OFFICE).post(f"/cards/{ready.uids[1]}/reports", {"condition": "locked", "note": "PIN salah"}))
    assert visitor.send(f"{page}/unduh").status_code == 403
    assert Visitor(world, "magetan.staf").send(f"{page}/unduh").status_code == 404


def test_the_basts_of_a_list_come_in_volumes_with_an_index(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(print_runs, "VOLUME", 2)
    for _ in range(3):
        world.received(OFFICE, "R", 1)
    visitor = Visitor(world, OFFICE)
    assert "Minta seluruh daftar ditulis" in visitor.text("/bast")
    page = landed(visitor.send("/bast/cetak", number="", state="received")).partition("?")[0]
    written(world)
    packed = zipfile.ZipFile(io.BytesIO(visitor.send(f"{page}/unduh").get_data()))
    assert packed.namelist() == ["cetak-0001.pdf", "cetak-0002.pdf", "index.csv"]
    pages = [len(Pdf.open(io.BytesIO(packed.read(name))).pages) for name in packed.namelist()[:2]]
    assert pages[0] == 2 * pages[1] > 0
    lines = table_lines(packed.read("index.csv"))
    assert [line["Jilid"] for line in lines] == ["cetak-0001.pdf", "cetak-0001.pdf", "cetak-0002.pdf"]
    assert world.sql(PARTS)[0][0] > 0
    assert len(unpacked(bytes(world.sql("SELECT ids FROM own_file_rows")[0][0]))) == 3
