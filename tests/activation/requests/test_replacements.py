"""A reader breaks: its card moves to another unit of the same function, with a new manifest, and the old one is broken."""

from __future__ import annotations

import io
import re
from collections import Counter
from functools import partial
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from tests.activation.conftest import verified
from tests.activation.requests.replacing import HEAD, approved, body_of, drafted
from tests.support.fsck_findings import fsck_findings
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.visitor import english, landed, one_id
from tests.support.world import Ready, World, done, letter


def condition(world: World, number: str) -> tuple[str, str]:
    found = done(world.client(HEAD).get("/units", hardware_number=number))["items"][0]
    return found["condition"], found["card"] or ""


def test_a_reader_breaks_and_is_replaced(world: World, fetch: Any) -> None:
    ready, answers = world.active(function="R")
    uid, client = ready.uids[0], world.client(HEAD)
    old, new = ready.hardware[uid], world.units(HEAD, 1, "LEN-CRD-1", "R")[0]
    moved = approved(world, (uid, new))
    shown = done(client.get(f"/activation-requests/{moved.request}"))
    assert shown["replacements"] == [{"sam_uid": uid, "former_hardware_number": old, "hardware_number": new, "reason": "terbakar"}]
    to_old = world.activation(Ready([uid], moved.tokens, {uid: old}, ""), uid)
    assert str(client.post("/activations", to_old).json["type"]).endswith("not-the-replacement")
    made = done(client.post("/activations", world.activation(moved, uid)), 201)
    assert verified(world, fetch(client, made["manifest"]["id"])).unit.hw == new
    assert done(client.get(f"/manifests/{answers[0]['manifest']['id']}"))["state"] == "superseded"
    assert (condition(world, old), condition(world, new)) == (("broken", ""), ("working", uid))
    other = world.units(HEAD, 1, "LEN-CRD-1", "R")[0]
    with pytest.raises(IntegrityError, match="by a replacement only"):
        world.sql("UPDATE card SET unit_id = (SELECT id FROM unit WHERE hardware_number = :other)", other=other)
    assert fsck_findings(world) == []


def test_a_machine_that_broke_before_its_card_was_activated_is_replaced(sqlite_world: World) -> None:
    world = sqlite_world
    ready = world.institution_ready()
    bank, uid = world.client("mandiri.kepala"), ready.uids[0]
    unit = done(bank.get("/units", hardware_number=ready.hardware[uid]))["items"][0]["id"]
    done(bank.post(f"/units/{unit}/break", {"reason": "rusak di jalan"}))
    done(bank.post(f"/activation-requests/{ready.request}/cancel", {"note": "mesin rusak"}))
    new = world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R")[0]
    moved = approved(world, (uid, new), who="mandiri.kepala")
    done(bank.post("/activations", world.activation(moved, uid)), 201)
    assert fsck_findings(world) == []


def test_every_row_that_cannot_move_is_named(world: World) -> None:
    ready, _ = world.active(function="R", count=2)
    client, free = world.client(HEAD), world.received(function="R")[0]
    (reader, broken), encoder = world.units(HEAD, 2, "LEN-CRD-1", "R"), world.units(HEAD, 1)[0]
    unit = done(client.get("/units", hardware_number=broken))["items"][0]["id"]
    done(client.post(f"/units/{unit}/break", {"reason": "mati"}))
    one, two = ready.uids
    for moves, field, told in (
        (((one, encoder),), "replacements.0.hardware_number", "for RW"),
        (((one, broken),), "replacements.0.hardware_number", "broken"),
        (((one, "TIDAK-ADA"),), "replacements.0.hardware_number", "no such machine"),
        (((one, ready.hardware[one]),), "replacements.0.hardware_number", "that the card is in"),
        (((one, ready.hardware[two]),), "replacements.0.hardware_number", "Another card"),
        (((one, reader), (two, reader)), "replacements.1.hardware_number", "1"),
        (((free, reader),), "replacements.0.sam_uid", "in no machine"),
    ):
        errors = drafted(client, body_of(world, *moves)).json["errors"]
        assert [error["field"] for error in errors] == [field], errors
        assert told in errors[0]["message"]
    done(drafted(client, body_of(world, (one, reader))), 201)
    assert "another open request" in drafted(client, body_of(world, (two, reader))).json["errors"][0]["message"]
    plain = world.letter() | {"kind": "relocation", "machines": 1, "cards": [two]}
    assert (
        drafted(client, plain | {"replacements": body_of(world, (two, reader))["replacements"]}).json["errors"][0]["field"]
        == "replacements"
    )
    assert drafted(client, plain | {"kind": "replacement"}).json["errors"][0]["field"] == "replacements"


