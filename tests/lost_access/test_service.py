"""A visitor who cannot sign in asks for help: no name is told apart from another, and nothing of an account changes."""

from __future__ import annotations

from sifilma.lost_access.tasks import tell_people
from tests.accounts.test_lost_factors import reachable, report, told
from tests.reports.test_home import WAITING, section
from tests.support.visitor import Visitor
from tests.support.world import World

TASK = "Somebody asks for help to sign in"


def ask(world: World, name: str) -> str:
    """Ask as a visitor who reads English; return the words of the page that follows."""
    visitor = Visitor(world, language="en")
    visitor.get(visitor.send("/masuk/lupa", username=name).location)
    return visitor.seen


def found(world: World) -> int:
    with world.context() as ctx:
        return tell_people(ctx, world.settings)


def asked_of(world: World, *users: str) -> list[str]:
    """Return those of the users who find the task on their home."""
    return [user for user in users if TASK in section(world, user, WAITING)]


def test_no_name_is_told_apart_and_only_who_may_report_the_loss_is_asked_to_call(world: World) -> None:
    reachable(world)
    pages = {ask(world, name) for name in ("magetan.staf", "Magetan.Kepala ", "tidak.ada", "<b>", "ma\u00df" * 90)}
    assert len(pages) == 1
    assert "Nothing of it is changed" in pages.pop()
    stored = world.sql("SELECT username, user_id FROM lost_access ORDER BY id")
    assert [name[:14] for name, user in stored if user is None] == ["magetan.staf", "magetan.kepala", "tidak.ada", "<b>", "massmassmassma"]
    everybody = ("magetan.kepala", "magetan.staf", "bangli.kepala", "admin1", "operator1")
    assert asked_of(world, *everybody) == []
    assert (found(world), found(world)) == (2, 0)
    messages = told(world)
    assert {address for address, _ in messages} >= {f"{name}@contoh.example" for name in ("magetan.staf", "magetan.kepala", "lain")}
    assert all("/masuk" in text and "/undangan/" not in text for _, text in messages)
    assert world.sql("SELECT COUNT(*) FROM lost_access") == [(2,)]  # what names nobody is forgotten
    assert asked_of(world, *everybody) == ["magetan.kepala", "admin1"]
    assert report(world, "magetan.kepala", "magetan.staf").status_code == 303
    assert asked_of(world, "magetan.kepala") == []


def test_whoever_signs_in_ends_it_and_one_account_is_asked_about_once_a_day(sqlite_world: World) -> None:
    world = sqlite_world
    for expected in (1, 0):
        ask(world, "magetan.staf")
        assert (found(world), world.sql("SELECT COUNT(*) FROM lost_access")) == (expected, [(1,)])
        world.clock.advance(minutes=20)
        assert asked_of(world, "magetan.kepala") == ["magetan.kepala"]
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'user.help_tell'") == [(1,)]
    Visitor(world, "magetan.staf")
    assert asked_of(world, "magetan.kepala") == []
    world.clock.advance(days=1)
    ask(world, "magetan.staf")
    assert (found(world), asked_of(world, "magetan.kepala")) == (1, ["magetan.kepala"])
    world.clock.advance(days=7)
    assert asked_of(world, "magetan.kepala") == []


def test_asking_again_and_again_is_refused_and_stores_nothing(sqlite_world: World) -> None:
    visitor = Visitor(sqlite_world)
    answers = [visitor.send("/masuk/lupa", username="magetan.staf").status_code for _ in range(5)]
    assert answers == [303, 303, 303, 429, 429]
    assert visitor.send("/masuk/lupa", username="").status_code == 422
    assert sqlite_world.sql("SELECT COUNT(*) FROM lost_access") == [(3,)]
