"""API keys: what each may be used for, until when, from where, and when it was used."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sifilma.accounts.api_keys import KeyTerms
from sifilma.demo.facts import MAGETAN
from sifilma.kernel.actor import KeyScope
from tests.support.visitor import english, landed
from tests.support.world import Client, World, done


def kind(answer: Any) -> tuple[int, str]:
    return answer.status_code, str(answer.json["type"]).rpartition(":")[2]


def from_address(machine: Client, address: str) -> Any:
    return machine.call("GET", "/units", environ_overrides={"REMOTE_ADDR": address})


def test_a_scope_that_a_key_lacks_is_named_and_recorded(world: World) -> None:
    uid = world.received()[0]
    reader = world.machine(MAGETAN, KeyTerms(frozenset({KeyScope.READ})))
    assert done(reader.get(f"/cards/{uid}"))["state"] == "received"
    refused = reader.post(f"/cards/{uid}/reports", {"condition": "lost", "note": "hilang"})
    assert kind(refused) == (403, "scope-missing")
    assert refused.json["scope"] == "reports"
    assert "reports" in refused.json["detail"]
    assert kind(reader.get("/api-keys")) == (403, "forbidden")  # no key may, whatever its scopes
    reporter = world.machine(MAGETAN, KeyTerms(frozenset({KeyScope.REPORTS})))
    assert reporter.get(f"/cards/{uid}").json["scope"] == "read"
    done(reporter.post(f"/cards/{uid}/reports", {"condition": "lost", "note": "hilang"}))
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'access.denied' AND api_key_id IS NOT NULL")[0][0] == 3


def test_a_key_is_refused_from_an_address_that_is_not_its_own(world: World) -> None:
    machine = world.machine(MAGETAN, KeyTerms(addresses=frozenset({"192.0.2.0/24", "2001:db8::/32"})))
    for address in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"):
        assert from_address(machine, address).status_code == 200
    for address in ("192.0.3.7", "2001:db9::1", "127.0.0.1", ""):
        assert kind(from_address(machine, address)) == (403, "address-not-allowed")
    (entry,) = world.sql("SELECT ip, api_key_id, data FROM audit_entry WHERE action = 'access.denied' AND ip = '192.0.3.7'")
    assert entry[1] is not None
    assert "address-not-allowed" in str(entry[2])
    used = world.sql("SELECT last_used_ip FROM api_key WHERE addresses <> ''")
    assert used[0][0] == "192.0.2.7"  # what was refused is no use, and within a minute only the first use is noted


def test_a_key_lasts_a_year_at_most_and_an_expired_one_is_told_so(world: World) -> None:
    head = world.client("magetan.kepala")
    assert head.post("/api-keys", {"name": "selamanya", "days": 366}).json["errors"][0]["field"] == "days"
    made = done(head.post("/api-keys", {"name": "sebulan", "days": 30}), 201)
    machine = Client(world, {"Authorization": f"Bearer {made['key']}"})
    assert machine.get("/units").status_code == 200
    world.clock.advance(days=30)
    assert kind(machine.get("/units")) == (401, "key-expired")
    listed = done(world.client("magetan.kepala").get("/api-keys"))["items"]
    assert [(key["name"], key["state"]) for key in listed] == [("sebulan", "expired")]
    assert world.client("magetan.kepala").post("/api-keys", {"name": "Server", "scopes": []}).status_code == 422  # not all of them
    changed = world.client("magetan.kepala").post(f"/api-keys/{made['id']}/terms", {"scopes": ["read"]})
    assert kind(changed) == (409, "key-ended")
    with pytest.raises(Exception, match=r"does not change|changes with its seal"):
        world.sql("UPDATE api_key SET expires_at = '2099-01-01 00:00:00'")


def test_the_last_use_is_written_at_most_once_a_minute(sqlite_world: World) -> None:
    machine = sqlite_world.machine(MAGETAN)
    for seconds, written in ((0, True), (30, False), (31, True)):
        before = sqlite_world.sql("SELECT last_used_at FROM api_key")[0][0]
        sqlite_world.clock.advance(seconds=seconds)
        machine.get("/units")
        assert (sqlite_world.sql("SELECT last_used_at FROM api_key")[0][0] != before) == written


def test_scopes_and_addresses_are_given_and_changed_on_the_page(world: World) -> None:
    head = english(world, "magetan.kepala")
    assert head.send("/kunci-api", name="Server", scopes=[]).status_code == 422
    assert head.send("/kunci-api", name="Server", scopes=["read"], addresses="10.0.0.1/8").status_code == 422
    assert "This is no address and no network" in head.seen
    assert head.send("/kunci-api", name="Server", scopes=["read"], addresses="10.0.0.0/8\n2001:DB8::7").status_code == 201
    listed = head.text("/kunci-api")
    assert "10.0.0.0/8" in listed
    assert "2001:db8::7/128" in listed
    (row,) = world.sql("SELECT id FROM api_key WHERE name = 'Server'")
    path = f"/kunci-api/{UUID(str(row[0]))}"
    assert 'value="read" checked' in head.get(path).get_data(as_text=True)
    assert english(world, "bangli.kepala").get(path).status_code == 404
    assert english(world, "magetan.kepala", fresh=False).send(f"{path}/ubah", scopes=["units"]).status_code == 403
    landed(head.send(f"{path}/ubah", scopes=["units"], addresses=""))
    assert [tuple(one) for one in world.sql("SELECT scopes, addresses FROM api_key WHERE name = 'Server'")] == [("units", "")]
    facts = [str(data) for (data,) in world.sql("SELECT data FROM audit_entry WHERE action LIKE 'api_key.%' ORDER BY id")]
    assert ["read" in facts[0], "10.0.0.0/8" in facts[0], "units" in facts[1]] == [True, True, True]
    bank = english(world, "mandiri.kepala")
    assert 'value="batches"' not in bank.get("/kunci-api").get_data(as_text=True)  # it opens nothing for an institution
    assert bank.send("/kunci-api", name="Server", scopes=["batches"]).status_code == 422
