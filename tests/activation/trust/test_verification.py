"""The public page about a file: manifests and papers, whose they are and whether they count, in words; nothing for who has no file."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from sifilma.demo.sample_files import photo
from sifilma.documents.indonesian import uid_pairs
from tests.destruction.test_service import approved, locked, record
from tests.documents.files import letter
from tests.support.visitor import Visitor, one_id, words
from tests.support.world import Ready, World, done

VECTOR = Path(__file__).parents[2] / "vectors" / "good.jws"


def told(world: World, data: bytes, name: str = "berkas.pdf", language: str = "") -> str:
    return words(Visitor(world, language=language).send("/verifikasi", file=(io.BytesIO(data), name)))


def manifest(world: World) -> tuple[Ready, str, bytes]:
    """Make an active manifest; return its card, its id and its file."""
    ready, [answer] = world.active()
    made = answer["manifest"]["id"]
    return ready, made, world.client("magetan.kepala").post(f"/manifests/{made}/download").get_data()


def test_the_file_of_a_bast_is_genuine_and_its_fate_is_told(world: World) -> None:
    uids = world.personalised(count=2)
    office, operator = world.client("magetan.kepala"), world.client("operator1")
    body = {"to": str(world.organisation_of("magetan.kepala"))}
    kept, refused, cancelled = (
        done(operator.post("/handovers", body | {"cards": cards}), 201) for cards in (uids[:1], uids[1:], world.personalised())
    )
    files = {one["id"]: operator.get(f"/handovers/{one['id']}/document").get_data() for one in (kept, refused, cancelled)}
    assert "ASLI. Ini berkas yang sama persis" in told(world, files[kept["id"]])
    assert "Penerimanya belum menjawab" in told(world, files[kept["id"]])
    done(office.post(f"/handovers/{kept['id']}/receive"))
    done(office.post(f"/handovers/{refused['id']}/refuse", {"note": "rusak"}))
    done(operator.post(f"/handovers/{cancelled['id']}/cancel"))
    found = told(world, files[kept["id"]])
    for said in ("ASLI.", "telah menerima kartu", kept["number"], "Direktorat Jenderal", "Kabupaten Magetan", uid_pairs(uids[0])):
        assert said in found, said
    assert "Contoh" not in found.replace("contoh.go.id", ""), "no person is named"
    for one, fate in ((refused, "telah ditolak oleh penerimanya"), (cancelled, "telah dibatalkan oleh penerbitnya")):
        found = told(world, files[one["id"]])
        assert "ASLI, TETAPI TIDAK BERLAKU LAGI." in found
        assert fate in found
    assert "GENUINE." in told(world, files[kept["id"]], language="en")
    assert world.sql("SELECT COUNT(*) FROM document WHERE kind <> 'paper' AND kind <> 'letter'") == [(0,)], (
        "what is asked about is not kept"
    )


def test_the_file_of_a_berita_acara_is_genuine(world: World) -> None:
    made = approved(world, locked(world))
    office = world.client("magetan.kepala")
    number = done(office.send(f"/destructions/{made}/record", record(world), part="record", photos=[photo()[:2]]))["number"]
    file = office.get(f"/destructions/{made}/document").get_data()
    found = told(world, file)
    for said in ("ASLI.", number, "Pemusnahan kartu SAM (Berita Acara)", "Kabupaten Magetan", "belum mencocokkannya"):
        assert said in found, said
    done(world.client("operator2").post(f"/destructions/{made}/verify", {"note": "sesuai"}))
    assert "telah dicocokkan" in told(world, file)


UNKNOWN: dict[str, Callable[[bytes], bytes]] = {
    "a letter": lambda _: letter(),
    "a paper saved anew": lambda paper: paper + b"\n",
    "a paper with another byte": lambda paper: paper.replace(b"%PDF-1.7", b"%PDF-1.6", 1),
    "text": lambda _: b"halo",
    "one byte": lambda _: b"\0",
    "a page": lambda _: b"<html>%PDF-1.4 %%EOF",
    "three parts that are no manifest": lambda _: b"eyJhIjoxfQ.eyJhIjoxfQ.AAAA",
    "more than a manifest has": lambda _: b"x" * 200_000,
    "a manifest of another installation": lambda _: VECTOR.read_bytes(),
}


@pytest.mark.parametrize("made", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_is_not_known_here_is_called_unknown_never_refused(sqlite_world: World, made: Callable[[bytes], bytes]) -> None:
    sqlite_world.received()
    bast = one_id(sqlite_world, "SELECT id FROM handover")
    [(number,)] = sqlite_world.sql("SELECT number FROM handover")
    paper = sqlite_world.client("operator1").get(f"/handovers/{bast}/document").get_data()
    found = told(sqlite_world, made(paper))
    assert "TIDAK DIKENAL." in found
    assert "DITOLAK" not in found
    assert number not in found


def test_a_number_or_an_id_alone_tells_nothing(sqlite_world: World) -> None:
    sqlite_world.received()
    [(number,)] = sqlite_world.sql("SELECT number FROM handover")
    bast = one_id(sqlite_world, "SELECT id FROM handover")
    page = Visitor(sqlite_world)
    for query in ({"number": number}, {"nomor": number}, {"bast": number}, {"bast": bast}, {"ba": bast}, {"bast": str(uuid4())}):
        found = page.text("/verifikasi", **query)
        assert "ASLI" not in found
        assert "Kabupaten Magetan" not in found, query
    assert number in words(page.send("/verifikasi", file=(io.BytesIO(number.encode()), "n.txt"))) or "TIDAK DIKENAL." in page.seen
    assert "Kabupaten Magetan" not in page.seen


def test_a_manifest_is_genuine_whose_and_until_when(world: World) -> None:
    ready, _, file = manifest(world)
    found = told(world, file, "manifest.jws")
    for said in ("ASLI DAN BERLAKU.", uid_pairs(ready.uids[0]), "Kabupaten Magetan", "Berlaku sampai", "Nov 2029", "35.20.06.1014"):
        assert said in found, said
    world.clock.advance(days=4 * 366)  # the key of the status list has ended too
    assert "ASLI DAN BERLAKU." not in told(world, file)


def test_a_manifest_past_its_end_says_until_when_readers_take_it(sqlite_world: World) -> None:
    """A bank's manifest ends with its agreement."""
    world, ready = sqlite_world, sqlite_world.institution_ready()
    made = done(world.client("mandiri.kepala").post("/activations", world.activation(ready, ready.uids[0])), 201)["manifest"]["id"]
    file = world.client("mandiri.kepala").post(f"/manifests/{made}/download").get_data()
    world.clock.advance(seconds=int((datetime(2029, 1, 5, tzinfo=UTC) - world.clock.now()).total_seconds()))
    found = told(world, file)
    assert "BANK MANDIRI" in found
    assert "Mesin masih menerimanya sampai 31 Jan 2029" in found or "Mesin masih menerimanya sampai 30 Jan 2029" in found
    world.clock.advance(days=30)
    assert "Masa berlakunya telah berakhir: organisasinya perlu mengajukan perpanjangan." in told(world, file)


