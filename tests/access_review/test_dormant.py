"""Accounts that nobody uses are marked and told, then disabled; a sign-in or an enabling in time takes the mark."""

from __future__ import annotations

from sifilma.access_review import tasks
from sifilma.reports.reminders import remind
from sifilma.resources import resources
from tests.reports.test_reminders import mailed, reachable
from tests.support.visitor import english
from tests.support.world import World, done


def round_(world: World) -> tuple[int, int]:
    """Run the two tasks of the worker; return how many accounts were marked and disabled."""
    with world.context() as ctx:
        marked = tasks.mark_dormant(ctx, world.settings)
    with world.context() as ctx:
        return marked, tasks.disable_dormant(ctx, world.settings)


def states(world: World) -> dict[str, str]:
    return dict(tuple(row) for row in world.sql("SELECT username, state FROM user_account"))


def test_an_unused_account_is_marked_told_and_then_disabled_and_can_be_enabled(world: World) -> None:
    reachable(world)
    remind(world.context, world.settings, resources(world.app).site)
    world.clock.advance(days=89)
    assert round_(world) == (0, 0)
    world.client("magetan.kepala"), world.client("admin1"), world.client("operator1")
    world.clock.advance(days=1)
    count = len(world.users)
    assert round_(world) == (count - 3, 0)
    assert remind(world.context, world.settings, resources(world.app).site) > 0
    assert "belum dipakai" in mailed(world)["magetan.staf"][1]
    dormant = done(world.client("admin1").get("/access/accounts", dormant="true"))["items"]
    assert len(dormant) == count - 3
    world.clock.advance(hours=1)
    world.client("penyetuju1")  # somebody signs in again
    world.clock.advance(days=14)
    marked, disabled = round_(world)
    found = states(world)
    assert marked == 0
    assert {name for name in found if found[name] == "active"} == {
        "magetan.kepala", "admin1", "operator1", "penyetuju1", "admin2",  # two administrators stay
        "bangli.kepala", "jatim.kepala", "len.kepala", "softorb.kepala", "mandiri.kepala", "bpjs.kepala",  # and each office's last head
    }  # fmt: skip
    assert disabled == count - 11
    assert "Unused account that is the last of its kind" in english(world, "admin1").text("/")
    assert world.anonymous().post("/session", {"username": "magetan.staf", "password": "kuda lumping naik perahu"}).status_code == 401
    done(world.client("magetan.kepala").post(f"/users/{world.users['magetan.staf']}/changes", {"change": "enable"}))
    assert round_(world) == (0, 0)
    assert states(world)["magetan.staf"] == "active"
    world.clock.advance(days=90)
    world.client("admin1")
    assert round_(world)[0] >= 1


def test_of_two_unused_heads_one_stays(sqlite_world: World) -> None:
    world = sqlite_world
    world.give_role("magetan.staf", "head")
    world.clock.advance(days=90)
    round_(world)
    world.clock.advance(days=14)
    round_(world)
    found = states(world)
    assert sorted([found["magetan.kepala"], found["magetan.staf"]]) == ["active", "disabled"]


def test_zero_days_switch_it_off(sqlite_world: World) -> None:
    sqlite_world.configure(dormant_days=0, review_days=0)
    sqlite_world.clock.advance(days=900)
    assert round_(sqlite_world) == (0, 0)
    with sqlite_world.context() as ctx:
        assert tasks.open_reviews(ctx, sqlite_world.settings) == 0
