"""The pages for people and API keys."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sifilma.identity.models import User
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.db import db
from tests.support.counting import counted
from tests.support.visitor import english, one_id, words
from tests.support.world import World

NEW = {"name": "Umi Contoh", "username": "magetan.baru", "id_kind": "nip", "id_number": "19950505 202003 2 015", "roles": ["staff"]}
LINK = re.compile(r"/undangan/([\w-]+)<")


def link_of(answer: Any) -> str:
    """Return the secret of the one-time link in an answer."""
    found = LINK.search(answer.get_data(as_text=True))
    assert found, answer.get_data(as_text=True)
    return found[1]


def state_of(world: World, username: str) -> str:
    return str(world.sql("SELECT state FROM user_account WHERE username = :name", name=username)[0][0])


def opens(world: World, secret: str) -> bool:
    """Tell whether an invitation link is still valid."""
    return bool(world.app.test_client().get(f"/undangan/{secret}").status_code == 200)


def test_the_link_of_an_invitation_is_shown_to_the_head_once(world: World) -> None:
    head = english(world, "magetan.kepala")
    answer = head.send("/pengguna/baru", **NEW)
    assert answer.status_code == 201
    assert opens(world, link_of(answer))
    page = head.get(f"/pengguna/{one_id(world, 'SELECT id FROM user_account WHERE username = :name', name='magetan.baru')}")
    assert not LINK.search(page.get_data(as_text=True))
    assert "•••• 2015" in words(page)
    assert "199505052020032015" not in words(page)


def test_an_invitation_sets_the_addresses_for_reminders(sqlite_world: World) -> None:
    head = english(sqlite_world, "magetan.kepala")
    wrong = head.send("/pengguna/baru", **NEW | {"email": "umi", "phone": "0812"})
    assert wrong.status_code == 422
    assert {name for name in ("email", "phone") if f'id="e-{name}"' in wrong.get_data(as_text=True)} == {"email", "phone"}
    assert head.send("/pengguna/baru", **NEW | {"email": "umi@magetan.test", "phone": "+6281200000001"}).status_code == 201
    kept = sqlite_world.sql("SELECT email, phone FROM user_account WHERE username = :name", name="magetan.baru")
    assert kept == [("umi@magetan.test", "+6281200000001")]


@pytest.mark.parametrize(
    ("kind", "number", "said"),
    [("nip", "3520010101900001", "A NIP has 18 digits"), ("nrp", "123", "An NRP has 8 digits"), ("employee", "a b?", "An employee number")],
)
def test_a_wrong_id_number_is_explained_and_the_input_is_kept(sqlite_world: World, kind: str, number: str, said: str) -> None:
    answer = english(sqlite_world, "magetan.kepala").send("/pengguna/baru", **NEW | {"id_kind": kind, "id_number": number})
    assert said in words(answer, 422)
    assert 'value="Umi Contoh"' in answer.get_data(as_text=True)


def test_a_stale_code_is_asked_for_again_and_the_input_is_kept(sqlite_world: World) -> None:
    answer = english(sqlite_world, "magetan.kepala", fresh=False).send("/pengguna/baru", **NEW)
    assert answer.status_code == 403
    assert 'value="magetan.baru"' in answer.get_data(as_text=True)


def test_staff_and_strangers_see_no_accounts(sqlite_world: World) -> None:
    assert english(sqlite_world, "magetan.staf").get("/pengguna").status_code == 403
    head = english(sqlite_world, "magetan.kepala")
    assert head.get(f"/pengguna/{sqlite_world.users['bangli.kepala']}").status_code == 404
    assert "Komang" not in head.text("/pengguna")
    assert head.send(f"/pengguna/{sqlite_world.users['bangli.kepala']}/ubah", change="disable").status_code == 404


def test_the_list_is_filtered_at_constant_cost(sqlite_world: World) -> None:
    admin = english(sqlite_world, "admin1")
    assert "Komang Contoh" in admin.text("/pengguna", organisasi="bangli")
    assert "Komang Contoh" not in admin.text("/pengguna", nama="joko")
    assert "Nothing fits these filters." in admin.text("/pengguna", state="disabled")
    with sqlite_world.app.app_context(), counted(db.engine) as found:
        admin.text("/pengguna")
    assert len(found.statements) <= 7, found.statements


def test_disabling_an_account_ends_its_sessions_and_links(world: World) -> None:
    head, path = english(world, "magetan.kepala"), f"/pengguna/{world.users['magetan.staf']}"
    staff = english(world, "magetan.staf")
    assert head.send(f"{path}/ubah", change="disable").status_code == 303
    assert (state_of(world, "magetan.staf"), staff.get("/profil").status_code) == ("disabled", 303)
    assert head.send(f"{path}/ubah", change="enable").status_code == 303
    assert state_of(world, "magetan.staf") == "active"
    secret = link_of(head.send("/pengguna/baru", **NEW))
    path = f"/pengguna/{one_id(world, 'SELECT id FROM user_account WHERE username = :name', name='magetan.baru')}"
    assert head.send(f"{path}/ubah", change="disable").status_code == 303
    assert (state_of(world, "magetan.baru"), opens(world, secret)) == ("disabled", False)
    assert head.send(f"{path}/undang-ulang").status_code == 409
    assert head.send(f"{path}/ubah", change="enable").status_code == 303
    assert state_of(world, "magetan.baru") == "invited"
    assert opens(world, link_of(head.send(f"{path}/undang-ulang")))


def test_a_new_link_ends_the_former_one(sqlite_world: World) -> None:
    head = english(sqlite_world, "magetan.kepala")
    first = link_of(head.send("/pengguna/baru", **NEW))
    user = one_id(sqlite_world, "SELECT id FROM user_account WHERE username = :name", name="magetan.baru")
    second = link_of(head.send(f"/pengguna/{user}/undang-ulang"))
    assert (opens(sqlite_world, first), opens(sqlite_world, second)) == (False, True)


def test_one_person_alone_cannot_give_an_active_user_a_new_link(sqlite_world: World) -> None:
    for who, whom, path in (("magetan.kepala", "magetan.staf", "undang-ulang"), ("admin1", "magetan.kepala", "pusat/undang-ulang")):
        answer = english(sqlite_world, who).send(f"/pengguna/{sqlite_world.users[whom]}/{path}")
        assert (answer.status_code, state_of(sqlite_world, whom)) == (409, "active")
    proposed = english(sqlite_world, "admin1").send(f"/pengguna/{sqlite_world.users['operator1']}/pusat/usulan", change="invite")
    assert proposed.status_code == 409


def test_a_change_of_ones_own_account_is_refused(sqlite_world: World) -> None:
    head, path = english(sqlite_world, "magetan.kepala"), f"/pengguna/{sqlite_world.users['magetan.kepala']}"
    assert "nobody changes their own" in head.text(path)
    for action, fields in (("ubah", {"change": "disable"}), ("ubah", {"change": "roles", "roles": ["staff"]}), ("undang-ulang", {})):
        assert head.send(f"{path}/{action}", **fields).status_code == 403
    assert state_of(sqlite_world, "magetan.kepala") == "active"


def test_changed_roles_count_at_once_and_are_in_the_history(sqlite_world: World) -> None:
    head, path = english(sqlite_world, "magetan.kepala"), f"/pengguna/{sqlite_world.users['magetan.staf']}"
    staff = english(sqlite_world, "magetan.staf")
    assert head.send(f"{path}/ubah", change="roles", roles=["head", "staff"]).status_code == 303
    assert staff.get("/profil").status_code == 303
    assert "Roles changed" in head.text(path)
    assert "Head, Staff" in head.text(path)


def test_one_administrator_proposes_a_central_account_and_another_executes_it(world: World) -> None:
    one, other = english(world, "admin1"), english(world, "admin2")
    target = f"/pengguna/{world.users['operator1']}"
    assert one.send(f"{target}/pusat/usulan", change="roles", roles=["operator", "approver"], note="Cuti").status_code == 303
    assert one.send(f"{target}/pusat/usulan", change="disable").status_code == 409  # one proposal at a time
    change = one_id(world, "SELECT id FROM user_change")
    assert "You proposed this" in one.text("/pengguna/usulan")
    assert one.send(f"/pengguna/usulan/{change}", decision="execute").status_code == 403
    assert "Cuti" in other.text("/pengguna/usulan")
    assert other.send(f"/pengguna/usulan/{change}", decision="execute").status_code == 303
    assert world.roles_of("operator1") == {"approver", "operator"}
    assert "No proposal waits." in other.text("/pengguna/usulan")


def test_the_link_of_a_central_person_is_shown_to_the_second_administrator(sqlite_world: World) -> None:
    one, other = english(sqlite_world, "admin1"), english(sqlite_world, "admin2")
    directorate = str(sqlite_world.organisation_of("admin1"))
    body = NEW | {"username": "operator9", "roles": ["operator"], "organisation": directorate}
    answer = one.send("/pengguna/pusat/baru", **body)
    assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (303, "/pengguna/usulan")
    change = one_id(sqlite_world, "SELECT id FROM user_change")
    executed = other.send(f"/pengguna/usulan/{change}", decision="execute")
    assert opens(sqlite_world, link_of(executed))


def test_an_administrator_invites_first_heads_and_renews_links_of_heads_only(sqlite_world: World) -> None:
    admin = english(sqlite_world, "admin1")
    assert "Every organisation has its head." in admin.text("/pengguna/baru")
    bangli = str(sqlite_world.organisation_of("bangli.kepala"))
    assert admin.send("/pengguna/pusat/baru", **NEW | {"roles": ["head"], "organisation": bangli}).status_code == 422
    staff = sqlite_world.users["magetan.staf"]
    assert admin.send(f"/pengguna/{staff}/pusat/undang-ulang").status_code == 404
    assert admin.send(f"/pengguna/{staff}/pusat/usulan", change="disable").status_code == 404
    with sqlite_world.context() as ctx:
        sqlite_world.add_organisation(ctx, OrganisationKind.REGENCY_OFFICE, "Dinas Baru", "35.21")
    new = str(sqlite_world.organisations["Dinas Baru"])
    first = link_of(admin.send("/pengguna/pusat/baru", **NEW | {"roles": ["head"], "organisation": new}))
    head = one_id(sqlite_world, "SELECT id FROM user_account WHERE username = :name", name="magetan.baru")
    second = link_of(admin.send(f"/pengguna/{head}/pusat/undang-ulang"))
    assert (opens(sqlite_world, first), opens(sqlite_world, second)) == (False, True)


def test_a_key_is_shown_once_and_refused_once_revoked(world: World) -> None:
    head = english(world, "magetan.kepala")
    answer = head.send("/kunci-api", name="Server aktivasi", scopes=["read", "activations"])
    key = re.search(r"sf_[\w-]{40,}", answer.get_data(as_text=True))
    assert answer.status_code == 201
    assert key
    machine = world.app.test_client(use_cookies=False)
    assert machine.get("/api/v1/units", headers={"Authorization": f"Bearer {key[0]}"}).status_code == 200
    listed = head.get("/kunci-api").get_data(as_text=True)
    assert "Server aktivasi" in listed
    assert key[0] not in listed
    key_id = one_id(world, "SELECT id FROM api_key WHERE name = 'Server aktivasi'")
    assert head.send(f"/kunci-api/{key_id}/cabut").status_code == 303
    assert machine.get("/api/v1/units", headers={"Authorization": f"Bearer {key[0]}"}).status_code == 401
    assert english(world, "magetan.staf").get("/kunci-api").status_code == 403
    assert english(world, "magetan.kepala", fresh=False).get("/kunci-api").status_code == 200  # reading needs no fresh code


def test_reminders_are_offered_where_there_is_an_address_and_a_missing_passkey_is_explained(sqlite_world: World) -> None:
    office = english(sqlite_world, "magetan.kepala")
    profile = office.get("/profil").get_data(as_text=True)
    assert re.findall(r'id="notices-(\w+)" (\w+)>', profile) == [("email", "disabled"), ("sms", "disabled")]
    assert "Passkeys work only under this installation" in profile  # where they do, tests/browser/test_passkeys.py presses the button
    sqlite_world.change(User, email=lambda user: f"{user.username}@contoh.example", notices="email")
    profile = office.get("/profil").get_data(as_text=True)
    assert re.findall(r'id="notices-(\w+)" (\w+)>', profile) == [("email", "checked"), ("sms", "disabled")]
