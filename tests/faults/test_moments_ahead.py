"""What a wrong clock dated years ahead is not waited for, does not live for years, and is not lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sifilma.accounts.enrolments import get_invitation
from sifilma.identity.models import Invitation, LoginSession
from sifilma.kernel import idempotency
from sifilma.kernel.errors import Conflict, NotFound, TooMany
from sifilma.kernel.idempotency import Claim
from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.notifications.delivery import deliver
from sifilma.notifications.outbox import Recipient
from sifilma.reports.reminders import remind
from sifilma.resources import resources
from sifilma.sign_in import throttle
from tests.accounts.test_people import invited
from tests.activation.bulk.sheets import rows_of, sent, sheet, worked
from tests.support.world import World, done

HEAD, PHONE = "magetan.kepala", Recipient(Channel.SMS, "+628120000123")


def years(world: World) -> str:
    """Return a moment three years ahead, as the database stores it."""
    return ahead(world, days=3 * 365)


def ahead(world: World, **by: float) -> str:
    return str((world.clock.now() + timedelta(**by)).replace(tzinfo=None))


def put(world: World, change: str, **values: Any) -> None:
    """Run an UPDATE with `:years`."""
    world.sql(f"UPDATE {change}", years=years(world), **values)


def message(world: World) -> None:
    with world.context() as ctx:
        outbox.enqueue(ctx, world.settings, PHONE, "notice", "", "Halo")


def states(world: World) -> list[str]:
    return [state for (state,) in world.sql("SELECT state FROM outbox_message ORDER BY created_at, id")]


def test_messages_and_files_are_worked_on(world: World) -> None:
    ready = world.ready(HEAD, "R", 2)
    sent(world.client(HEAD), sheet(rows_of(ready)))
    put(world, "job SET due_at = :years, taken_by = 'another'")
    assert worked(world) == 2
    message(world)
    put(world, "outbox_message SET due_at = :years")
    deliver(world.context, world.settings)
    message(world)
    put(world, "outbox_message SET state = 'sending', due_at = :years, taken_until = :years WHERE state = 'queued'")
    deliver(world.context, world.settings)
    assert "queued" not in states(world)
    assert "sending" not in states(world)


def test_no_message_lapses_by_a_wrong_clock(sqlite_world: World) -> None:
    world = sqlite_world
    message(world)
    world.clock.advance(days=3)
    deliver(world.context, world.settings)
    assert states(world) == ["lapsed"]
    message(world)
    world.beat()
    world.clock.reboot(days=3 * 365)  # nothing tells that the machine was off for a minute only
    world.beat()
    deliver(world.context, world.settings)
    assert "lapsed" not in states(world)[1:]


def test_a_key_is_free_again_and_nobody_is_blocked(world: World) -> None:
    first, second, third = (Claim("actor", "key", "print") for _ in range(3))
    with world.context() as ctx:
        assert idempotency.claim(ctx, first, 10.0) is None
    put(world, "idempotency_key SET claimed_at = :years")
    with world.context() as ctx:
        assert idempotency.claim(ctx, second, 10.0) is None  # taken over
        with pytest.raises(Conflict):
            idempotency.claim(ctx, third, 10.0)
    limits = {"otp:x": throttle.PASSWORD}
    with world.context() as ctx:
        for _ in range(throttle.PASSWORD.free):
            throttle.admit(ctx, limits)
        with pytest.raises(TooMany):
            throttle.admit(ctx, limits)
    put(world, "throttle SET blocked_until = :years, first_at = :years")
    with world.context() as ctx:
        throttle.admit(ctx, limits)
    assert world.sql("SELECT failures FROM throttle") == [(1,)]


def test_people_are_reminded_the_next_morning(sqlite_world: World) -> None:
    world = sqlite_world
    with world.app.app_context():
        remind(world.context, world.settings, resources().site)
        put(world, "digest SET due_at = :years")
        remind(world.context, world.settings, resources().site)
    assert world.sql("SELECT COUNT(*) FROM digest WHERE due_at > :soon", soon=ahead(world, days=2)) == [(0,)]


def test_no_session_code_or_invitation_lives_for_years(world: World) -> None:
    client = world.client(HEAD)
    later = world.clock.now() + timedelta(days=3 * 365)
    put(world, "login_session SET last_seen_at = :years")
    done(client.get("/me"))  # seen later by a wrong clock: it lives its twelve hours
    world.change(LoginSession, otp_at=later)
    assert done(client.post("/api-keys", {"name": "mesin"}), 403)["type"] == "urn:sifilma:problem:step-up-required"
    world.change(LoginSession, created_at=later)
    assert client.get("/me").status_code == 401
    secret = invited(world)
    world.change(Invitation, created_at=later, expires_at=later)
    with world.context() as ctx, pytest.raises(NotFound):
        get_invitation(ctx, secret)
