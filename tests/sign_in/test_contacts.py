"""Each account has addresses of its own, which its person changes; two accounts of a person cannot combine incompatible capabilities."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID

import pyotp
import pytest

from sifilma.accounts import consents, enrolments, proposals, service
from sifilma.kernel.actor import Actor, Role
from sifilma.kernel.errors import Conflict
from sifilma.notifications.delivery import deliver
from tests.accounts.known_people import asked, claimed_account, further_account, take_up
from tests.notifications import receivers
from tests.support.visitor import english, landed, one_id
from tests.support.world import PASSWORD, World, done

NIP = "199505052020032015"
UMI = {"name": "Umi Contoh", "username": "magetan.umi", "id_kind": "nip", "id_number": NIP, "roles": ["staff"]}


def mail_on(world: World) -> None:
    """Enable mail, also for codes."""
    world.configure(smtp_host="127.0.0.1", smtp_security="none", code_channels=("email",))


def mailed(world: World) -> list[tuple[str, str]]:
    """Deliver to a real mail server; return receivers and texts."""
    with receivers.mail_server() as server:
        deliver(world.context, world.settings.model_copy(update={"smtp_port": server.port}))
    return [(str(message["To"]), message.get_payload(decode=True).decode()) for _, message in server.items]


def contact(world: World, username: str) -> tuple[str, str]:
    [row] = world.sql("SELECT email, phone FROM user_account WHERE username = :name", name=username)
    return row[0], row[1]


def test_each_account_of_a_person_has_addresses_of_its_own(world: World) -> None:
    done(world.client("magetan.kepala").post("/users", UMI | {"email": "umi@magetan.example"}), 201)
    second = UMI | {"username": "bangli.umi", "name": "U. Contoh", "email": "umi@bangli.example", "phone": "+6281234567"}
    done(world.client("bangli.kepala").post("/users", second), 201)
    assert contact(world, "magetan.umi") == ("umi@magetan.example", "")
    assert contact(world, "bangli.umi") == ("umi@bangli.example", "+6281234567")


def test_a_changed_address_is_announced_to_the_former_one(world: World) -> None:
    mail_on(world)
    world.change_account("magetan.kepala", email="lama@contoh.example")
    me = english(world, "magetan.kepala")
    assert 'value="lama@contoh.example"' in me.get("/profil").get_data(as_text=True)
    typed = {"email": "baru@contoh.example", "phone": "+6281234567"}
    assert landed(me.send("/profil/alamat", **typed)) == "/profil?selesai=contact"
    assert contact(world, "magetan.kepala") == ("baru@contoh.example", "+6281234567")
    [(to, text)] = mailed(world)
    assert to == "lama@contoh.example"
    assert "telah diubah" in text
    assert "baru@contoh.example" not in text
    [_the_world_s, entry] = world.sql("SELECT object_kind, data FROM audit_entry WHERE action = 'user.contact' ORDER BY id")
    assert entry[0] == "user"
    assert "contoh.example" not in str(entry[1])
    assert me.send("/profil/alamat", **typed).status_code == 409  # the same addresses change nothing


@pytest.mark.parametrize("typed", [{"email": "bukan alamat"}, {"phone": "nol delapan"}])
def test_a_malformed_address_is_refused_and_the_input_is_kept(sqlite_world: World, typed: dict[str, str]) -> None:
    answer = english(sqlite_world, "magetan.kepala").send("/profil/alamat", **{"email": "", "phone": ""} | typed)
    assert answer.status_code == 422
    assert f'value="{next(iter(typed.values()))}"' in answer.get_data(as_text=True)


def test_a_change_of_addresses_needs_a_fresh_code(sqlite_world: World) -> None:
    stale = english(sqlite_world, "magetan.kepala", fresh=False)
    assert stale.send("/profil/alamat", email="baru@contoh.example", phone="").status_code == 403
    assert contact(sqlite_world, "magetan.kepala") == ("", "")


def admin(world: World) -> Actor:
    person = UUID(one_id(world, "SELECT person_id FROM user_account WHERE username = 'admin1'"))
    return Actor(user_id=world.users["admin1"], person_id=person, organisation_id=world.organisation_of("admin1"), username="admin1")


def accepted(world: World, of: str, username: str, role: Role) -> str:
    """Have the person of an account accept a further one in the directorate, not taken up yet. Return the secret of their link."""
    claimed_account(world, of, username, "admin1", role)
    question = asked(world, username)
    with world.acting(of) as ctx:
        return consents.answer(ctx, world.settings, question, accept=True)[1] or ""


def test_two_simultaneous_accounts_of_a_person_cannot_get_incompatible_capabilities(postgresql_world: World) -> None:
    world, outcome = postgresql_world, []
    secret = accepted(world, "operator1", "op.penyetuju", Role.APPROVER)
    first = accepted(world, "operator1", "op.admin", Role.USER_ADMIN)

    def second() -> None:
        try:
            take_up(world, "op.penyetuju", secret)
            outcome.append("made")
        except Conflict as refused:
            outcome.append(refused.type)

    with world.context() as ctx:
        view = enrolments.look(ctx, world.settings, first)
        enrolments.enrol(ctx, world.settings, first, view.browser, PASSWORD, pyotp.TOTP(view.seed).at(ctx.now))
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=1)  # it waits for the end of this transaction
    thread.join(timeout=30)
    assert outcome == ["capabilities"]
    assert world.sql("SELECT state FROM user_account WHERE username = 'op.penyetuju'") == [("invited",)]


@pytest.mark.parametrize(
    ("state", "change", "roles"),
    [
        ("active", "enable", frozenset()),
        ("disabled", "disable", frozenset()),
        ("active", "roles", frozenset({Role.USER_ADMIN, Role.APPROVER})),
        ("active", "roles", frozenset({Role.AUDITOR, Role.OPERATOR})),
    ],
)
def test_a_proposal_that_could_not_be_executed_is_refused(sqlite_world: World, state: str, change: str, roles: Any) -> None:
    world = sqlite_world
    world.change_account("operator1", state=state)
    with world.context(admin(world)) as ctx, pytest.raises(Conflict):
        proposals.propose_change(ctx, service.get_user(ctx, world.users["operator1"]), change, roles)


def test_an_account_is_not_enabled_beside_an_incompatible_one(sqlite_world: World) -> None:
    world = sqlite_world
    former = further_account(world, "operator1", "op.admin", "admin1", Role.USER_ADMIN)
    with world.context(admin(world)) as ctx:
        service.set_disabled(ctx, service.get_user(ctx, former), True)
    further_account(world, "operator1", "op.penyetuju", "admin1", Role.APPROVER)
    with world.context(admin(world)) as ctx, pytest.raises(Conflict, match="never meet"):
        service.set_disabled(ctx, service.get_user(ctx, former), False)
