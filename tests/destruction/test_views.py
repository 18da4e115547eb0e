"""The pages for destruction: cards are chosen by check boxes, another person decides, and the record keeps its input after errors."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sifilma.demo.sample_files import photo
from sifilma.documents.indonesian import uid_pairs
from sifilma.kernel.db import db
from tests.destruction.test_service import OFFICIAL, WITNESSES, approved, locked, record
from tests.support.counting import counted
from tests.support.visitor import Visitor, goes_to, landed, value_of, words
from tests.support.world import World, done

WIB = ZoneInfo("Asia/Jakarta")


def typed(world: World, **more: str) -> dict[str, str]:
    """Return a Berita Acara as its form sends it; the third row of witnesses is empty."""
    moment = world.clock.now().astimezone(WIB).strftime("%Y-%m-%dT%H:%M")
    form = {"place": "Kantor Dinas", "executed_at": moment, "method": "dipotong", "witnesses.2.name": "", "witnesses.2.id_kind": ""}
    form |= {f"official.{name}": value for name, value in OFFICIAL.items()}
    form |= {f"witnesses.{number}.{name}": value for number, witness in enumerate(WITNESSES) for name, value in witness.items()}
    return form | more


def pictures() -> list[tuple[io.BytesIO, str]]:
    name, data, _ = photo()
    return [(io.BytesIO(data), name)]


def test_cards_are_chosen_by_check_boxes_and_another_person_decides(world: World) -> None:
    uid, other = locked(world), locked(world)
    holder = Visitor(world, "magetan.kepala")
    body = holder.get("/pemusnahan/usul", cards=uid)
    lot = body.get_data(as_text=True).partition('name="lot" value="')[2].partition('"')[0]
    assert f'value="{uid}" checked' in body.get_data(as_text=True)
    assert "harus diperbaiki" in words(holder.send("/pemusnahan/usul", lot=lot, cause="locked", note="tanpa kartu"), 422)
    path = goes_to(holder.send("/pemusnahan/usul", lot=lot, cause="locked", cards=[uid], note="kartu lama"))
    assert uid_pairs(other) in holder.text("/pemusnahan/usul")
    assert uid_pairs(uid) not in holder.text("/pemusnahan/usul")  # the card is already proposed
    assert "Setujui" not in holder.text(path)
    approver = Visitor(world, "penyetuju1")
    page = approver.get(path).get_data(as_text=True)
    digest = page.partition('name="digest" value="')[2].partition('"')[0]
    assert words(approver.send(f"{path}/setujui", digest="0" * 64), 409)
    assert "harus diperbaiki" in words(approver.send(f"{path}/tolak", digest=digest, note=""), 422)
    assert words(Visitor(world, "penyetuju1", fresh=False).send(f"{path}/setujui", digest=digest), 403)
    assert "Disetujui" in approver.text(landed(approver.send(f"{path}/setujui", digest=digest)))
    assert "Isi Berita Acara" in holder.text(path)
    assert "Isi Berita Acara" not in Visitor(world, "operator1").text(path)


def test_an_operator_first_chooses_the_holder(sqlite_world: World) -> None:
    uid = locked(sqlite_world)
    there = sqlite_world.received("bangli.kepala")[0]
    done(sqlite_world.client("bangli.kepala").post(f"/cards/{there}/reports", {"condition": "locked", "note": "terkunci"}))
    page = Visitor(sqlite_world, "operator1")
    found = page.text("/pemusnahan/usul")
    assert "Kabupaten Magetan · Terkunci (1)" in found
    assert "Kabupaten Bangli · Terkunci (1)" in found
    assert uid_pairs(uid) not in found
    lot = f"{sqlite_world.organisation_of('bangli.kepala')}.locked"
    assert uid_pairs(there) in page.text("/pemusnahan/usul", lot=lot)
    assert uid_pairs(there) not in Visitor(sqlite_world, "magetan.kepala").text("/pemusnahan/usul", lot=lot)
    mixed = page.send("/pemusnahan/usul", lot=lot, cause="locked", cards=[uid, there])
    assert "harus diperbaiki" in words(mixed, 422)


def test_errors_are_shown_beside_their_fields_and_the_input_is_kept(world: World) -> None:
    path, holder = f"/pemusnahan/{approved(world, locked(world))}/rekam", Visitor(world, "magetan.kepala")
    wrong = holder.send(path, **typed(world, method="", **{"witnesses.1.id_number": "123"}), photos=pictures())
    body = wrong.get_data(as_text=True)
    assert "2 hal harus diperbaiki" in words(wrong, 422)
    for kept in ("Kantor Dinas", "Satria Contoh", "Polres Magetan", "Kepala Dinas"):
        assert f'value="{kept}"' in body, kept
    assert 'href="#f-method"' in body
    assert 'href="#f-witnesses.1.id_number"' in body
    assert 'name="kept.photos"' in body
    none = holder.send(path, **typed(world))
    assert 'href="#f-photos"' in none.get_data(as_text=True)
    assert none.status_code == 422


def test_an_empty_row_between_witnesses_is_ignored(sqlite_world: World) -> None:
    path, holder = f"/pemusnahan/{approved(sqlite_world, locked(sqlite_world))}/rekam", Visitor(sqlite_world, "magetan.kepala")
    form = typed(sqlite_world)
    moved = {name.replace("witnesses.1.", "witnesses.3."): value for name, value in form.items() if name.startswith("witnesses.1.")}
    form = {name: value for name, value in form.items() if not name.startswith("witnesses.1.")} | moved
    wrong = holder.send(path, **form | {"witnesses.3.office": ""}, photos=pictures())
    assert 'href="#f-witnesses.1.office"' in wrong.get_data(as_text=True)
    landed(holder.send(path, **form, photos=pictures()))
    assert sqlite_world.sql("SELECT COUNT(*) FROM destruction_witness")[0][0] == 2


def test_a_third_person_verifies_the_berita_acara(world: World) -> None:
    uid = locked(world)
    path = f"/pemusnahan/{approved(world, uid)}"
    assert words(Visitor(world, "operator1").get(f"{path}/rekam"), 404)  # not the holder of the card
    stale = Visitor(world, "magetan.kepala", fresh=False)
    assert 'name="otp_code"' in stale.get(f"{path}/rekam").get_data(as_text=True)
    world.clock.advance(minutes=2)
    assert words(stale.send(f"{path}/rekam", **typed(world), photos=pictures()), 403)
    landed(stale.send(f"{path}/rekam", **typed(world, otp_code=world.code("magetan.kepala")), photos=pictures()))
    found = stale.text(path)
    for said in ("BA-PEMUSNAHAN", "Satria Contoh", "dipotong", "Dimusnahkan", local(world)):
        assert said in found, said
    assert "198512122010031013" not in found  # id numbers of people are only in the PDF
    assert stale.get(f"{path}/berita-acara").get_data().startswith(b"%PDF-")
    assert stale.get(f"{path}/berita-acara", unduh="1").headers["Content-Disposition"].startswith("attachment")
    assert stale.get(f"{path}/foto/1").mimetype == "image/png"
    assert stale.get(f"{path}/foto/2").status_code == 404
    assert Visitor(world, "bangli.kepala").get(f"{path}/foto/1").status_code == 404
    assert words(stale.send(f"{path}/verifikasi"), 403)
    verifier = Visitor(world, "operator2")
    assert "Terverifikasi" in verifier.text(landed(verifier.send(f"{path}/verifikasi", note="sesuai")))
    assert "BA-PEMUSNAHAN" in stale.text(f"/kartu/{uid}")


def local(world: World) -> str:
    moment: datetime = world.clock.now().astimezone(WIB)
    return moment.strftime("%H.%M WIB")


def test_the_proposer_is_offered_neither_approval_nor_verification(sqlite_world: World) -> None:
    uid = locked(sqlite_world)
    made = done(sqlite_world.client("operator1").post("/destructions", {"cards": [uid], "cause": "locked"}), 201)
    sqlite_world.approve("destructions", made["id"], "penyetuju1")
    path = f"/pemusnahan/{made['id']}"
    holder = sqlite_world.client("magetan.kepala")
    done(holder.send(f"/destructions/{made['id']}/record", record(sqlite_world), part="record", photos=[photo()[:2]]))
    operator = Visitor(sqlite_world, "operator1")
    assert f'action="{path}/verifikasi"' not in operator.get(path).get_data(as_text=True)
    assert operator.send(f"{path}/verifikasi").status_code == 403
    assert f'action="{path}/verifikasi"' in Visitor(sqlite_world, "operator2").get(path).get_data(as_text=True)


def test_a_withdrawn_proposal_is_found_in_the_list(sqlite_world: World) -> None:
    uid = next(uid for uid in iter(lambda: locked(sqlite_world), None) if "BA" not in uid)  # `BA-` below would find its UID
    made: dict[str, Any] = done(sqlite_world.client("magetan.kepala").post("/destructions", {"cards": [uid], "cause": "locked"}), 201)
    path, page = f"/pemusnahan/{made['id']}", Visitor(sqlite_world, "magetan.staf")
    assert Visitor(sqlite_world, "jatim.kepala").send(f"{path}/batal", note="bukan kami").status_code == 404
    landed(page.send(f"{path}/batal", note="salah kartu"))
    for query in ({"state": "cancelled"}, {"text": uid_pairs(uid)[3:14]}, {"cause": "locked"}):
        assert path in page.get("/pemusnahan", **query).get_data(as_text=True), query
    assert path not in page.get("/pemusnahan", state="proposed").get_data(as_text=True)
    assert path not in page.get("/pemusnahan", text="BA-").get_data(as_text=True)
    assert "Terkunci" in page.get("/pemusnahan", unduh="csv").get_data(as_text=True)


def test_pages_of_destructions_need_few_statements(sqlite_world: World) -> None:
    found = approved(sqlite_world, locked(sqlite_world))
    approved(sqlite_world, locked(sqlite_world))
    page = Visitor(sqlite_world, "magetan.kepala")
    with sqlite_world.app.app_context():
        engine = db.engine
    for path, most in (("/pemusnahan", 8), (f"/pemusnahan/{found}", 14 + 2), (f"/pemusnahan/{found}/rekam", 14), ("/pemusnahan/usul", 5)):
        with counted(engine) as count:
            page.text(path)
        assert len(count.statements) <= most, (path, len(count.statements), count.statements)


def test_the_form_of_a_record_knows_the_place_the_moment_and_the_people_of_earlier_papers(world: World) -> None:
    office, earlier = world.client("magetan.kepala"), approved(world, locked(world))
    done(office.send(f"/destructions/{earlier}/record", record(world), "record", photos=[photo()[:2]]))
    path, holder = f"/pemusnahan/{approved(world, locked(world))}/rekam", Visitor(world, "magetan.kepala")
    page = holder.get(path)
    assert "Kabupaten Magetan" in value_of(page, "place")
    assert value_of(page, "executed_at").startswith(world.clock.now().astimezone(WIB).strftime("%Y-%m-%dT%H:%M"))
    people = {"official.known": OFFICIAL} | {f"witnesses.{number}.known": one for number, one in enumerate(WITNESSES)}
    assert all(f'value="{one["id_kind"]}:{one["id_number"]}"' in page.get_data(as_text=True) for one in people.values())
    chosen = {name: f"{one['id_kind']}:{one['id_number']}" for name, one in people.items()}
    sent = {"place": value_of(page, "place"), "executed_at": value_of(page, "executed_at"), "method": "dipotong"} | chosen
    assert holder.send(path, **sent | {"official.known": "nip:1"}, photos=pictures()).status_code == 422
    assert goes_to(holder.send(path, **sent, photos=pictures())) == path.removesuffix("/rekam")
    assert world.sql("SELECT COUNT(DISTINCT official_id_number), COUNT(DISTINCT id_number) FROM destruction JOIN destruction_witness"
                     " ON destruction_id = destruction.id")[0] == (1, 2)  # fmt: skip


def test_people_of_other_organisations_papers_are_not_offered(sqlite_world: World) -> None:
    world, earlier = sqlite_world, approved(sqlite_world, locked(sqlite_world))
    done(world.client("magetan.kepala").send(f"/destructions/{earlier}/record", record(world), "record", photos=[photo()[:2]]))
    uid = world.received("bangli.kepala")[0]
    done(world.client("bangli.kepala").post(f"/cards/{uid}/reports", {"condition": "locked", "note": "terkunci"}))
    made = done(world.client("bangli.kepala").post("/destructions", {"cards": [uid], "cause": "locked"}), 201)["id"]
    world.approve("destructions", made, "penyetuju1")
    page = Visitor(world, "bangli.kepala").get(f"/pemusnahan/{made}/rekam").get_data(as_text=True)
    assert OFFICIAL["id_number"] not in page
    assert WITNESSES[0]["name"] not in page