def test_fifty_simultaneous_activations_of_a_replacement_move_the_card_once(world: World) -> None:
    ready, _ = world.active(function="R")
    uid, client = ready.uids[0], world.client(HEAD)
    moved = approved(world, (uid, world.units(HEAD, 1, "LEN-CRD-1", "R")[0]))
    answers = run_simultaneously([partial(client.post, "/activations", world.activation(moved, uid))] * 50)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}
    assert world.sql("SELECT COUNT(*) FROM history WHERE object_kind = 'unit' AND to_state = 'broken'") == [(1,)]
    assert fsck_findings(world) == []


def test_two_cards_cannot_take_the_same_new_machine(postgresql_world: World) -> None:
    """The second request was made while the first one's machine was free: whoever comes second is refused, and nothing of it stays."""
    world = postgresql_world
    ready, _ = world.active(function="R")
    uid, client, new = ready.uids[0], world.client(HEAD), world.units(HEAD, 1, "LEN-CRD-1", "R")[0]
    moved, other = approved(world, (uid, new)), world.ready(function="R")
    rival = world.activation(Ready(other.uids, other.tokens, {other.uids[0]: new}, ""), other.uids[0])
    answers = run_simultaneously([partial(client.post, "/activations", body) for body in (world.activation(moved, uid), rival)])
    assert sorted(answer.status_code for answer in answers) in ([201, 409], [201, 422])
    assert world.sql("SELECT COUNT(*) FROM card c JOIN unit u ON u.id = c.unit_id WHERE u.hardware_number = :new", new=new) == [(1,)]
    assert fsck_findings(world) == []


def test_the_replacement_is_asked_for_on_its_page(sqlite_world: World) -> None:
    world = sqlite_world
    ready, _ = world.active(function="R")
    uid, new = ready.uids[0], world.units(HEAD, 1, "LEN-CRD-1", "R")[0]
    visitor, old = english(world, HEAD), ready.hardware[uid]
    pages = [f"/unit/{one_id(world, 'SELECT id FROM unit WHERE hardware_number = :number', number=number)}" for number in (old, new)]
    assert f"Replace {old}" not in visitor.text(pages[1], selesai="registered")
    landed(visitor.send(f"{pages[0]}/rusak", reason="terjatuh dari meja"))
    assert 'href="/unit/daftar?model=LEN-CRD-1&amp;fungsi=R"' in visitor.get(pages[0]).get_data(as_text=True)
    [onward] = re.findall(r'href="(/aktivasi/baru[^"]+)"', visitor.get(pages[1], selesai="registered").get_data(as_text=True))
    page = visitor.get(onward.replace("&amp;", "&")).get_data(as_text=True)
    assert all(f'value="{value}"' in page for value in (uid, new, "terjatuh dari meja"))
    fields = world.letter() | {"kind": "replacement", "replacements.0.sam_uid": uid, "replacements.0.hardware_number": "TIDAK-ADA"}
    fields |= {"replacements.0.reason": "jatuh", "letter": letter_file()}
    wrong = visitor.send("/aktivasi/baru", **fields)
    assert 'id="e-replacements.0.hardware_number"' in wrong.get_data(as_text=True)
    landed(visitor.send("/aktivasi/baru", **fields | {"replacements.0.hardware_number": new, "letter": letter_file()}))
    [(request,)] = world.sql("SELECT activation_request_id FROM activation_request_card WHERE unit_id IS NOT NULL")
    shown = visitor.text(f"/aktivasi/{request[:8]}-{request[8:12]}-{request[12:16]}-{request[16:20]}-{request[20:]}")
    assert new in shown
    assert ready.hardware[uid] in shown


def letter_file() -> Any:
    return (io.BytesIO(letter()), "surat.pdf")
