"""The pages for doubtful places: the queue, oldest first, and one decision for each place."""

from __future__ import annotations

from typing import Any

from sifilma.documents.indonesian import uid_pairs
from sifilma.kernel.db import db
from tests.support.counting import counted
from tests.support.visitor import Visitor, landed, words
from tests.support.world import BANGLI_PLACE, World, done

FAR = {"latitude": BANGLI_PLACE["latitude"], "longitude": BANGLI_PLACE["longitude"], "reason": "Kantor dipindah karena banjir."}


def doubtful(world: World, count: int = 1) -> list[Any]:
    ready = world.ready(count=count)
    client = world.client("magetan.kepala")
    return [done(client.post("/activations", world.activation(ready, uid, **FAR)), 201) | {"uid": uid} for uid in ready.uids]


def test_the_queue_begins_with_the_oldest_place_and_continues_to_the_newest(world: World) -> None:
    made = doubtful(world, 27)
    page = Visitor(world, "operator1")
    first = page.get("/tinjauan")
    found = words(first)
    assert found.index(uid_pairs(made[0]["uid"])) < found.index(uid_pairs(made[1]["uid"])) < found.index(uid_pairs(made[24]["uid"]))
    assert uid_pairs(made[25]["uid"]) not in found
    cursor = first.get_data(as_text=True).partition("cursor=")[2].partition('"')[0]
    second = page.text("/tinjauan", cursor=cursor)
    assert uid_pairs(made[26]["uid"]) in second
    assert uid_pairs(made[24]["uid"]) not in second


def test_the_page_shows_the_claimed_place_beside_the_found_one(world: World) -> None:
    made = doubtful(world)[0]
    found = Visitor(world, "operator1").text(f"/tinjauan/{made['id']}")
    there = (
        "Magetan, Jawa Timur",
        "Kabupaten Bangli, Bali",
        "216.387 m",
        "± 10 m",
        "Dari perangkat",
        "karena banjir",
        "dalam 14 hari",
    )
    for said in there:
        assert said in found, said


def test_the_page_says_that_a_place_may_lie_beyond_the_border(sqlite_world: World) -> None:
    ready = sqlite_world.ready()
    border = {"latitude": -9.00875, "longitude": 124.92485, "region_code": "53.04.02.2001", "reason": "Kantor di perbatasan."}
    made = done(sqlite_world.client("magetan.kepala").post("/activations", sqlite_world.activation(ready, ready.uids[0], **border)), 201)
    operator = Visitor(sqlite_world, "operator1")
    assert "negara tetangga" in operator.text(f"/tinjauan/{made['id']}")
    assert "negara tetangga" not in operator.text(f"/tinjauan/{doubtful(sqlite_world)[0]['id']}")


def test_an_operator_decides_once_with_a_note_and_the_manifest_stays_active(world: World) -> None:
    made = doubtful(world)[0]
    path, page = f"/tinjauan/{made['id']}", Visitor(world, "operator1")
    assert "harus diperbaiki" in words(page.send(f"{path}/putusan", decision="rejected", note=" "), 422)
    assert "harus diperbaiki" in words(page.send(f"{path}/putusan", note="tanpa putusan"), 422)
    shown = page.text(landed(page.send(f"{path}/putusan", decision="rejected", note="tidak sesuai surat")))
    assert "Ditolak" in shown
    assert "Candra Contoh" in shown
    assert "Manifest masih berlaku" in shown
    assert words(page.send(f"{path}/putusan", decision="accepted", note="sekali lagi"), 409)
    assert "Tidak ada lokasi yang menunggu" in page.text("/tinjauan")
    assert uid_pairs(made["uid"]) in page.text("/tinjauan", state="rejected")


def test_an_auditor_reads_the_queue_and_others_see_nothing(world: World) -> None:
    made = doubtful(world)[0]
    auditor = Visitor(world, "auditor1")
    assert 'name="decision"' not in auditor.get(f"/tinjauan/{made['id']}").get_data(as_text=True)
    assert auditor.send(f"/tinjauan/{made['id']}/putusan", decision="accepted", note="boleh").status_code == 403
    for name in ("magetan.kepala", "penyetuju1", "jatim.kepala"):
        assert Visitor(world, name).get("/tinjauan").status_code == 403, name


def test_a_place_that_passed_the_check_cannot_be_reviewed(sqlite_world: World) -> None:
    _, answers = sqlite_world.active()
    assert Visitor(sqlite_world, "operator1").get(f"/tinjauan/{answers[0]['id']}").status_code == 404


def test_the_queue_takes_few_statements(sqlite_world: World) -> None:
    made = doubtful(sqlite_world, 3)
    page = Visitor(sqlite_world, "operator1")
    with sqlite_world.app.app_context():
        engine = db.engine
    for path, most in (("/tinjauan", 6), (f"/tinjauan/{made[0]['id']}", 7)):
        with counted(engine) as found:
            page.text(path)
        assert len(found.statements) <= most, (path, len(found.statements), found.statements)
