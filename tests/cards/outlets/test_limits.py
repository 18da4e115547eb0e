"""An account that is limited to outlets sees, and acts on, the units and cards there alone, by every route."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from sifilma.documents.indonesian import uid_pairs
from sifilma.web.operations import policy_of
from tests.access.routes import STEMS
from tests.cards.outlets.test_service import BRANCH, FOREIGN, HEAD, SECOND, STAFF, registered, unit_of
from tests.support.fsck_findings import fsck_findings
from tests.support.visitor import Visitor, english, goes_to
from tests.support.world import BANGLI_PLACE, Ready, World, done, letter

SAME = ("activation", "activation_request", "handover", "job", "manifest", "outlet", "personalisation_request", "place_suspension", "unit")
KINDS = {name: name for name in SAME} | {"user": "user_account"}
"""The tables of the kinds of objects that stand in paths (`STEMS`)."""
LETTERS = """
    SELECT c.uid, r.letter_number FROM activation_request r JOIN activation_request_card n ON n.activation_request_id = r.id
    JOIN card c ON c.id = n.card_id WHERE r.kind = 'relocation'
"""


def limited(world: World) -> tuple[Ready, dict[str, Any], dict[str, Any]]:
    """Make two cards with open tokens, one in a unit at an outlet, one at another, and limit the staff to the first. Return the outlets."""
    head = world.client(HEAD)
    here, there = registered(head), registered(head, **SECOND)
    ready, _ = world.active(HEAD, "R", 2)
    for uid, outlet in zip(ready.uids, (here, there), strict=True):
        done(head.post(f"/units/{unit_of(head, ready.hardware[uid])['id']}/move", {"outlet": outlet["id"]}))
    asked = {uid: world.tokens(HEAD, [uid], "relocation", "R") for uid in ready.uids}
    assert limit(world, here)["outlets"] == [here["id"]]
    tokens = {uid: tokens[uid] for uid, (_, tokens) in asked.items()}
    return Ready(ready.uids, tokens, ready.hardware, asked[ready.uids[1]][0]), here, there


def limit(world: World, *outlets: dict[str, Any], status: int = 200) -> Any:
    path = f"/users/{world.users[STAFF]}/outlets"
    return done(world.client(HEAD).call("PUT", path, json={"outlets": [one["id"] for one in outlets]}), status)


def paths(world: World) -> Iterator[tuple[str, str]]:
    """Yield every GET path, with every object of its kind, and the id that stands in it ("" for none)."""
    rows = {kind: world.sql(f"SELECT id FROM {table}") for kind, table in KINDS.items()}
    ids = {kind: [str(UUID(str(row[0]))) for row in found] for kind, found in rows.items()}
    ids["card"] = [str(row[0]) for row in world.sql("SELECT uid FROM card")]
    for rule in world.app.url_map.iter_rules():
        policy = policy_of(world.app.view_functions[rule.endpoint])
        if "GET" not in (rule.methods or ()) or policy is None or policy.operation == "public":
            continue
        stem, _, rest = rule.rule.partition("<")
        kind = STEMS.get(stem)
        if not rest:
            yield rule.rule, ""
        elif kind in ids and "<" not in rest:
            yield from ((f"{stem}{key}{rest.partition('>')[2]}", key) for key in ids[kind])


def test_no_page_list_or_export_shows_what_is_elsewhere(world: World) -> None:
    ready, here, there = limited(world)
    mine, other = ready.uids
    staff, head = english(world, STAFF), world.client(HEAD)
    units = {uid: unit_of(head, ready.hardware[uid])["id"] for uid in ready.uids}
    numbers = dict(world.sql(LETTERS))
    marks = [other, uid_pairs(other), ready.hardware[other], units[other], numbers[other], ready.request]
    marks += [SECOND["name"], SECOND["address"], there["id"]]
    lists, found = "", set()
    for path, key in paths(world):
        for query in ("", "?unduh=csv") if key == "" and not path.startswith("/api/") else ("",):
            answer = staff.get(path + query)
            text = answer.get_data().decode(errors="replace").replace(path, "")
            assert answer.status_code < 500, path
            assert [mark for mark in marks if mark in text] == [], path
            lists += text if key == "" else ""
            found |= {key} if key and answer.status_code == 200 else set()
    assert [text for text in (mine, ready.hardware[mine], here["name"], numbers[mine]) if text not in lists] == []
    assert {mine, units[mine], here["id"]} <= found
    assert not {other, units[other], there["id"], ready.request} & found


def test_no_act_reaches_what_is_elsewhere_and_those_at_the_outlet_work(world: World) -> None:
    ready, here, there = limited(world)
    mine, other = ready.uids
    staff, head = world.client(STAFF), world.client(HEAD)
    units = {uid: unit_of(head, ready.hardware[uid])["id"] for uid in ready.uids}
    body = {uid: world.activation(ready, uid) for uid in ready.uids}
    assert staff.post("/activations", body[other]).status_code == 404
    swapped = staff.post("/activations", body[mine] | {"hardware_number": ready.hardware[other]})
    assert swapped.json["errors"][0]["field"] == "hardware_number"
    assert staff.post(f"/units/{units[other]}/break", {"reason": "jatuh"}).status_code == 404
    assert staff.post(f"/cards/{other}/reports", {"condition": "damaged", "note": "patah"}).status_code == 404
    new = {"hardware_number": "HW-9", "model": "LEN-CRD-1", "function": "R"}
    for path, what in (("/units", new), ("/outlets", BRANCH | {"name": "KC Lain"}), (f"/outlets/{here['id']}/close", {"reason": "pindah"})):
        assert staff.post(path, what).status_code == 403
    assert staff.post(f"/units/{units[mine]}/move", {"outlet": None}).status_code == 403
    asked = [one["id"] for one in done(staff.get("/activation-requests"))["items"]]
    every = [one["id"] for one in done(head.get("/activation-requests"))["items"]]
    assert len(asked) == 1
    assert [staff.post(f"/activation-requests/{one}/cancel", {"note": "batal"}).status_code for one in set(every) - set(asked)] == [404] * 2
    page = Visitor(world, STAFF)
    shown = page.get("/aktivasi/kartu", uid=mine).get_data(as_text=True)
    assert [text for text in (here["address"], mine) if text not in shown] == []
    done(staff.post("/activations", body[mine]), 201)
    stated = {uid: world.letter() | {"kind": "relocation", "machines": 1, "cards": [uid]} for uid in ready.uids}
    assert staff.send("/activation-requests", stated[other], letter=letter()).status_code == 422
    drafted = done(staff.send("/activation-requests", stated[mine], letter=letter()), 201)
    assert done(staff.post(f"/activation-requests/{drafted['id']}/submit"))["state"] == "submitted"
    done(staff.post(f"/units/{units[mine]}/break", {"reason": "jatuh"}))
    done(staff.post(f"/cards/{mine}/reports", {"condition": "damaged", "note": "patah"}))
    limit(world, here, there)
    assert len(done(world.client(STAFF).get("/units"))["items"]) == 2
    assert fsck_findings(world) == []


def test_a_limit_is_authority_sealed_with_the_account_and_a_heads_act(world: World) -> None:
    head = world.client(HEAD)
    at, foreign = registered(head), registered(world.client(FOREIGN), **BANGLI_PLACE)
    old = world.client(STAFF)
    path = f"/users/{world.users[STAFF]}/outlets"
    assert head.call("PUT", path, json={"outlets": [foreign["id"]]}).status_code == 422
    assert head.call("PUT", f"/users/{world.users[HEAD]}/outlets", json={"outlets": [at["id"]]}).status_code == 403
    assert head.call("PUT", f"/users/{world.users[FOREIGN]}/outlets", json={"outlets": [at["id"]]}).status_code == 404
    assert old.call("PUT", path, json={"outlets": []}).status_code == 403
    visitor = Visitor(world, HEAD)
    assert goes_to(visitor.send(f"/gerai/pengguna/{world.users[STAFF]}", outlets=[at["id"]])) == f"/pengguna/{world.users[STAFF]}"
    assert old.get("/units").status_code == 401  # its session ended
    staff = world.client(STAFF)
    assert (done(staff.get("/units"))["items"], done(staff.get("/me"))["outlets"]) == ([], [at["id"]])
    assert "Dibatasi ke gerai" in Visitor(world, STAFF).text("/profil")
    with pytest.raises(IntegrityError, match="seal"):
        world.sql("UPDATE user_account SET outlets = NULL WHERE username = :name", name=STAFF)
    world.sql("UPDATE user_account SET outlets = NULL, seal = NULL WHERE username = :name", name=STAFF)
    assert staff.get("/units").status_code == 401  # the row counts no more, and nobody signs in with it
