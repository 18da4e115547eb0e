"""The public page that checks a BAST or Berita Acara by its QR code: recognised, forged, or unknown."""

from __future__ import annotations

from uuid import uuid4

import pytest

from sifilma.demo.sample_files import photo
from tests.destruction.test_service import approved, locked, record
from tests.support.visitor import Visitor, one_id
from tests.support.world import World, done


def test_a_bast_is_recognised_by_the_digest_on_it(world: World) -> None:
    world.received()
    [(number, digest)] = world.sql("SELECT number, digest FROM handover")
    anybody = Visitor(world)
    found = anybody.text("/verifikasi", bast=one_id(world, "SELECT id FROM handover"), sha256=digest)
    for said in ("ASLI.", number, digest, "Nov 2026", "Serah terima kartu SAM (BAST)", "Direktorat Jenderal", "Kabupaten Magetan"):
        assert said in found, said
    assert "Contoh" not in found.replace("contoh.go.id", ""), "no person is named"


def test_a_forged_digest_is_reported_without_facts_of_the_document(world: World) -> None:
    world.received()
    bast = one_id(world, "SELECT id FROM handover")
    [(number, digest)] = world.sql("SELECT number, digest FROM handover")
    anybody = Visitor(world)
    for forged in ("0" * 64, digest[:-1], "", "\u0663"):
        found = anybody.text("/verifikasi", bast=bast, sha256=forged)
        assert "PALSU ATAU DIUBAH." in found
        assert number not in found
        assert digest not in found


@pytest.mark.parametrize("parameter", ["bast", "ba"])
def test_a_document_that_does_not_exist_is_unknown(sqlite_world: World, parameter: str) -> None:
    for made_up in (str(uuid4()), "1", "x" * 500):
        found = Visitor(sqlite_world).text("/verifikasi", **{parameter: made_up, "sha256": "0" * 64})
        assert "TIDAK DIKENAL." in found


def test_a_recorded_berita_acara_is_recognised_without_names_of_people(world: World) -> None:
    made = approved(world, locked(world))
    anybody = Visitor(world)
    assert "TIDAK DIKENAL." in anybody.text("/verifikasi", ba=made, sha256="0" * 64)
    path = f"/destructions/{made}/record"
    done(world.client("magetan.kepala").send(path, record(world), part="record", photos=[photo()[:2]]))
    [(number, digest)] = world.sql("SELECT number, record_digest FROM destruction")
    found = anybody.text("/verifikasi", ba=made, sha256=digest)
    for said in ("ASLI.", number, digest, "Pemusnahan kartu SAM (Berita Acara)"):
        assert said in found, said
    for name in ("Satria", "Siti", "198512122010031013"):
        assert name not in found
    assert "PALSU ATAU DIUBAH." in anybody.text("/verifikasi", ba=made, sha256="0" * 64)


def test_the_page_alone_says_nothing_of_any_paper(sqlite_world: World) -> None:
    found = Visitor(sqlite_world).text("/verifikasi")
    assert "Verifikasi manifest atau dokumen" in found
    assert not any(word in found for word in ("DIKENAL", "ASLI", "DITOLAK"))