def test_what_became_of_a_manifest_is_told_apart(world: World) -> None:
    ready, made, file = manifest(world)
    head, body, signature = file.split(b".")
    flipped = b"A" if signature[:1] != b"A" else b"B"
    assert "PALSU ATAU DIUBAH." in told(world, b".".join((head, body, flipped + signature[1:])))
    _, tokens = world.tokens("magetan.kepala", ready.uids, "relocation")
    again = Ready(ready.uids, tokens, ready.hardware, "")
    newer = done(world.client("magetan.kepala").post("/activations", world.activation(again, ready.uids[0])), 201)["manifest"]["id"]
    second = world.client("magetan.kepala").post(f"/manifests/{newer}/download").get_data()
    replaced = told(world, file)
    assert "ASLI, TETAPI SAAT INI TIDAK BERLAKU." in replaced
    assert "telah menggantikannya" in replaced
    assert "ASLI DAN BERLAKU." in told(world, second)
    done(world.client("operator1").post(f"/manifests/{newer}/revoke", {"reason": "mesin dicuri"}), 202)
    done(world.client("penyetuju1").post(f"/manifests/{newer}/revoke", {"decision": "execute", "reason": "ya"}))
    revoked = told(world, second)
    assert "telah dicabut" in revoked
    assert "Tidak berlaku sejak" in revoked
    assert made not in revoked
