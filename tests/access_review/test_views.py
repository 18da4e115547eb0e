"""Who may what, since when, last used: lists, filters, files and the API's answers."""

from __future__ import annotations

from sifilma.demo.facts import MANDIRI
from tests.accounts.test_deputies import deputy
from tests.support.visitor import english
from tests.support.world import World, done


def test_the_list_says_roles_since_when_until_when_and_the_last_sign_in(world: World) -> None:
    deputy(world)
    page = english(world, "auditor1").text("/akses", nama="operator1")
    assert "Approver 23 Nov 2026" in page
    assert "until 26 Nov 2026" in page
    [one] = [one for one in done(world.client("admin1").get("/access/accounts"))["items"] if one["username"] == "operator1"]
    assert {role["role"]: role["ends_at"] for role in one["roles"]} == {"approver": "2026-11-25T17:00:00Z", "operator": None}
    assert done(world.client("admin1").get("/access/accounts", role="approver"))["items"][0]["username"] == "operator1"
    world.clock.advance(days=3)
    assert "operator1" not in english(world, "auditor1").text("/akses", peran="approver")
    assert "Never" in english(world, "auditor1").text("/akses", nama="bpjs.kepala")


def test_a_head_sees_the_own_organisation_and_filters_and_an_empty_list_say_so(sqlite_world: World) -> None:
    world = sqlite_world
    head = english(world, "magetan.kepala")
    page = head.text("/akses")
    assert "Joko Contoh" in page
    assert "Komang Contoh" not in page
    assert "Nothing fits these filters." in head.text("/akses", nama="nobody")
    assert "Nothing fits these filters." in head.text("/akses", lama="1")
    assert "Nothing fits these filters." in head.text("/akses", state="?")
    told = english(world, "admin1").get("/akses", unduh="csv").get_data(as_text=True)
    assert told.count("\n") == len(world.users) + 1
    assert english(world, "magetan.staf").get("/akses").status_code == 403


def test_api_keys_stand_with_who_made_them(sqlite_world: World) -> None:
    world = sqlite_world
    done(world.client("mandiri.kepala").post("/api-keys", {"name": "mesin gudang"}), 201)
    world.machine(MANDIRI)
    page = english(world, "auditor1").text("/akses/kunci", state="active")
    assert "mesin gudang" in page
    assert "Oki Contoh" in page
    assert "a command" in page
    keys = done(world.client("mandiri.kepala").get("/access/api-keys"))["items"]
    assert [key["created_by"] for key in keys if key["name"] == "mesin gudang"] == ["Oki Contoh"]
    assert "Nothing fits these filters." in english(world, "auditor1").text("/akses/kunci", state="revoked")
