"""Outlets of an organisation: registered and changed by it alone, units stand at them, and activations begin with their place."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from sifilma.documents.tables.writing import write_csv
from tests.activation.bulk.sheets import send, sent, worked
from tests.support.fsck_findings import fsck_findings
from tests.support.visitor import Visitor, english, goes_to, landed, value_of
from tests.support.world import BANGLI_PLACE, MAGETAN_PLACE, Client, Ready, World, done

HEAD, STAFF, FOREIGN = "magetan.kepala", "magetan.staf", "bangli.kepala"
BRANCH = MAGETAN_PLACE | {"name": "KC Magetan", "branch_code": "kc 01", "address": "Jalan Pahlawan 1"}
SECOND = BRANCH | {"name": "KCP Maospati", "branch_code": "KC02", "address": "Jalan Raya 2"}


def registered(client: Client, **more: Any) -> dict[str, Any]:
    return dict(done(client.post("/outlets", BRANCH | more), 201))


def wrong(answer: Any) -> dict[str, str]:
    assert answer.status_code == 422, answer.json
    return {error["field"]: error["message"] for error in answer.json["errors"]}


def unit_of(client: Client, number: str) -> dict[str, Any]:
    return dict(done(client.get("/units", hardware_number=number))["items"][0])


def test_an_outlet_is_registered_found_and_changed_by_its_organisation_alone(world: World) -> None:
    client, foreign = world.client(HEAD), world.client(FOREIGN)
    there = {"contact_name": "Satria Contoh", "contact_phone": "0812 3456 7890", "contact_email": "cabang@contoh.go.id"}
    made = registered(client, **there)
    assert (made["branch_code"], made["contact_phone"], made["units"]) == ("KC01", "+6281234567890", 0)
    nearest = registered(client, **SECOND | {"region_code": ""})
    assert nearest["region_code"].startswith("35.20.")
    for text, count in (("kc 01", 1), ("maospati", 1), ("Jalan", 2), ("bangli", 0)):
        assert len(done(client.get("/outlets", q=text))["items"]) == count, text
    path = f"/outlets/{made['id']}"
    changed = done(client.call("PUT", path, json=BRANCH | {"address": "Jalan Baru 3"}))
    assert (changed["address"], changed["contact_name"]) == ("Jalan Baru 3", "")
    assert done(client.call("PUT", path, json=BRANCH | {"address": "Jalan Baru 3"})) == changed
    acts = [row[0] for row in world.sql("SELECT action FROM audit_entry WHERE object_kind = 'outlet' ORDER BY id")]
    assert acts == ["outlet.register", "outlet.register", "outlet.change"]  # nothing differed the second time
    assert (foreign.get(path).status_code, foreign.call("PUT", path, json=BRANCH).status_code) == (404, 404)
    assert done(foreign.get("/outlets"))["items"] == []
    assert [done(world.client(who).get(path))["id"] for who in ("operator1", "jatim.kepala")] == [made["id"]] * 2
    assert world.client("operator1").post("/outlets", BRANCH).status_code == 403
    with pytest.raises(IntegrityError, match="by an act only"):
        world.sql("UPDATE outlet SET address = 'lain'")
    assert fsck_findings(world) == []


def test_what_is_wrong_with_an_outlet_is_told_by_field(world: World) -> None:
    client = world.client(HEAD)
    registered(client)
    taken = wrong(client.post("/outlets", BRANCH | {"region_code": "35.20.06", "contact_email": ""}))
    assert set(taken) == {"name", "branch_code", "region_code"}
    assert set(wrong(client.post("/outlets", SECOND | {"latitude": 0, "longitude": 0}))) == {"latitude"}
    assert set(wrong(client.post("/outlets", SECOND | {"contact_phone": "12"}))) == {"contact_phone"}
    done(world.client(FOREIGN).post("/outlets", BRANCH | BANGLI_PLACE), 201)  # another organisation may call its own so too
    assert world.sql("SELECT COUNT(*) FROM outlet") == [(2,)]


def test_units_stand_at_outlets_from_their_registration_and_move_by_an_act(world: World) -> None:
    client = world.client(HEAD)
    first, second, other = registered(client), registered(client, **SECOND), registered(world.client(FOREIGN), **BANGLI_PLACE)
    new = {"hardware_number": "HW-1", "model": "LEN-CRD-1", "function": "R", "outlet": "kc01"}
    assert set(wrong(client.post("/units", new | {"outlet": "tidak ada"}))) == {"outlet"}
    unit = done(client.post("/units", new), 201)
    assert unit["outlet"] == {"id": first["id"], "name": "KC Magetan", "branch_code": "KC01"}
    table = write_csv(("hardware_number", "model", "outlet"), [("HW-2", "LEN-CRD-1", "KCP Maospati"), ("HW-3", "LEN-CRD-1", "")])
    assert landed(Visitor(world, HEAD).send("/unit/berkas", units=(io.BytesIO(table), "unit.csv"))).endswith("selesai=registered")
    assert unit_of(client, "HW-3")["outlet"] is None
    assert unit_of(client, "HW-2")["outlet"]["id"] == second["id"]
    path = f"/units/{unit['id']}/move"
    assert set(wrong(client.post(path, {"outlet": other["id"]}))) == {"outlet"}
    assert done(client.post(path, {"outlet": second["id"], "reason": "pindah loket"}))["outlet"]["name"] == "KCP Maospati"
    assert client.post(path, {"outlet": second["id"]}).json["type"].endswith("unit-there")
    assert world.client(FOREIGN).post(path, {"outlet": None}).status_code == 404
    assert [done(client.get(f"/outlets/{one['id']}"))["units"] for one in (first, second)] == [0, 2]
    with pytest.raises(IntegrityError, match="outlet of its own organisation"):
        world.sql("UPDATE unit SET outlet_id = (SELECT id FROM outlet WHERE address = 'Jalan Pahlawan 1' AND region_code LIKE '51.%')")
    page = english(world, STAFF)
    shown = page.text(f"/gerai/{second['id']}")
    assert [number for number in ("HW-1", "HW-2", "HW-3") if number in shown] == ["HW-1", "HW-2"]
    listed = page.text("/unit", outlet="maospati")
    assert [number for number in ("HW-1", "HW-2", "HW-3") if number in listed] == ["HW-1", "HW-2"]
    assert "KCP Maospati" in page.text(f"/unit/{unit['id']}")
    assert landed(page.send(f"/gerai/unit/{unit['id']}", outlet="", reason="dicabut")).endswith("selesai=unit_moved")
    assert unit_of(client, "HW-1")["outlet"] is None
    assert "Unit moved to another outlet" in english(world, "auditor1").text("/jejak")
    assert fsck_findings(world) == []


def test_an_activation_begins_with_the_place_of_the_outlet(world: World) -> None:
    client = world.client(HEAD)
    at = registered(client)
    active, _ = world.active(HEAD, "R", 2)
    here, elsewhere = active.uids
    _, tokens = world.tokens(HEAD, active.uids, "relocation", "R")
    ready = Ready(active.uids, tokens, active.hardware, "")
    done(client.post(f"/units/{unit_of(client, ready.hardware[here])['id']}/move", {"outlet": at["id"]}))
    office = english(world, HEAD)
    for page in (office.get("/aktivasi/kartu", uid=here), office.send("/aktivasi/kartu/isi", sam_uid=here, token=tokens[here])):
        assert "Jalan Pahlawan 1" in page.get_data(as_text=True)
        assert [value_of(page, name) for name in ("latitude", "longitude")] == ["-7.6536000", "111.3280000"]
    assert value_of(office.get("/aktivasi/kartu", uid=elsewhere), "latitude") == ""
    together = office.get("/aktivasi/satu-lokasi", gerai=at["id"]).get_data(as_text=True)
    assert [text in together for text in (here, elsewhere, "Jalan Pahlawan 1")] == [True, False, True]
    assert Visitor(world, FOREIGN).get("/aktivasi/satu-lokasi", gerai=at["id"]).status_code == 404
    moved = world.activation(ready, here, latitude=-7.6540, address="Loket 2")  # it may be another place all the same
    done(client.post("/activations", moved), 201)
    assert done(client.get("/activations"))["items"][0]["address"] == "Loket 2"
    card = {name: world.activation(ready, elsewhere)[name] for name in ("sam_uid", "token", "hardware_number")}
    both = world.activation(ready, elsewhere, outlet="KC01")
    for body in (both, card | {"outlet": "KC99"}, card | {"outlet": registered(world.client(FOREIGN), **BANGLI_PLACE)["id"]}):
        assert set(wrong(client.post("/activations", body))) == {"outlet"}
    assert set(wrong(client.post("/activations", card))) == {"latitude", "longitude", "source", "address", "region_code"}
    shut = registered(client, **SECOND)
    done(client.post(f"/outlets/{shut['id']}/close", {"reason": "pindah"}))
    assert "closed" in wrong(client.post("/activations", card | {"outlet": "KC02"}))["outlet"]
    assert done(client.post("/activations", card | {"outlet": "kc 01"}), 201)["place"] == "PASS"
    assert done(client.get("/activations"))["items"][0]["address"] == "Jalan Pahlawan 1"


def test_rows_of_a_file_take_their_place_from_an_outlet(sqlite_world: World) -> None:
    client = sqlite_world.client(HEAD)
    registered(client)
    ready = sqlite_world.ready(HEAD, "R", 3)
    names = ("sam_uid", "token", "hardware_number", "Kode cabang")
    rows = [(uid, ready.tokens[uid], ready.hardware[uid], code) for uid, code in zip(ready.uids, ("KC01", "KC99", ""), strict=True)]
    job = sent(client, write_csv(names, rows))
    worked(sqlite_world)
    errors = done(client.open("GET", done(client.get(f"/jobs/{job['id']}"))["errors_url"], headers=client.headers))["items"]
    assert [(error["row"], error["field"]) for error in errors] == [
        (3, "outlet"), *((4, name) for name in ("latitude", "longitude", "address", "region_code"))
    ]  # fmt: skip
    assert [one["address"] for one in done(client.get("/activations"))["items"]] == ["Jalan Pahlawan 1"]
    refused = send(client, write_csv(names[:3], [row[:3] for row in rows]))
    assert "latitude" in refused.get_data(as_text=True).lower()
    template = english(sqlite_world, HEAD).get("/aktivasi/berkas/templat.xlsx").get_data()
    with zipfile.ZipFile(io.BytesIO(template)) as book:
        text = "".join(book.read(name).decode() for name in book.namelist() if name.endswith(".xml"))
    assert [word for word in ("List of outlets", "KC01", "KC Magetan") if word not in text] == []


def test_a_closed_outlet_takes_no_unit_and_is_closed_without_working_units_only(world: World) -> None:
    client, office = world.client(HEAD), Visitor(world, HEAD)
    at, other = registered(client), registered(client, **SECOND)
    unit = done(client.post("/units", {"hardware_number": "HW-1", "model": "LEN-CRD-1", "function": "R", "outlet": "KC01"}), 201)
    path, reason = f"/outlets/{at['id']}", {"reason": "gedung dijual"}
    refused = client.post(f"{path}/close", reason)
    assert (refused.status_code, refused.json["type"].rpartition(":")[2], refused.json["units"]) == (409, "outlet-in-use", 1)
    assert "Working units that stand there: 1." in refused.json["detail"]
    act = "(SELECT id FROM audit_entry WHERE action = 'unit.register')"
    with pytest.raises(IntegrityError, match="while a working unit stands there"):
        world.sql(f"UPDATE outlet SET state = 'closed', revision = 2, act_id = {act} WHERE branch_code = 'KC01'")
    done(client.post(f"/units/{unit['id']}/break", {"reason": "jatuh"}))
    assert goes_to(office.send(f"/gerai/{at['id']}/tutup", **reason)) == f"/gerai/{at['id']}"
    closed = done(client.get(path))
    assert (closed["state"], closed["state_reason"]) == ("closed", "gedung dijual")
    assert [one["id"] for one in done(client.get("/outlets", state="closed"))["items"]] == [at["id"]]
    assert "gedung dijual" in office.text(f"/gerai/{at['id']}")
    assert [name in office.text("/gerai", state="open") for name in (at["name"], other["name"])] == [False, True]
    new = {"hardware_number": "HW-2", "model": "LEN-CRD-1", "function": "R"}
    assert set(wrong(client.post("/units", new | {"outlet": "KC01"}))) == {"outlet"}
    second = done(client.post("/units", new), 201)
    for answer in (
        client.post(f"/units/{second['id']}/move", {"outlet": at["id"]}),
        client.post(f"/units/{unit['id']}/repair", {"reason": "diperbaiki"}),
    ):
        assert answer.json["type"].endswith("outlet-closed"), answer.json
    with pytest.raises(IntegrityError, match="a closed outlet takes no unit"):
        world.sql("UPDATE unit SET outlet_id = (SELECT id FROM outlet WHERE state = 'closed') WHERE hardware_number = 'HW-2'")
    assert client.post(f"{path}/close", reason).status_code == 409
    assert world.client(FOREIGN).post(f"{path}/reopen", reason).status_code == 404
    assert goes_to(office.send(f"/gerai/{at['id']}/buka", reason="kembali")) == f"/gerai/{at['id']}"
    done(client.post(f"/units/{unit['id']}/repair", {"reason": "diperbaiki"}))
    steps = world.sql("SELECT to_state FROM history WHERE object_kind = 'outlet' ORDER BY id")
    assert [state for (state,) in steps] == ["open", "open", "closed", "open"]
    assert fsck_findings(world) == []


def test_an_outlet_is_registered_on_its_page_and_a_doubtful_position_is_asked_about(world: World) -> None:
    office = Visitor(world, HEAD)
    form = {"name": "KC Magetan", "branch_code": "01", "address": "Jalan Pahlawan 1", "pasted": "-7.6536, 111.3280"}
    key = goes_to(office.send("/gerai/baru", **form)).rpartition("/")[2]
    at = {"latitude": "−8,4543", "longitude": "115,3549", "region_code": "35.20.06.1014"}
    far = {"name": "KC Magetan", "address": "Jalan Pahlawan 1"} | at
    assert goes_to(office.insist(f"/gerai/{key}/ubah", **far)) == f"/gerai/{key}"
    assert office.send(f"/gerai/{key}/ubah", **far, revision="1").status_code == 409
    listed = office.text("/gerai", q="magetan")
    assert "KC Magetan" in listed
    assert "1 gerai" in listed
    assert office.get("/gerai", units="with").get_data(as_text=True).count("KC Magetan") == 0
    assert office.get("/gerai", unduh="csv").get_data(as_text=True).count("KC Magetan") == 1
    assert f"/gerai/{key}" in office.get("/cari", q="KC Magetan").get_data(as_text=True)
