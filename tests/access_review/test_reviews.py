"""Heads confirm their people: whom they may decide on, what an end entails, and what happens to accounts on which nobody decided."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.access_review import tasks
from sifilma.identity.models import User
from sifilma.reports.reminders import remind
from sifilma.resources import resources
from tests.support.visitor import english, goes_to
from tests.support.world import World, done

HALF_A_YEAR = 182


def opened(world: World) -> None:
    """Let half a year pass, and the worker open the reviews."""
    world.clock.advance(days=HALF_A_YEAR)
    with world.context() as ctx:
        assert tasks.open_reviews(ctx, world.settings) == 2  # of Magetan, which has staff, and of the directorate; other heads are alone
        assert tasks.open_reviews(ctx, world.settings) == 0


def review_of(world: World, who: str) -> Any:
    """The one review that this person sees of their own organisation, with its lines."""
    client, home = world.client(who), str(world.organisation_of(who))
    [review] = [one for one in done(client.get("/access-reviews"))["items"] if one["organisation_id"] == home]
    return review | {"lines": {one["username"]: one for one in done(client.get(f"/access-reviews/{review['id']}/lines"))["items"]}}


def decided(world: World, who: str, review: Any, **outcomes: str) -> Any:
    """Decide on accounts, by user name with `_` for the dot."""
    lines = {name.replace(".", "_"): one for name, one in review["lines"].items()}
    decisions = [{"line": lines[name]["id"], "outcome": what, "roles": lines[name]["roles"]} for name, what in outcomes.items()]
    return world.client(who).post(f"/access-reviews/{review['id']}/decisions", {"decisions": decisions})


def state(world: World, username: str) -> str:
    return str(world.sql("SELECT state FROM user_account WHERE username = :name", name=username)[0][0])


def test_a_head_confirms_or_ends_the_accounts_of_their_people_once(world: World) -> None:
    opened(world)
    review = review_of(world, "magetan.kepala")
    assert set(review["lines"]) == {"magetan.staf"}  # the only head cannot be confirmed by anybody of the office
    assert decided(world, "magetan.kepala", review | {"lines": {"magetan.staf": review["lines"]["magetan.staf"] | {"roles": ["head"]}}},
                   magetan_staf="confirmed").status_code == 409  # not what was seen  # fmt: skip
    twice = {"magetan.staf": review["lines"]["magetan.staf"], "twin": review["lines"]["magetan.staf"]}
    both = decided(world, "magetan.kepala", review | {"lines": twice}, magetan_staf="confirmed", twin="ended")
    assert (both.status_code, state(world, "magetan.staf")) == (422, "active")
    closed = done(decided(world, "magetan.kepala", review, magetan_staf="ended"))
    assert (closed["state"], closed["ended"], closed["waiting"]) == ("closed", 1, 0)
    assert state(world, "magetan.staf") == "disabled"
    assert decided(world, "magetan.kepala", review, magetan_staf="confirmed").status_code == 409
    line = review_of(world, "magetan.kepala")["lines"]["magetan.staf"]
    assert (line["outcome"], line["decided_by"], line["roles"]) == ("ended", "Indah Contoh", ["staff"])
    entry = "SELECT action FROM audit_entry WHERE action LIKE 'access_review.%' OR action = 'user.disable' ORDER BY id"
    assert [action for (action,) in world.sql(entry)][-2:] == ["access_review.decide", "user.disable"]


def test_user_administrators_confirm_each_other_and_nobody_themselves(world: World) -> None:
    opened(world)
    review = review_of(world, "admin1")
    own = decided(world, "admin1", review, admin1="confirmed")
    assert (own.status_code, own.json["type"]) == (403, "urn:sifilma:problem:four-eyes")
    others = {name: "confirmed" for name in review["lines"] if name not in ("admin1", "operator2")}
    done(decided(world, "admin1", review, **others, operator2="ended"))
    assert state(world, "operator2") == "active"  # its end is proposed: a second administrator executes it
    [change] = world.sql("SELECT change, reason FROM user_change WHERE state = 'proposed'")
    assert tuple(change) == ("disable", "access review")
    assert done(decided(world, "admin2", review, admin1="confirmed"))["state"] == "closed"
    with pytest.raises(DBAPIError, match="decided once"):
        world.sql("UPDATE access_review_line SET outcome = 'ended' WHERE outcome = 'confirmed'")
    assert decided(world, "admin1", review_of(world, "magetan.kepala"), magetan_staf="confirmed").status_code == 403


def test_the_database_refuses_who_confirms_themselves_and_a_review_closed_early(world: World) -> None:
    opened(world)
    own = "SELECT u.person_id FROM user_account u WHERE u.id = access_review_line.user_id"
    decided = f"outcome = 'confirmed', decided_at = :at, decided_by_person = ({own})"
    with pytest.raises(DBAPIError, match="nobody confirms themselves"):
        world.sql(
            f"UPDATE access_review_line SET {decided}, act_id = (SELECT id FROM audit_entry ORDER BY id LIMIT 1)",
            at="2027-05-24 00:00:00.000000",
        )
    with pytest.raises(DBAPIError, match="when each account is decided"):
        world.sql("UPDATE access_review SET closed_at = :at", at="2027-05-24 00:00:00.000000")


def test_what_nobody_decides_in_time_is_told_then_disabled_but_no_head_and_not_the_last_administrators(world: World) -> None:
    world.configure(smtp_host="127.0.0.1", smtp_security="none", dormant_days=0)
    world.change(User, email=lambda user: f"{user.username}@contoh.example")
    remind(world.context, world.settings, resources(world.app).site)
    opened(world)
    home = english(world, "magetan.kepala").text("/")
    assert "Confirm the accounts of your people" in home
    assert "Confirmation of accounts is late" not in english(world, "admin1").text("/")
    world.clock.advance(days=31)
    assert "Confirmation of accounts is late" in english(world, "admin1").text("/")
    assert "Nobody has confirmed your account yet" in english(world, "magetan.staf").text("/")
    world.clock.advance(days=28)
    with world.context() as ctx:
        assert tasks.close_reviews(ctx) == 0
    world.clock.advance(days=1)
    with world.context() as ctx:
        assert (tasks.close_reviews(ctx), tasks.close_reviews(ctx)) == (2, 0)
    active = {name for (name,) in world.sql("SELECT username FROM user_account WHERE state = 'active'")}
    assert {"magetan.staf", "penyetuju1", "operator1", "auditor1", "kustodian1"} & active == set()
    assert {"magetan.kepala", "admin1", "admin2"} <= active
    assert {one["outcome"] for one in review_of(world, "magetan.kepala")["lines"].values()} == {"lapsed"}
    reasons = world.sql("SELECT data FROM audit_entry WHERE action = 'user.disable'")
    assert all("not confirmed" in str(data) for (data,) in reasons)
    done(world.client("magetan.kepala").post(f"/users/{world.users['magetan.staf']}/changes", {"change": "enable"}))
    with world.context() as ctx:
        assert tasks.open_reviews(ctx, world.settings) == 0  # half a year after the last was opened, not after it was closed


def test_the_pages_show_what_is_decided_and_give_it_as_a_file(sqlite_world: World) -> None:
    world = sqlite_world
    opened(world)
    review = review_of(world, "magetan.kepala")
    line, page = review["lines"]["magetan.staf"]["id"], f"/akses/tinjauan/{review['id']}"
    head = english(world, "magetan.kepala")
    assert "Joko Contoh" in head.text(page)
    assert head.send(page).status_code == 422
    sent = {f"line.{line}": "confirmed", f"roles.{line}": "staff"}
    assert english(world, "magetan.kepala", fresh=False).send(page, **sent).status_code == 403
    assert english(world, "magetan.staf").get(page).status_code == 403
    assert english(world, "bangli.kepala").get(page).status_code == 404
    assert goes_to(head.send(page, **sent)) == page
    told = english(world, "auditor1").get(page, unduh="csv").get_data(as_text=True)
    assert "Joko Contoh,magetan.staf,Staff" in told
    assert "Indah Contoh" in told


def test_of_two_heads_who_decide_nothing_both_stay(sqlite_world: World) -> None:
    world = sqlite_world
    world.give_role("magetan.staf", "head")
    opened(world)
    assert set(review_of(world, "magetan.kepala")["lines"]) == {"magetan.kepala", "magetan.staf"}  # each can confirm the other
    world.clock.advance(days=60)
    with world.context() as ctx:
        assert tasks.close_reviews(ctx) == 2
    assert (state(world, "magetan.kepala"), state(world, "magetan.staf")) == ("active", "active")
