"""Every door takes a person's number, name, addresses and password in the same way: pages, API and commands."""

from __future__ import annotations

from typing import Any

import pyotp
import pytest

from sifilma.demo.facts import MAGETAN
from tests.accounts.test_people import seed_shown
from tests.support.visitor import english
from tests.support.world import PASSWORD, World, done

NEW = {"username": "magetan.baru", "name": "Umi Contoh", "id_kind": "employee", "id_number": "ab 12", "roles": ["staff"]}
SPACED = "  empat gajah naik sepeda "


def number_of(world: World, username: str) -> str:
    query = "SELECT p.id_number FROM person p JOIN user_account u ON u.person_id = p.id WHERE u.username = :name"
    return str(world.sql(query, name=username)[0][0])


def by_page(world: World, **values: Any) -> int:
    return english(world, "magetan.kepala").send("/pengguna/baru", **values).status_code


def by_api(world: World, **values: Any) -> int:
    return world.client("magetan.kepala").post("/users", values).status_code


def by_command(world: World, **values: Any) -> int:
    options = [
        "--username",
        values["username"],
        "--name",
        values["name"],
        "--id-kind",
        values["id_kind"],
        "--id-number",
        values["id_number"],
    ]
    ran = world.app.test_cli_runner().invoke(args=["users", "invite", *options, "--role", values["roles"][0], "--organisation", MAGETAN])
    return 201 if ran.exit_code == 0 else 422


DOORS = pytest.mark.parametrize("door", [by_page, by_api, by_command])


@DOORS
def test_every_door_keeps_the_same_spelling_of_a_number(sqlite_world: World, door: Any) -> None:
    assert door(sqlite_world, **NEW) == 201
    assert number_of(sqlite_world, "magetan.baru") == "AB12"


@DOORS
@pytest.mark.parametrize("wrong", [{"id_number": "3520010101900001"}, {"name": "\u3164\u3164\u3164"}, {"username": "a b"}])
def test_every_door_refuses_a_nik_an_invisible_name_and_a_bad_user_name(sqlite_world: World, door: Any, wrong: dict[str, str]) -> None:
    before = sqlite_world.sql("SELECT COUNT(*) FROM user_account")
    assert door(sqlite_world, **NEW | wrong) == 422
    assert sqlite_world.sql("SELECT COUNT(*) FROM user_account") == before


def test_one_number_in_two_spellings_is_one_person(world: World) -> None:
    assert by_api(world, **NEW | {"id_number": "AB12"}) == 201
    assert by_api(world, **NEW | {"username": "magetan.lain", "id_number": " ab\u00a012 "}) == 201
    assert world.sql("SELECT COUNT(*), COUNT(DISTINCT claims) FROM person WHERE id_number = 'AB12'") == [(2, 1)]


def test_a_password_set_over_the_api_is_the_one_typed_on_the_page_spaces_included(sqlite_world: World) -> None:
    world = sqlite_world
    link = done(world.client("magetan.kepala").post("/users", NEW), 201)["invitation"]
    secret = link.rpartition("/")[2]
    visitor = world.app.test_client()
    code = pyotp.TOTP(seed_shown(visitor.get(f"/undangan/{secret}"))).at(int(world.clock.now().timestamp()))
    enrolled = visitor.post("/api/v1/invitations/enrol", json={"invitation": secret, "password": SPACED, "code": code})
    assert enrolled.status_code == 204
    for password, status in ((SPACED.strip(), 401), (SPACED, 200)):
        assert visitor.post("/api/v1/session", json={"username": "Magetan.Baru", "password": password}).status_code == status
    page = world.app.test_client()
    page.get("/masuk")
    assert page.post("/masuk", data={"username": "magetan.baru", "password": SPACED}).status_code == 303


def test_a_user_name_signs_in_however_its_letters_are_spelled(sqlite_world: World) -> None:
    typed = "\uff2dagetan.STAF\u00a0"  # a full-width M, as some keyboards type it, and a space that was pasted
    assert sqlite_world.anonymous().post("/session", {"username": typed, "password": PASSWORD}).status_code == 200
    assert sqlite_world.app.test_client().post("/masuk", data={"username": typed, "password": PASSWORD}).status_code == 303
