"""Reports on cards with photos, which are documents of the report and visible only to those who may see the card."""

from __future__ import annotations

import io
from typing import Any

import pytest

from sifilma.cards.condition_reports import MAX_PHOTOS
from sifilma.demo.sample_files import photo
from sifilma.documents.uploads import clean_photo
from tests.support.visitor import Visitor
from tests.support.world import World, done

PNG = photo(16, 12)[1]
BROKEN = {"condition": "damaged", "note": "retak di sudut"}


def sent(count: int = 1) -> list[tuple[io.BytesIO, str]]:
    """Return photos as a form sends them, each with different bytes."""
    return [(io.BytesIO(photo(16 + n, 12)[1]), f"foto{n}.png") for n in range(count)]


def test_photos_are_shown_on_the_time_line_beside_their_report(world: World) -> None:
    uid = world.received()[0]
    visitor = Visitor(world, "magetan.kepala")
    visitor.send(f"/kartu/{uid}/lapor", condition="lost", note="tidak ada di laci", photos=sent(1))
    visitor.send(f"/kartu/{uid}/lapor", **BROKEN, photos=sent(2))
    page = visitor.get(f"/kartu/{uid}").get_data(as_text=True)
    assert page.count(f'<img src="/kartu/{uid}/foto/') == 3
    assert page.index("tidak ada di laci") < page.index(f"/kartu/{uid}/foto/1") < page.index("retak di sudut")
    shown = visitor.get(f"/kartu/{uid}/foto/3")
    assert (shown.status_code, shown.mimetype, shown.get_data()) == (200, "image/png", clean_photo(photo(17, 12)[1])[0])
    assert shown.headers["Content-Security-Policy"].startswith("sandbox")
    assert visitor.get(f"/kartu/{uid}/foto/4").status_code == 404
    assert visitor.get(f"/kartu/{uid}/foto/0").status_code == 404
    kinds = world.sql(
        "SELECT d.kind, h.to_state FROM card_photo p JOIN document d ON d.id = p.document_id JOIN history h ON h.act_id = p.act_id"
    )
    assert sorted(map(tuple, kinds)) == [("photo", "damaged"), ("photo", "damaged"), ("photo", "lost")]


def test_a_photo_is_not_found_for_whoever_may_not_see_the_card(sqlite_world: World) -> None:
    uid = sqlite_world.received()[0]
    Visitor(sqlite_world, "magetan.kepala").send(f"/kartu/{uid}/lapor", **BROKEN, photos=sent())
    seen = {
        who: Visitor(sqlite_world, who).get(f"/kartu/{uid}/foto/1").status_code
        for who in ("auditor1", "jatim.kepala", "bangli.kepala", "mandiri.kepala", "admin1")
    }
    assert seen == {"auditor1": 200, "jatim.kepala": 200, "bangli.kepala": 404, "mandiri.kepala": 404, "admin1": 403}


@pytest.mark.parametrize(
    ("photos", "said"),
    [
        ([(io.BytesIO(b"%PDF-1.4"), "foto.png")], "JPEG atau PNG"),
        ([(io.BytesIO(PNG[:60]), "foto.png")], "rusak"),
        (sent(MAX_PHOTOS + 1), f"Paling banyak {MAX_PHOTOS} foto"),
    ],
)
def test_a_file_that_is_not_a_photo_refuses_the_whole_report(sqlite_world: World, photos: Any, said: str) -> None:
    uid = sqlite_world.received()[0]
    visitor = Visitor(sqlite_world, "magetan.kepala")
    assert visitor.send(f"/kartu/{uid}/lapor", **BROKEN, photos=photos).status_code == 422
    assert said in visitor.seen
    assert "Berkas harus dipilih kembali" in visitor.seen
    assert sqlite_world.sql("SELECT state FROM card WHERE uid = :uid", uid=uid) == [("received",)]
    assert sqlite_world.sql("SELECT COUNT(*) FROM document WHERE kind = 'photo'") == [(0,)]


def test_the_api_takes_photos_as_parts_or_json_alone(world: World) -> None:
    one, other = world.received(count=2)
    client = world.client("magetan.kepala")
    files: Any = {"photos": [("a.png", PNG), ("b.png", photo(20, 20)[1])]}
    assert done(client.send(f"/cards/{one}/reports", BROKEN, "report", **files))["state"] == "damaged"
    assert done(client.post(f"/cards/{other}/reports", BROKEN))["state"] == "damaged"
    assert world.sql("SELECT COUNT(*) FROM card_photo") == [(2,)]
    entry = world.sql("SELECT data FROM audit_entry WHERE action = 'card.report' ORDER BY id")[0][0]
    assert str(entry).count("photos") == 1
    wrong = client.send(f"/cards/{other}/reports", {"condition": "gone"}, "report", **files)
    assert wrong.status_code == 422
    assert {error["field"] for error in wrong.json["errors"]} == {"report.condition", "report.note"}
    assert client.post(f"/cards/{other}/reports", {"condition": "gone", "note": "tidak ada"}).json["errors"][0]["field"] == "condition"
    described = client.get("/openapi.json").json["paths"]["/api/v1/cards/{uid}/reports"]["post"]["requestBody"]["content"]
    assert set(described) == {"application/json", "multipart/form-data"}
