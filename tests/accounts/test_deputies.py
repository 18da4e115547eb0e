"""A role until a day: two user administrators give it, it counts to its end and not a moment longer, whatever the worker does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.access_review.tasks import end_roles
from sifilma.identity.models import User
from sifilma.reports.reminders import remind
from sifilma.resources import resources
from tests.support.visitor import english, goes_to, one_id
from tests.support.world import World, done

END = datetime(2026, 11, 25, 17, tzinfo=UTC)
"""Midnight in Jakarta after the last day."""
BODY = {"role": "approver", "until": "2026-11-25", "basis": "Plh. selama cuti Budi, SK 1/2026"}


def proposed(world: World, who: str = "operator1", **changes: Any) -> Any:
    return world.client("admin1").post(f"/central-users/{world.users[who]}/deputy", BODY | changes)


def deputy(world: World, who: str = "operator1") -> None:
    """Let two administrators make an operator an approver until END."""
    change = done(proposed(world, who), 202)["id"]
    assert world.client("admin1").post(f"/user-changes/{change}/decision", {"decision": "execute"}).status_code == 403
    done(world.client("admin2").post(f"/user-changes/{change}/decision", {"decision": "execute"}))


def approved(world: World, client: Any) -> int:
    request = world.submitted(function="R")
    return int(client.post(f"/personalisation-requests/{request['id']}/approve", {"digest": request["digest"]}).status_code)


def test_a_temporary_role_counts_to_its_end_and_no_longer_also_before_the_worker_has_run(world: World) -> None:
    deputy(world)
    me = world.client("operator1").get("/me").json
    assert (me["roles"], me["roles_until"]) == (["approver", "operator"], {"approver": "2026-11-25T17:00:00Z"})
    assert approved(world, world.client("operator1")) == 200
    world.clock.set(END)
    assert approved(world, world.client("operator1")) == 403
    assert world.client("operator1").get("/me").json["roles"] == ["operator"]
    assert world.roles_of("operator1") == {"approver", "operator"}  # nothing is written down yet
    with world.context() as ctx:
        assert (end_roles(ctx), end_roles(ctx)) == (1, 0)
    assert world.roles_of("operator1") == {"operator"}
    [(data,)] = world.sql("SELECT data FROM audit_entry WHERE action = 'user.role_end'")
    assert "approver" in str(data)
    deputy_again = done(proposed(world, until="2026-11-27"), 202)
    done(world.client("admin2").post(f"/user-changes/{deputy_again['id']}/decision", {"decision": "execute"}))
    assert approved(world, world.client("operator1")) == 200


def test_the_database_refuses_the_approval_of_a_deputy_whose_time_is_over(world: World) -> None:
    request = world.submitted(function="R")
    deputy(world)
    sql = (
        "INSERT INTO personalisation_approval (id, personalisation_request_id, digest, note, at, person_id, user_id, act_id)"
        " SELECT :id, r.id, r.digest, '', :at, u.person_id, u.id, r.act_id FROM personalisation_request r, user_account u"
        " WHERE u.username = 'operator1' AND r.digest = :digest"
    )
    with pytest.raises(DBAPIError, match="only an approver approves"):
        world.sql(sql, id="1" * 32, at="2026-11-25 17:00:00.000001", digest=request["digest"])
    world.sql(sql, id="1" * 32, at="2026-11-25 16:59:00.000000", digest=request["digest"])


@pytest.mark.parametrize(
    ("who", "changes", "status"),
    [
        ("penyetuju1", {}, 409),  # has it
        ("admin2", {}, 409),  # never meet in one person
        ("auditor1", {"role": "operator"}, 409),
        ("magetan.kepala", {}, 404),
        ("operator1", {"role": "user_admin"}, 422),
        ("operator1", {"until": "2026-11-22"}, 422),
        ("operator1", {"until": "2027-11-25"}, 422),
        ("operator1", {"basis": " "}, 422),
    ],
)
def test_what_no_deputy_may_have_is_refused(sqlite_world: World, who: str, changes: dict[str, str], status: int) -> None:
    assert proposed(sqlite_world, who, **changes).status_code == status


def test_a_temporary_role_is_never_given_for_longer_and_ends_with_a_change_of_roles(sqlite_world: World) -> None:
    world = sqlite_world
    deputy(world)
    for change in ("ends_at = NULL", "ends_at = '2030-01-01 00:00:00.000000'"):
        with pytest.raises(DBAPIError, match="does not change"):
            world.sql(f"UPDATE user_role SET {change} WHERE role = 'approver' AND ends_at IS NOT NULL")
    path, body = f"/central-users/{world.users['operator1']}/changes", {"change": "roles", "roles": ["operator"]}
    change = done(world.client("admin1").post(path, body), 202)
    done(world.client("admin2").post(f"/user-changes/{change['id']}/decision", {"decision": "execute"}))
    assert world.roles_of("operator1") == {"operator"}


def test_the_pages_give_it_and_home_and_a_reminder_say_until_when(sqlite_world: World) -> None:
    world, page = sqlite_world, f"/pengguna/{sqlite_world.users['operator1']}"
    admin = english(world, "admin1")
    assert "Give a role until a day" in admin.text(page)
    assert admin.send(f"{page}/pusat/peran-sementara", role="approver", until="2026-11-20", basis="cuti").status_code == 422
    assert "from today on" in admin.seen
    sent = admin.send(f"{page}/pusat/peran-sementara", role="approver", until="2026-11-25", basis="Plh. selama cuti")
    assert goes_to(sent) == "/pengguna/usulan"
    second = english(world, "admin2")
    assert "Approver until" in second.text("/pengguna/usulan")
    change = one_id(world, "SELECT id FROM user_change")
    goes_to(second.send(f"/pengguna/usulan/{change}", decision="execute"))
    assert "A role of yours ends Approver" in english(world, "operator1").text("/")
    assert "Temporary role Approver until" in second.text(page)
    world.configure(smtp_host="127.0.0.1", smtp_security="none")
    world.change(User, email=lambda user: f"{user.username}@contoh.example")
    remind(world.context, world.settings, resources(world.app).site)
    world.clock.advance(days=1)
    assert remind(world.context, world.settings, resources(world.app).site) == 1
